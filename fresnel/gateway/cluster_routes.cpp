#include "fresnel/gateway/cluster_routes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/url/pct_string_view.hpp>

namespace fresnel::gateway {
namespace {

constexpr std::string_view kClusters = "/clusters/";
constexpr std::size_t kMaxNameSegments = 8;  // of a name whose '/' came unencoded

Error invalid(std::string message) { return Error{.code = Errc::invalid_argument, .message = std::move(message)}; }

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == '\x7f'; });
}

// True when a piece between slashes, of the decoded text, is "." or "..". Encoded slashes count: servers differ.
bool has_dot_segment(std::string_view decoded) {
  for (;;) {
    const auto slash = std::min(decoded.find_first_of("/\\"), decoded.size());
    const auto piece = decoded.substr(0, slash);
    if (piece == "." || piece == "..") return true;
    if (slash == decoded.size()) return false;
    decoded.remove_prefix(slash + 1);
  }
}

}  // namespace

std::optional<std::string_view> strip_base_url(std::string_view path, std::string_view base_url) {
  if (!path.starts_with(base_url)) return std::nullopt;
  path.remove_prefix(base_url.size());
  if (path.empty()) return std::string_view("/");
  if (!path.starts_with('/')) return std::nullopt;
  return path;
}

std::optional<std::string> percent_decode(std::string_view text) {
  const auto view = boost::urls::make_pct_string_view(boost::urls::string_view(text.data(), text.size()));
  if (!view) return std::nullopt;
  return view->decode();
}

bool is_cluster_path(std::string_view path) noexcept { return path.starts_with(kClusters); }

result<ClusterRoute> parse_cluster_route(std::string_view path, const std::function<bool(std::string_view)>& is_known) {
  if (has_control(path)) return invalid("the path holds a space or a control character; expected them percent-encoded");
  path.remove_prefix(kClusters.size());
  std::optional<std::string> first;
  std::size_t end = 0;
  for (std::size_t segments = 0; segments < kMaxNameSegments && end != std::string_view::npos; ++segments) {
    end = path.find('/', segments == 0 ? 0 : end + 1);
    auto name = percent_decode(path.substr(0, end));
    if (!name) return invalid("the cluster's name is not percent-encoded properly");
    if (is_known(*name)) {
      ClusterRoute route{*std::move(name), end == std::string_view::npos ? "/" : std::string(path.substr(end))};
      const auto decoded = percent_decode(route.path);
      if (!decoded) return invalid("the API path is not percent-encoded properly");
      if (has_dot_segment(*decoded)) return invalid("the API path holds a \".\" or \"..\" segment; expected none");
      return route;
    }
    if (!first) first = std::move(name);
  }
  return Error{.code = Errc::not_found, .message = fmt::format("cluster \"{}\" not found", *first), .status = 404};
}

bool asks_for_watch(std::string_view query) {
  constexpr std::string_view kName = "watch";
  while (!query.empty()) {
    const auto parameter = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(parameter.size() + 1, query.size()));
    if (parameter == kName) return true;
    if (!parameter.starts_with(kName) || parameter[kName.size()] != '=') continue;
    const auto value = parameter.substr(kName.size() + 1);
    return value != "0" && value != "false" && value != "False" && value != "FALSE" && value != "f" && value != "F";
  }
  return false;
}

}  // namespace fresnel::gateway

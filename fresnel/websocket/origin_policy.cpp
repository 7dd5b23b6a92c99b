#include "fresnel/websocket/origin_policy.hpp"

#include <algorithm>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <charconv>

namespace fresnel::websocket {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return out;
}

// 0 when there is none.
std::uint16_t default_port(std::string_view scheme) noexcept {
  if (scheme == "http" || scheme == "ws") return 80;
  if (scheme == "https" || scheme == "wss") return 443;
  return 0;
}

// 0 when it is no port.
std::uint16_t parse_port(std::string_view text) noexcept {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() ? port : std::uint16_t{0};
}

}  // namespace

result<OriginPolicy::Origin> OriginPolicy::parse_origin(std::string_view text) {
  const auto url = boost::urls::parse_uri(text);
  const bool bare = url && url->has_authority() && !url->has_userinfo() && url->encoded_path().empty() &&
                    !url->has_query() && !url->has_fragment();
  const bool usable =
      bare && (!url->has_port() || parse_port(url->port()) != 0) &&
      (!url->encoded_host().empty() || url->scheme() == "file") &&
      url->encoded_host().find('*') == std::string_view::npos;  // no patterns: better refused than unseen
  if (!usable) {
    return Error{Errc::invalid_argument,
                 "the origin \"" + std::string(text) + "\" is not of the form scheme://host[:port]"};
  }
  Origin origin;
  origin.scheme = lower(url->scheme());
  origin.host = lower(url->encoded_host());
  origin.port = url->has_port() ? parse_port(url->port()) : default_port(origin.scheme);
  return origin;
}

result<OriginPolicy> OriginPolicy::parse(const std::vector<std::string>& entries) {
  OriginPolicy policy;
  for (const auto& entry : entries) {
    if (entry == "*") {
      policy.any_ = true;
      continue;
    }
    auto origin = parse_origin(entry);
    if (!origin) return origin.error();
    policy.allowed_.push_back(std::move(*origin));
  }
  return policy;
}

bool OriginPolicy::allows(std::string_view origin, std::string_view host) const {
  if (any_ || origin.empty()) return true;
  const auto parsed = parse_origin(origin);
  if (!parsed) return false;
  if (std::find(allowed_.begin(), allowed_.end(), *parsed) != allowed_.end()) return true;
  if (parsed->host.empty()) return false;
  const auto own = parse_origin(parsed->scheme + "://" + std::string(host));
  return own && *own == *parsed;
}

}  // namespace fresnel::websocket

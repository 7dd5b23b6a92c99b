#include "fresnel/hub/stream_key.hpp"

#include <algorithm>
#include <array>
#include <boost/url/encode.hpp>
#include <boost/url/rfc/unreserved_chars.hpp>
#include <cctype>
#include <charconv>
#include <functional>
#include <map>
#include <optional>
#include <utility>

namespace fresnel::hub {
namespace {

constexpr std::array<std::string_view, 10> kNotSelectors{"watch",
                                                         "resourceVersion",
                                                         "resourceVersionMatch",
                                                         "timeoutSeconds",
                                                         "allowWatchBookmarks",
                                                         "sendInitialEvents",
                                                         "limit",
                                                         "continue",
                                                         "pretty",
                                                         "retryCount"};

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// '+' is a space. Nothing when an escape is broken.
std::optional<std::string> decoded(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      out.push_back(' ');
    } else if (text[i] != '%') {
      out.push_back(text[i]);
    } else {
      if (i + 2 >= text.size() || hex_digit(text[i + 1]) < 0 || hex_digit(text[i + 2]) < 0) return std::nullopt;
      out.push_back(static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2])));
      i += 2;
    }
  }
  return out;
}

std::string encoded(std::string_view text) { return boost::urls::encode(text, boost::urls::unreserved_chars); }

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
  });
}

// As API servers read a boolean parameter: given and neither "0" nor "false".
bool is_true(std::string_view value) { return value != "0" && !equal_ignoring_case(value, "false"); }

void take(WatchQuery& query, std::string_view key, std::string_view value) {
  if (key == "resourceVersion") query.resource_version = value;
  if (key == "allowWatchBookmarks") query.bookmarks = is_true(value);
  if (key == "sendInitialEvents") query.initial_events = is_true(value);
  if (key == "timeoutSeconds") {
    int timeout = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), timeout);
    if (error == std::errc{} && end == value.data() + value.size() && timeout > 0) query.timeout_seconds = timeout;
  }
}

// The parameters as an API server reads them (Go's url.ParseQuery): what has a ';' or a broken escape is left out; of
// several values of one parameter the first counts, as all of a watch's parameters have one value.
std::map<std::string, std::string> parameters_of(std::string_view query) {
  std::map<std::string, std::string> parameters;
  while (!query.empty()) {
    const auto end = std::min(query.find('&'), query.size());
    const std::string_view part = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (part.empty() || part.find(';') != std::string_view::npos) continue;
    const auto equals = std::min(part.find('='), part.size());
    auto key = decoded(part.substr(0, equals));
    auto value = decoded(part.substr(std::min(equals + 1, part.size())));
    if (key && value) parameters.try_emplace(*std::move(key), *std::move(value));
  }
  return parameters;
}

}  // namespace

std::size_t StreamKeyHash::operator()(const StreamKey& key) const noexcept {
  std::size_t seed = 0;
  for (const auto* part : {&key.cluster, &key.identity, &key.path, &key.accept, &key.query}) {
    seed ^= std::hash<std::string>{}(*part) + 0x9e3779b97f4a7c15ULL + (seed << 6) + (seed >> 2);
  }
  return seed;
}

WatchQuery parse_watch_query(std::string_view query) {
  WatchQuery parsed;
  for (const auto& [key, value] : parameters_of(query)) {
    if (std::find(kNotSelectors.begin(), kNotSelectors.end(), key) != kNotSelectors.end()) {
      take(parsed, key, value);
      continue;
    }
    if (!parsed.selectors.empty()) parsed.selectors.push_back('&');
    parsed.selectors.append(encoded(key)).append("=").append(encoded(value));
  }
  return parsed;
}

}  // namespace fresnel::hub

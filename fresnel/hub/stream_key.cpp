#include "fresnel/hub/stream_key.hpp"

#include <algorithm>
#include <array>
#include <boost/url/encode.hpp>
#include <boost/url/rfc/unreserved_chars.hpp>
#include <charconv>
#include <functional>
#include <utility>
#include <vector>

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

// As Go's url.ParseQuery, which API servers use: '+' is a space, a broken escape stays as it is.
std::string decoded(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      out.push_back(' ');
    } else if (text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 && hex_digit(text[i + 2]) >= 0) {
      out.push_back(static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2])));
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

std::string encoded(std::string_view text) { return boost::urls::encode(text, boost::urls::unreserved_chars); }

bool is_true(std::string_view value) { return value == "1" || value == "true" || value == "True" || value.empty(); }

void take(WatchQuery& query, std::string_view key, std::string_view value) {
  if (key == "resourceVersion") query.resource_version = value;
  if (key == "allowWatchBookmarks") query.bookmarks = is_true(value);
  if (key == "timeoutSeconds") {
    int timeout = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), timeout);
    if (error == std::errc{} && end == value.data() + value.size() && timeout > 0) query.timeout_seconds = timeout;
  }
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
  std::vector<std::pair<std::string, std::string>> selectors;
  while (!query.empty()) {
    const auto end = std::min(query.find('&'), query.size());
    const std::string_view part = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (part.empty()) continue;
    const auto equals = part.find('=');
    const std::string key = decoded(part.substr(0, equals));
    const std::string value = equals == std::string_view::npos ? std::string() : decoded(part.substr(equals + 1));
    if (std::find(kNotSelectors.begin(), kNotSelectors.end(), key) != kNotSelectors.end()) {
      take(parsed, key, value);
    } else {
      selectors.emplace_back(key, value);
    }
  }
  std::sort(selectors.begin(), selectors.end());
  for (const auto& [key, value] : selectors) {
    if (!parsed.selectors.empty()) parsed.selectors.push_back('&');
    parsed.selectors.append(encoded(key)).append("=").append(encoded(value));
  }
  return parsed;
}

}  // namespace fresnel::hub

// Reads request paths: the base URL in front, and /clusters/<name>/<API path>.
//
//   path     = base-url "/clusters/" name api-path
//   name     = one percent-encoded segment; it may stand for any text, ':' and '/' included
//   api-path = "/" ... as the client encoded it
//
// Headlamp's frontend and some reverse proxies leave a '/' in the name unencoded (EKS ARNs): when the first segment
// is no known cluster, longer names are tried.
//
// Thread safety: pure functions.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "fresnel/base/error.hpp"

namespace fresnel::gateway {

// What is left of `path` behind the base URL: "/" or "/...". Nothing when the path is not below it.
[[nodiscard]] std::optional<std::string_view> strip_base_url(std::string_view path, std::string_view base_url);

// The text that stands for: nothing when an escape is broken (RFC 3986 section 2.1).
[[nodiscard]] std::optional<std::string> percent_decode(std::string_view text);

struct ClusterRoute {
  std::string cluster;  // decoded
  std::string path;     // the API path, still encoded; "/" at least

  friend bool operator==(const ClusterRoute&, const ClusterRoute&) = default;
};

[[nodiscard]] bool is_cluster_path(std::string_view path) noexcept;

// `path` is below the base URL and is_cluster_path(). Errors: not_found names the cluster; invalid_argument for broken
// escapes, control characters and "." or ".." segments, encoded or not: they could leave a server's path prefix.
[[nodiscard]] result<ClusterRoute> parse_cluster_route(std::string_view path,
                                                       const std::function<bool(std::string_view)>& is_known);

// True for query parameters of a watch: watch=1, watch=true, or an empty watch. Source: Go's strconv.ParseBool and the
// Kubernetes conversion of ListOptions.
[[nodiscard]] bool asks_for_watch(std::string_view query);

}  // namespace fresnel::gateway

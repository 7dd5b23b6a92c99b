// What makes two watches the same watch.
//
// Thread safety: values.
#pragma once

#include <compare>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace fresnel::hub {

struct StreamKey {
  std::string cluster;
  std::string identity;  // kube::ClusterContext::identity(): streams are shared only between equals
  std::string path;
  std::string accept;
  std::string query;  // normalised, see normalise_query

  friend auto operator<=>(const StreamKey&, const StreamKey&) = default;
};

struct StreamKeyHash {
  [[nodiscard]] std::size_t operator()(const StreamKey& key) const noexcept;
};

// A watch query taken apart: what selects objects, and what concerns one subscriber only.
struct WatchQuery {
  std::string selectors;         // the remaining parameters, decoded, sorted, encoded again in one way
  std::string resource_version;  // as sent; the caller decides whether it is one
  bool bookmarks = false;        // allowWatchBookmarks
  int timeout_seconds = 0;       // 0: none
  // sendInitialEvents: the state first, whatever the version; not given: as the version says; false: no state first.
  std::optional<bool> initial_events = {};
};

// Reads a query string without its '?', as an API server would: '+' is a space, the first of several values counts, a
// parameter with a broken escape or a ';' is left out. What does not change which objects are watched is left out of
// the selectors: watch, resourceVersion, resourceVersionMatch, timeoutSeconds, allowWatchBookmarks, sendInitialEvents,
// limit, continue, pretty, retryCount.
[[nodiscard]] WatchQuery parse_watch_query(std::string_view query);

}  // namespace fresnel::hub

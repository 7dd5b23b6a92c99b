// The query of a watch, split into what names the list and where the watch starts.
//
// A subscription's query may be written with or without resourceVersion, watch and allowWatchBookmarks, which the
// client sets by itself; what remains names the list and goes to the gateway byte for byte.
//
// Thread safety: a value.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace fresnel::client {

class WatchQuery {
 public:
  // Accepts a leading '?'. "", "0", "undefined" and all that is no number start fresh.
  explicit WatchQuery(std::string_view query);

  // The parameters that name the list, in the caller's order and spelling.
  [[nodiscard]] const std::string& parameters() const noexcept { return parameters_; }
  // Where the caller wants to start, empty: with the current state.
  [[nodiscard]] const std::string& start_version() const noexcept { return start_version_; }
  // The caller asked for BOOKMARK events; the client itself always does.
  [[nodiscard]] bool wants_bookmarks() const noexcept { return wants_bookmarks_; }

  // The query of a REQUEST. A gateway echoes it in every message, so two REQUESTs of one socket whose messages must not
  // be mixed up need different ones: a tag other than 0 adds `pretty=<tag>`, which no watch looks at and which is not
  // part of a stream's key.
  [[nodiscard]] std::string wire(std::string_view resource_version, std::uint64_t tag) const;

 private:
  std::string parameters_;
  std::string start_version_;
  bool wants_bookmarks_ = false;
};

}  // namespace fresnel::client

// A list response as ADDED events: the start of every watch, and one side of a relist's difference.
//
// Thread safety: values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fresnel/kube/watch_event.hpp"

namespace fresnel::kube {

struct ListPage {
  std::string resource_version;
  std::string continue_token;  // empty on the last page
  std::string columns;         // a Table's columnDefinitions as JSON, else empty
  std::string kind;            // of what a watch's events hold: "Pod", or "Table"
  std::string api_version;
  std::string list_kind;                             // of the response itself: "PodList", or "Table"
  std::optional<std::int64_t> remaining_item_count;  // not given by the server: none
  std::vector<WatchEvent> items;
};

// Reads a List of any kind, or a Table. Items of a typed list get the kind and apiVersion that a watch's objects have.
// Error protocol when the text is neither.
[[nodiscard]] result<ListPage> parse_list_page(std::string body);

}  // namespace fresnel::kube

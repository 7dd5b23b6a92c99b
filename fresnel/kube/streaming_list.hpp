// A list that comes as the first events of a watch (sendInitialEvents; Kubernetes API concepts, "Streaming lists"):
//
//   (ADDED | MODIFIED | DELETED | BOOKMARK)*  BOOKMARK with the annotation k8s.io/initial-events-end  live events
//
// Thread safety: one owner.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "fresnel/kube/list_page.hpp"
#include "fresnel/kube/object_index.hpp"
#include "fresnel/kube/watch_event.hpp"

namespace fresnel::kube {

class StreamingList {
 public:
  // In the order in which they come. What follows the list's end is kept for take_rest(). An ERROR event is an Error.
  [[nodiscard]] result<void> take(std::vector<WatchEvent> events);
  // True once the list's end has come.
  [[nodiscard]] bool complete() const noexcept { return !page_.resource_version.empty(); }
  // Each once, when complete.
  [[nodiscard]] ListPage take_page();
  [[nodiscard]] std::vector<WatchEvent> take_rest() { return std::move(rest_); }

 private:
  result<void> take_bookmark(const WatchEvent& event);

  ObjectIndex objects_;
  ListPage page_;
  std::vector<WatchEvent> rest_;
};

}  // namespace fresnel::kube

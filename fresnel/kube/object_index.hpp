// The objects of one list as a Watcher knows them: identity -> latest event.
//
// Thread safety: one writer and its readers on one thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "fresnel/kube/entry_order.hpp"
#include "fresnel/kube/list_page.hpp"
#include "fresnel/kube/watch_event.hpp"

namespace fresnel::kube {

// metadata.uid; namespace/name for the few resources that have none.
[[nodiscard]] std::string object_identity(const WatchEvent& event);
// The same without a copy: the event's own uid, or else `made`, which it fills.
[[nodiscard]] std::string_view object_identity(const WatchEvent& event, std::string& made);

class ObjectIndex {
 public:
  // O(1). Events that change no object are ignored.
  void apply(const WatchEvent& event);
  [[nodiscard]] const WatchEvent* find(std::string_view identity) const;
  [[nodiscard]] std::size_t size() const noexcept { return objects_.size(); }
  [[nodiscard]] auto begin() const noexcept { return objects_.begin(); }
  [[nodiscard]] auto end() const noexcept { return objects_.end(); }

  // Every object as ADDED, in ascending order of version.
  [[nodiscard]] std::vector<WatchEvent> snapshot() const;

 private:
  std::unordered_map<std::string, WatchEvent, TextHash, std::equal_to<>> objects_;
};

// The events that lead from `known`, complete up to `last_version`, to the list: in strictly ascending order of
// metadata.resourceVersion, so that readers which skip what is not newer than their list lose nothing. ADDED and
// MODIFIED have their objects' own versions; each DELETED takes an unused one between last_version and the list's.
// There always is one: every deletion took a revision of its own, before that of an object recreated with its name.
[[nodiscard]] std::vector<WatchEvent> relist_difference(const ObjectIndex& known, std::string_view last_version,
                                                        const ListPage& list);

}  // namespace fresnel::kube

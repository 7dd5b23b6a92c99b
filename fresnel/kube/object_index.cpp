#include "fresnel/kube/object_index.hpp"

#include <algorithm>
#include <unordered_set>

namespace fresnel::kube {
namespace {

std::uint64_t version_of(const WatchEvent& event) { return parse_resource_version(event.resource_version).value_or(0); }

void sort_by_version(std::vector<WatchEvent>& events) {
  std::stable_sort(events.begin(), events.end(),
                   [](const WatchEvent& a, const WatchEvent& b) { return version_of(a) < version_of(b); });
}

struct Deletion {
  const WatchEvent* object;
  std::uint64_t before;  // the version of an object recreated with the same name: the deletion came earlier
};

}  // namespace

std::string object_identity(const WatchEvent& event) {
  std::string made;
  return std::string(object_identity(event, made));
}

std::string_view object_identity(const WatchEvent& event, std::string& made) {
  if (!event.uid.empty()) return event.uid;
  made = full_name(event);
  return made;
}

void ObjectIndex::apply(const WatchEvent& event) {
  if (!event.changes_an_object()) return;
  std::string made;
  const std::string_view identity = object_identity(event, made);
  const auto known = objects_.find(identity);
  if (event.type == WatchEvent::Type::deleted) {
    if (known != objects_.end()) objects_.erase(known);
  } else if (known != objects_.end()) {
    known->second = event;
  } else {
    objects_.emplace(identity, event);
  }
}

const WatchEvent* ObjectIndex::find(std::string_view identity) const {
  const auto it = objects_.find(identity);
  return it == objects_.end() ? nullptr : &it->second;
}

std::vector<WatchEvent> ObjectIndex::snapshot() const {
  std::vector<WatchEvent> events;
  events.reserve(objects_.size());
  for (const auto& [identity, event] : objects_) events.push_back(with_type(event, WatchEvent::Type::added));
  sort_by_version(events);
  return events;
}

std::vector<WatchEvent> relist_difference(const ObjectIndex& known, std::string_view last_version,
                                          const ListPage& list) {
  std::vector<WatchEvent> events;
  std::unordered_set<const WatchEvent*> listed;
  listed.reserve(list.items.size());
  std::unordered_set<std::uint64_t> used;
  std::unordered_map<std::string, std::uint64_t> recreated;  // namespace/name -> version of the new object
  const std::uint64_t list_version = parse_resource_version(list.resource_version).value_or(0);
  const std::uint64_t last = parse_resource_version(last_version).value_or(0);
  // The server's history was rewound: an equal version may be another change.
  const bool rewound = last > list_version;
  std::string made;
  for (const auto& item : list.items) {
    const WatchEvent* old = known.find(object_identity(item, made));
    if (old != nullptr) listed.insert(old);
    if (old != nullptr && old->resource_version == item.resource_version && !rewound) continue;
    used.insert(version_of(item));
    if (old == nullptr) recreated[full_name(item)] = version_of(item);
    events.push_back(with_type(item, old == nullptr ? WatchEvent::Type::added : WatchEvent::Type::modified));
  }

  std::vector<Deletion> deletions;
  for (const auto& [identity, event] : known) {
    if (listed.contains(&event)) continue;
    const auto it = recreated.find(full_name(event));
    deletions.push_back({&event, it == recreated.end() ? list_version + 1 : it->second});
  }
  // Earliest deadline first finds a place for each whenever there is one.
  std::sort(deletions.begin(), deletions.end(), [](const Deletion& a, const Deletion& b) {
    return a.before != b.before ? a.before < b.before : version_of(*a.object) < version_of(*b.object);
  });
  std::uint64_t version = last < list_version ? last : 0;
  for (const Deletion& deletion : deletions) {
    do ++version;
    while (used.contains(version));
    events.push_back(with_type_and_version(*deletion.object, WatchEvent::Type::deleted, std::to_string(version)));
  }
  sort_by_version(events);
  return events;
}

}  // namespace fresnel::kube

// The cluster's state and its history: objects by resource, one revision counter, and for each resource the log of
// events that watches replay. It knows nothing of what an object means; Resources does.
//
// Every change takes the next revision. A deletion's event carries the object as it was last, at the deletion's own
// revision (etcd's semantics; Kubernetes API concepts, "Resource versions").
//
// Thread safety: one thread. Watch callbacks run inside the change that made the event: they only note that there is
// something to do.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fresnel/sim/object.hpp"

namespace fresnel::sim {

enum class EventType { added, modified, deleted };

[[nodiscard]] std::string_view to_string(EventType type) noexcept;  // "ADDED", ...

struct StoreEvent {
  EventType type = EventType::added;
  ObjectPtr object;    // a deletion's has the deletion's revision
  ObjectPtr previous;  // null for added

  [[nodiscard]] Revision revision() const noexcept { return object->revision(); }
};

struct StoreOptions {
  // Events kept of each resource. A watch that is further behind ends, and one from before them is told 410.
  std::size_t max_events = 50'000;
};

class Store {
 private:
  struct Shelf;  // one resource

 public:
  // A place in a resource's log. The store must outlive it.
  class Watch {
   public:
    ~Watch();
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

    // The next event after the last returned, null when there is none yet. The pointer is valid until the next change.
    [[nodiscard]] const StoreEvent* next();
    // True once events that this watch had not seen were dropped for want of room: it cannot go on.
    [[nodiscard]] bool overrun() const noexcept;

   private:
    friend class Store;
    Watch(std::shared_ptr<Shelf> shelf, std::uint64_t position, std::function<void()> on_event);

    std::shared_ptr<Shelf> shelf_;
    std::uint64_t position_;  // sequence number of the next event
    std::function<void()> on_event_;
  };

  explicit Store(StoreOptions options = {}) : options_(options) {}
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  [[nodiscard]] Revision revision() const noexcept { return revision_; }
  // Nothing before this revision can be listed, and no watch can start before it; 0: nothing was compacted.
  [[nodiscard]] Revision compacted() const noexcept { return compacted_; }

  // Null when there is none. `ns` is empty for cluster-scoped types.
  [[nodiscard]] ObjectPtr get(const ResourceType& type, std::string_view ns, std::string_view name) const;
  // Ordered by etcd's keys, "namespace/name"; every namespace when `ns` is empty.
  [[nodiscard]] std::vector<ObjectPtr> list(const ResourceType& type, std::string_view ns) const;
  // The same as it was at an earlier revision; nullopt when the history no longer reaches there.
  [[nodiscard]] std::optional<std::vector<ObjectPtr>> list_at(const ResourceType& type, std::string_view ns,
                                                              Revision revision) const;
  [[nodiscard]] std::size_t count(const ResourceType& type) const;

  // Creates or replaces, by metadata.namespace and name.
  ObjectPtr put(const ResourceTypePtr& type, json::object value);
  // Null when there was none; otherwise the object with the deletion's revision.
  ObjectPtr erase(const ResourceType& type, std::string_view ns, std::string_view name);

  // Forgets the history before `revision` (at most the current one), as etcd's compaction does. Running
  // watches are not disturbed.
  void compact(Revision revision);
  // Restores the state at an earlier revision, as from a backup: what came after it never happened, and the next change
  // takes the revision after it again. Only without running watches. False when the history no longer reaches there.
  [[nodiscard]] bool rewind(Revision revision);
  // Whether the history still has every event after `revision`.
  [[nodiscard]] bool can_watch_after(const ResourceType& type, Revision revision) const;
  // Events after `revision`; on_event is called at each new one. can_watch_after(type, revision) must hold.
  [[nodiscard]] std::unique_ptr<Watch> watch(const ResourceType& type, Revision after, std::function<void()> on_event);

 private:
  struct Shelf {
    std::map<std::string, ObjectPtr, std::less<>> objects;  // by "namespace/name", or name
    std::deque<StoreEvent> log;
    std::uint64_t first = 0;  // sequence number of log.front()
    Revision trimmed = 0;     // revision of the last event dropped from the log
    std::vector<Watch*> watches;
  };

  [[nodiscard]] Shelf* shelf(const ResourceType& type) const;
  [[nodiscard]] std::shared_ptr<Shelf> make_shelf(const ResourceType& type);
  static void undo_last(Shelf& shelf);
  void append(Shelf& shelf, StoreEvent event);
  void trim(Shelf& shelf) const;

  StoreOptions options_;
  Revision revision_ = 0;
  Revision compacted_ = 0;
  std::map<std::string, std::shared_ptr<Shelf>, std::less<>> shelves_;
};

}  // namespace fresnel::sim

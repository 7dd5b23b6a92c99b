// ObjectStore: the objects of one watch, kept current by its events in stream order.
//
// - An event is known by its object's identity (kube::object_identity: metadata.uid). One event costs O(1).
// - What is older than the same object's own version is skipped, and nothing else is: a DELETED that carries the last
//   version seen is applied. The same version again changes nothing.
// - on_change tells every change as an event, true to what the store knew: ADDED for what is new, MODIFIED for what it
//   had (whatever the stream called it), DELETED for what it had.
// - A resync replaces the content between begin_replace() and end_replace(): objects that come again unchanged are
//   silent, and what has not come again is DELETED at the end. The new state is the truth even where its versions are
//   lower (a cluster restored from a backup). begin_replace() during a replacement starts it anew.
// - A `partial` store is fed from a version on, without the state before it: MODIFIED and DELETED of objects that it
//   never saw are changes for its readers too. After end_replace() it is whole.
//
// Thread safety: one thread; snapshots are immutable and may be read from any.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "fresnel/kube/watch_event.hpp"

namespace fresnel::client {

class ObjectStore {
 public:
  enum class Knowledge { whole, partial };
  enum class Outcome {
    applied,    // a change; it has been told
    unchanged,  // nothing new: the same version again, or DELETED of what a whole store does not have
    stale,      // older than the object's own version: skipped
    ignored,    // ERROR, BOOKMARK, an unknown type, or an object without identity
  };
  // The last event of an object; type is ADDED or MODIFIED, the object is object_view().
  using Object = std::shared_ptr<const kube::WatchEvent>;
  using Snapshot = std::shared_ptr<const std::vector<Object>>;

  explicit ObjectStore(Knowledge knowledge = Knowledge::whole) : knowledge_(knowledge) {}

  Outcome apply(const kube::WatchEvent& event);
  void begin_replace();
  // Without begin_replace() it does nothing.
  void end_replace();
  [[nodiscard]] bool replacing() const noexcept { return replacing_; }

  [[nodiscard]] std::size_t size() const noexcept { return objects_.size(); }
  [[nodiscard]] Knowledge knowledge() const noexcept { return knowledge_; }
  // Null when unknown.
  [[nodiscard]] Object find(const std::string& identity) const;
  // Every object, ordered by namespace, name and uid. The same snapshot until something changes.
  [[nodiscard]] const Snapshot& snapshot() const;

  // At most one observer, called after each change on the calling thread. It must not call apply or the replacement's
  // functions; reading is fine.
  void on_change(std::function<void(const kube::WatchEvent&)> observer) { observer_ = std::move(observer); }

 private:
  struct Entry {
    Object object;
    std::uint64_t generation = 0;  // of the replacement that saw it last
  };
  using Objects = std::unordered_map<std::string, Entry>;

  Outcome upsert(const kube::WatchEvent& event, std::string identity);
  Outcome remove(const kube::WatchEvent& event, const std::string& identity);
  [[nodiscard]] bool is_stale(const kube::WatchEvent& event, const Entry& entry) const;
  void changed(const kube::WatchEvent& event);

  Knowledge knowledge_;
  bool replacing_ = false;
  std::uint64_t generation_ = 0;
  Objects objects_;
  mutable Snapshot snapshot_;
  std::function<void(const kube::WatchEvent&)> observer_;
};

}  // namespace fresnel::client

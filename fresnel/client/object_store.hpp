// ObjectStore: the objects of one watch, kept current by its events in stream order.
//
// - An event is known by its object's identity (kube::object_identity: metadata.uid). One event costs O(1) amortised;
//   its text is not copied, the store shares it with the event.
// - What is older than the same object's own version is skipped, and nothing else is: a DELETED that carries the last
//   version seen is applied. The same version again changes nothing.
// - on_change tells every change with a type true to what the store knew: ADDED for what is new, MODIFIED for what it
//   had (whatever the stream called it), DELETED for what it had.
// - A resync replaces the content between begin_replace() and end_replace(): objects that come again unchanged are
//   silent, and what has not come again is DELETED at the end. The new state is the truth even where its versions are
//   lower (a cluster restored from a backup). begin_replace() during a replacement starts it anew.
// - A `partial` store is fed from a version on, without the state before it: MODIFIED and DELETED of objects that it
//   never saw are changes for its readers too. After end_replace() it is whole.
//
// - A snapshot is made when somebody asks for it, in O(objects): pointers only, and only what is new is sorted.
//
// Thread safety: one thread; snapshots are immutable and may be read from any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fresnel/kube/entry_order.hpp"
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
  // The last event of an object, as it came: ADDED or MODIFIED. The object is object_view().
  using Object = std::shared_ptr<const kube::WatchEvent>;
  using Snapshot = std::shared_ptr<const std::vector<Object>>;

  // What an observer is told. Valid during the call.
  class Change {
   public:
    Change(kube::WatchEvent::Type type, const kube::WatchEvent& source) : type_(type), source_(source) {}

    // True to what the store knew.
    [[nodiscard]] kube::WatchEvent::Type type() const noexcept { return type_; }
    // The event that brought the object, under the type that the stream gave it.
    [[nodiscard]] const kube::WatchEvent& source() const noexcept { return source_; }
    // The change as an event of type(). Only where the stream called it otherwise is a text made for it, once.
    [[nodiscard]] const kube::WatchEvent& event() const;
    // So that an observer may take a const kube::WatchEvent&.
    operator const kube::WatchEvent&() const { return event(); }

   private:
    kube::WatchEvent::Type type_;
    const kube::WatchEvent& source_;
    mutable std::optional<kube::WatchEvent> made_;
  };

  explicit ObjectStore(Knowledge knowledge = Knowledge::whole) : knowledge_(knowledge) {}

  // An event that is moved in is not copied; of any other, all but the text is.
  Outcome apply(kube::WatchEvent event);
  void begin_replace();
  // Without begin_replace() it does nothing.
  void end_replace();
  [[nodiscard]] bool replacing() const noexcept { return replacing_; }

  [[nodiscard]] std::size_t size() const noexcept { return objects_.size(); }
  [[nodiscard]] Knowledge knowledge() const noexcept { return knowledge_; }
  // Null when unknown.
  [[nodiscard]] Object find(std::string_view identity) const;
  // Every object, ordered by namespace, name and uid. The same snapshot until something changes.
  [[nodiscard]] const Snapshot& snapshot() const;

  // At most one observer, called after each change on the calling thread. It must not call apply or the replacement's
  // functions; reading is fine.
  void on_change(std::function<void(const Change&)> observer) { observer_ = std::move(observer); }

 private:
  struct Entry {
    Object object;
    std::uint64_t generation = 0;  // of the replacement that saw it last
    std::size_t place = 0;
  };

  Outcome upsert(kube::WatchEvent&& event, std::string_view identity);
  Outcome remove(const kube::WatchEvent& event, std::string_view identity);
  [[nodiscard]] bool is_stale(const kube::WatchEvent& event, const Entry& entry) const;
  void changed(kube::WatchEvent::Type type, const kube::WatchEvent& source);

  Knowledge knowledge_;
  bool replacing_ = false;
  std::uint64_t generation_ = 0;
  kube::EntryIndex<Entry> objects_;        // by identity
  mutable kube::EntryOrder<Entry> order_;  // by namespace, name and uid as far as it is sorted
  mutable Snapshot snapshot_;              // null: to be made
  std::function<void(const Change&)> observer_;
};

}  // namespace fresnel::client

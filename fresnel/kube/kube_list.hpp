// A list of Kubernetes objects kept current by watch updates, with the rules of Headlamp's KubeList.applyUpdate:
//
// - ADDED and MODIFIED replace the object of the same metadata.uid in its place, or append it; DELETED removes it.
// - An update whose resourceVersion is not newer than the list's is skipped (numbers compare; what is no number is
//   never skipped). Otherwise the list's resourceVersion becomes the update's; continue and remainingItemCount stay.
// - ERROR and unknown types change nothing and are reported.
// - What is no update object, or comes before the first list, is ignored and counted.
//
// One update costs O(1) amortised, and no text is copied: an object is a part of the event that brought it. A snapshot
// is made when somebody asks for it, in O(objects); it is immutable and shares all unchanged objects with the one
// before. When nothing changed it stays the same and nobody is notified.
//
// A uid stands once: where a list names one twice, the later object replaces the earlier in its place.
//
// Thread safety: the list belongs to one thread; snapshots may be read from any.
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

#include "fresnel/base/error.hpp"
#include "fresnel/base/shared_bytes.hpp"
#include "fresnel/kube/entry_order.hpp"
#include "fresnel/kube/watch_event.hpp"

namespace fresnel::kube {

struct KubeObject {
  std::string_view uid;  // this and the version: within `event`
  std::string_view resource_version;
  std::string cluster;
  SharedBytes event;  // the text of the event that brought it, shared with whoever else has that event
  ByteRange place;    // of the object in it

  [[nodiscard]] std::string_view json() const noexcept { return event.view().substr(place.offset, place.size); }
};

struct KubeListSnapshot {
  std::string kind;         // "PodList"
  std::string api_version;  // "v1"
  std::string resource_version;
  std::string continue_token;                        // empty: the list was whole
  std::optional<std::int64_t> remaining_item_count;  // not given by the server: none
  std::vector<std::shared_ptr<const KubeObject>> items;
};

class KubeList {
 public:
  enum class Outcome {
    applied,  // there is a new snapshot to ask for
    stale,    // not newer than the list: skipped
    error,    // an ERROR event or an unknown type: reported, nothing changed
    ignored,  // no update object, or no list yet
  };
  using Snapshot = std::shared_ptr<const KubeListSnapshot>;

  explicit KubeList(std::string cluster) : cluster_(std::move(cluster)) {}

  // Replaces everything by a list response. Error protocol when it is none; the old content stays then.
  [[nodiscard]] result<void> set(std::string list_json);
  // Applies one watch event: {"type":"ADDED","object":{...}}. What is moved in is not copied.
  Outcome apply_update(std::string event_json);
  Outcome apply_update(WatchEvent event);

  // Null before the first list. The same object until something changes.
  [[nodiscard]] const Snapshot& snapshot() const;
  [[nodiscard]] std::size_t size() const noexcept { return order_.size(); }
  [[nodiscard]] std::uint64_t ignored() const noexcept { return ignored_; }

  // At most one listener each; called after the change, on the calling thread. A listener asks for the snapshot if it
  // wants one.
  void on_change(std::function<void(const KubeList&)> listener) { changed_ = std::move(listener); }
  void on_error(std::function<void(const Error&)> listener) { failed_ = std::move(listener); }

 private:
  struct Entry {
    std::shared_ptr<const KubeObject> object;
    std::size_t place = 0;
  };

  void upsert(WatchEvent event);
  void remove(std::string_view uid);
  void changed();
  Outcome report(const Error& error);

  std::string cluster_;
  std::optional<KubeListSnapshot> head_;  // all but the items, which are the entries
  EntryIndex<Entry> by_uid_;
  std::vector<std::unique_ptr<Entry>> without_uid_;  // no update can name them
  EntryOrder<Entry> order_;
  mutable Snapshot snapshot_;  // null: to be made
  std::uint64_t ignored_ = 0;
  std::function<void(const KubeList&)> changed_;
  std::function<void(const Error&)> failed_;
};

}  // namespace fresnel::kube

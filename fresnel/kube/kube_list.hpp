// A list of Kubernetes objects kept current by watch updates, with the rules of Headlamp's KubeList.applyUpdate:
//
// - ADDED and MODIFIED replace the object of the same metadata.uid in its place, or append it; DELETED removes it.
// - An update whose resourceVersion is not newer than the list's is skipped (numbers compare; what is no number is
//   never skipped). Otherwise the list's resourceVersion becomes the update's; continue and remainingItemCount stay.
// - ERROR and unknown types change nothing and are reported.
// - What is no update object, or comes before the first list, is ignored and counted.
//
// Every change makes a new immutable snapshot, which shares all unchanged objects with the one before. When nothing
// changed the snapshot stays the same and nobody is notified. One update costs O(objects); ObjectStore is the O(1) one.
//
// Thread safety: the list belongs to one thread; snapshots may be read from any.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fresnel/base/error.hpp"
#include "fresnel/base/shared_bytes.hpp"
#include "fresnel/kube/watch_event.hpp"

namespace fresnel::kube {

struct KubeObject {
  std::string uid;
  std::string resource_version;
  std::string cluster;
  SharedBytes json;
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
    applied,  // a new snapshot
    stale,    // not newer than the list: skipped
    error,    // an ERROR event or an unknown type: reported, nothing changed
    ignored,  // no update object, or no list yet
  };
  using Snapshot = std::shared_ptr<const KubeListSnapshot>;

  explicit KubeList(std::string cluster) : cluster_(std::move(cluster)) {}

  // Replaces everything by a list response. Error protocol when it is none; the old snapshot stays then.
  [[nodiscard]] result<void> set(std::string_view list_json);
  // Applies one watch event: {"type":"ADDED","object":{...}}.
  Outcome apply_update(std::string_view event_json);
  Outcome apply_update(const WatchEvent& event);

  // Null before the first list.
  [[nodiscard]] const Snapshot& snapshot() const noexcept { return snapshot_; }
  [[nodiscard]] std::uint64_t ignored() const noexcept { return ignored_; }

  // At most one listener each; called after the change, on the calling thread.
  void on_change(std::function<void(const Snapshot&)> listener) { changed_ = std::move(listener); }
  void on_error(std::function<void(const Error&)> listener) { failed_ = std::move(listener); }

 private:
  void publish(KubeListSnapshot next);
  Outcome report(const Error& error);

  std::string cluster_;
  Snapshot snapshot_;
  std::uint64_t ignored_ = 0;
  std::function<void(const Snapshot&)> changed_;
  std::function<void(const Error&)> failed_;
};

}  // namespace fresnel::kube

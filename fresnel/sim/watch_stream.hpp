// One watch: from the store's log to lines of JSON. It knows nothing of sockets; who serves it takes lines while there
// are any, waits for on_event, and says when a bookmark is due.
//
// With a selector, an object that begins to match shows as ADDED and one that ceases to as DELETED, with its last
// matching content at the change's revision (kube-apiserver's watch cache).
//
// Thread safety: one thread. The store must outlive it.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fresnel/sim/encoding.hpp"
#include "fresnel/sim/store.hpp"

namespace fresnel::sim {

struct WatchRequest {
  ResourceTypePtr type;
  std::string ns;  // empty: all namespaces
  Selector selector;
  Encoding encoding;
  // Events after this revision; nullopt: first an ADDED for each present object.
  std::optional<Revision> after;
  bool bookmarks = false;
  bool initial_events = false;       // a bookmark says where the present objects end
  std::int64_t timeout_seconds = 0;  // 0: the server's default
};

class WatchStream {
 public:
  // 410 when the history does not reach back to request.after.
  [[nodiscard]] static outcome<std::unique_ptr<WatchStream>> open(Store& store, WatchRequest request,
                                                                  std::function<void()> on_event);

  // Appends the next event as one line; false when there is none for now.
  [[nodiscard]] bool next(std::string& out, WallTime now);
  // Appends a bookmark: everything up to its revision has been taken. next() must have returned false.
  void bookmark(std::string& out, WallTime now);
  // The log ran away from this watch: nothing more will come, end it.
  [[nodiscard]] bool overrun() const noexcept { return watch_->overrun(); }

 private:
  WatchStream(Store& store, WatchRequest request);
  void append_bookmark(std::string& out, Revision revision, bool ends_initial, WallTime now);
  void append(std::string& out, EventType type, const Object& object, WallTime now);
  [[nodiscard]] bool append_change(std::string& out, const StoreEvent& event, WallTime now);

  Store& store_;
  WatchRequest request_;
  std::vector<ObjectPtr> state_;          // still to be sent as ADDED, the next one at the end
  std::optional<Revision> end_of_state_;  // a bookmark of this revision ends it, when asked for
  std::unique_ptr<Store::Watch> watch_;
  bool columns_sent_ = false;
};

// The line that tells of a failure inside a watch.
[[nodiscard]] std::string error_line(const Status& status);

}  // namespace fresnel::sim

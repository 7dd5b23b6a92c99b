// What a SharedStream remembers of its past, so that a subscriber which returns gets what it missed.
//
//   |-- tombstones: what was deleted --------------------------------------|
//                                  |-- log: every event, in stream order --|
//   ^ tombstone_horizon()          ^ horizon()                             now
//
// Nothing before a horizon is ever claimed: the log tells everything after horizon(); the objects' current state and
// the tombstones together tell everything after tombstone_horizon().
//
// Thread safety: one owner.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "fresnel/hub/published_event.hpp"
#include "fresnel/kube/object_index.hpp"

namespace fresnel::hub {

struct EventLogOptions {
  std::size_t max_events = 4096;
  std::size_t max_bytes = 8u << 20;
  std::size_t max_tombstones = 16'384;
};

class EventLog {
 public:
  explicit EventLog(EventLogOptions options = {}) : options_(options) {}

  // Forgets everything; from now on tells what comes after `horizon`.
  void reset(std::uint64_t horizon);
  // ADDED, MODIFIED and DELETED, in stream order; others are not kept. Beyond a bound the oldest is dropped.
  void append(EventPtr event);

  [[nodiscard]] std::uint64_t horizon() const noexcept { return horizon_; }
  [[nodiscard]] std::uint64_t tombstone_horizon() const noexcept { return tombstone_horizon_; }
  [[nodiscard]] std::size_t size() const noexcept { return events_.size(); }

  // The events after `version`; `version` must not be before horizon().
  [[nodiscard]] std::vector<EventPtr> after(std::uint64_t version) const;

  // The difference between the state at `version` (not before tombstone_horizon()) and `current`: what changed since
  // as MODIFIED, what was deleted since as DELETED, in ascending order of version.
  [[nodiscard]] std::vector<kube::WatchEvent> difference(std::uint64_t version, const kube::ObjectIndex& current) const;

 private:
  struct Entry {
    std::uint64_t version;
    EventPtr event;
  };

  EventLogOptions options_;
  std::deque<Entry> events_;
  std::deque<Entry> tombstones_;
  std::size_t bytes_ = 0;
  std::uint64_t horizon_ = 0;
  std::uint64_t tombstone_horizon_ = 0;
};

}  // namespace fresnel::hub

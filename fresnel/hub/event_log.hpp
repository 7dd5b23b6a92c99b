// What a SharedStream remembers of its past, so that a subscriber which returns gets what it missed.
//
//   |-- tombstones: what was deleted --------------------------------------|
//                                  |-- log: every event, in stream order --|
//   ^ tombstone_horizon()          ^ horizon()      |  gap  |              now
//
// Nothing before a horizon is ever claimed: the log tells everything after horizon(); the objects' current state and
// the tombstones together tell everything after tombstone_horizon(). Neither tells what happened within a gap: a relist
// knows the states on its sides only, so its deletions have made-up versions, and what came and went inside is unknown.
//
// Thread safety: one owner.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "fresnel/hub/published_event.hpp"
#include "fresnel/kube/watch_event.hpp"

namespace fresnel::hub {

struct EventLogOptions {
  std::size_t max_events = 4096;
  std::size_t max_bytes = 8u << 20;  // of the events' text
  std::size_t max_tombstones = 16'384;
  std::size_t max_tombstone_bytes = 16u << 20;
  std::size_t max_gaps = 64;
};

class EventLog {
 public:
  explicit EventLog(EventLogOptions options = {}) : options_(options) {}

  // Forgets everything; from now on tells what comes after `horizon`.
  void reset(std::uint64_t horizon);
  // A relist at `to` found what was known up to `from`; its difference is appended next.
  void relisted(std::uint64_t from, std::uint64_t to);
  // ADDED, MODIFIED and DELETED, in stream order; others are not kept. Beyond a bound the oldest is dropped.
  void append(EventPtr event);

  [[nodiscard]] std::uint64_t horizon() const noexcept { return horizon_; }
  [[nodiscard]] std::uint64_t tombstone_horizon() const noexcept { return tombstone_horizon_; }
  [[nodiscard]] std::size_t size() const noexcept { return events_.size(); }

  // Whether after(version), or deleted_after(version), is the whole truth.
  [[nodiscard]] bool tells_after(std::uint64_t version) const noexcept;
  [[nodiscard]] bool tells_difference(std::uint64_t version) const noexcept;

  // Gives the events after `version` these forms, for this joiner and those after it.
  void make_forms(std::uint64_t version, Forms forms, ClusterMetrics& counters);
  // The events after `version`; needs tells_after(version).
  [[nodiscard]] std::vector<EventPtr> after(std::uint64_t version) const;

  // What was deleted after `version`, with these forms, in stream order; with the objects that have changed since it is
  // the whole difference. Needs tells_difference(version).
  [[nodiscard]] std::vector<EventPtr> deleted_after(std::uint64_t version, Forms forms, ClusterMetrics& counters);

 private:
  struct Entry {
    std::uint64_t version;  // of a DELETED that keeps its object's: the newest before it
    EventPtr event;
  };
  struct Gap {
    std::uint64_t from;
    std::uint64_t to;
  };

  // Who knows a version may have seen its object as it was, or deleted already: it is told again.
  static bool is_after(const Entry& entry, std::uint64_t version) noexcept;
  void bury(const Entry& entry);
  [[nodiscard]] bool in_a_gap(std::uint64_t version) const noexcept;

  EventLogOptions options_;
  std::deque<Entry> events_;
  std::deque<Entry> tombstones_;
  std::deque<Gap> gaps_;
  std::size_t bytes_ = 0;
  std::size_t tombstone_bytes_ = 0;
  std::uint64_t newest_ = 0;
  std::uint64_t horizon_ = 0;
  std::uint64_t tombstone_horizon_ = 0;
};

}  // namespace fresnel::hub

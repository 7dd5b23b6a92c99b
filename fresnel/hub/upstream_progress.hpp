// Where a stream's upstream watch stands, and whether what a joiner asked for has been told.
//
//   start ----------- reached() ----------- list_version() -----------> now
//   |-- replayed so far --|-- still to come --|
//
// A watch that was opened at an older version than the first list's replays what happened before that list. It owes
// the last change of every listed object that is newer than the start; the deletions among the past are not known
// beforehand. A server says that a version is gone right after the response's header. Therefore such a joiner's
// initial data counts as told when the stream has passed the list, or when nothing is owed and the connected watch has
// been quiet for kQuiet; the same quiet tells that a version newer than everything seen has been accepted.
//
// Thread safety: one owner.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_set>

#include "fresnel/base/clock.hpp"
#include "fresnel/kube/object_index.hpp"

namespace fresnel::hub {

class UpstreamProgress {
 public:
  static constexpr Duration kQuiet = milliseconds(250);

  // The first list; the watch starts at `start` when that is older.
  void listed(std::uint64_t list_version, std::optional<std::uint64_t> start, const kube::ObjectIndex& index);
  // A list after a 410; its difference follows as events that end at its version.
  void relisted(std::uint64_t list_version);
  // The older start is gone: the watch begins at the list.
  void start_lost();
  void connected(TimePoint now) { quiet_at_ = now + kQuiet; }
  void disconnected() { quiet_at_.reset(); }
  void saw(const kube::WatchEvent& event, const kube::ObjectIndex& index, TimePoint now);

  // Everything up to this version has been told by the upstream watch (0: no list yet).
  [[nodiscard]] std::uint64_t reached() const noexcept { return reached_; }
  [[nodiscard]] std::uint64_t list_version() const noexcept { return list_version_; }
  // Deletions between reached() and the list may still be missing from what is known.
  [[nodiscard]] bool replaying() const noexcept { return reached_ < list_version_; }
  // Whether who knows the state at `version` has been told what happened since, as far as can be known.
  [[nodiscard]] bool has_told(std::uint64_t version, TimePoint now) const noexcept;
  // When quiet alone may answer has_told(); none while the watch is not connected.
  [[nodiscard]] std::optional<TimePoint> quiet_at() const noexcept { return quiet_at_; }

 private:
  [[nodiscard]] bool quiet(TimePoint now) const noexcept { return quiet_at_ && now >= *quiet_at_; }

  std::uint64_t reached_ = 0;
  std::uint64_t list_version_ = 0;
  std::unordered_set<std::string> owed_;  // identities
  std::optional<TimePoint> quiet_at_;
};

}  // namespace fresnel::hub

#include "fresnel/hub/event_log.hpp"

#include <algorithm>
#include <utility>

namespace fresnel::hub {
namespace {

std::uint64_t number(const kube::WatchEvent& event) {
  return kube::parse_resource_version(event.resource_version).value_or(0);
}

}  // namespace

void EventLog::reset(std::uint64_t horizon) {
  *this = EventLog(options_);
  horizon_ = horizon;
  tombstone_horizon_ = horizon;
}

void EventLog::relisted(std::uint64_t from, std::uint64_t to) {
  std::erase_if(gaps_, [this](const Gap& gap) { return gap.to <= std::min(horizon_, tombstone_horizon_); });
  if (to > from + 1) gaps_.push_back({from, to});
  if (gaps_.size() <= options_.max_gaps) return;
  horizon_ = std::max(horizon_, gaps_.front().to);
  tombstone_horizon_ = std::max(tombstone_horizon_, gaps_.front().to);
  gaps_.pop_front();
}

void EventLog::append(EventPtr event) {
  if (!event->event.changes_an_object()) return;
  newest_ = std::max(newest_, number(event->event));
  const auto place = event->event.keeps_version ? newest_ : number(event->event);
  const Entry entry{place, std::move(event)};
  if (entry.event->event.type == kube::WatchEvent::Type::deleted) bury(entry);
  bytes_ += entry.event->event.bytes.size();
  events_.push_back(entry);
  while (events_.size() > options_.max_events || (bytes_ > options_.max_bytes && events_.size() > 1)) {
    bytes_ -= events_.front().event->event.bytes.size();
    horizon_ = std::max(horizon_, events_.front().version);
    events_.pop_front();
  }
}

void EventLog::bury(const Entry& entry) {
  tombstones_.push_back(entry);
  tombstone_bytes_ += entry.event->event.bytes.size();
  while (tombstones_.size() > options_.max_tombstones || tombstone_bytes_ > options_.max_tombstone_bytes) {
    tombstone_bytes_ -= tombstones_.front().event->event.bytes.size();
    tombstone_horizon_ = std::max(tombstone_horizon_, tombstones_.front().version);
    tombstones_.pop_front();
  }
}

bool EventLog::in_a_gap(std::uint64_t version) const noexcept {
  return std::any_of(gaps_.begin(), gaps_.end(),
                     [version](const Gap& gap) { return gap.from < version && version < gap.to; });
}

bool EventLog::tells_after(std::uint64_t version) const noexcept { return version >= horizon_ && !in_a_gap(version); }

bool EventLog::tells_difference(std::uint64_t version) const noexcept {
  return version >= tombstone_horizon_ && !in_a_gap(version);
}

void EventLog::make_forms(std::uint64_t version, Forms forms, ClusterMetrics& counters) {
  for (auto entry = events_.rbegin(); entry != events_.rend() && is_after(*entry, version); ++entry) {
    entry->event = with_forms(entry->event, forms, counters);
  }
}

bool EventLog::is_after(const Entry& entry, std::uint64_t version) noexcept {
  return entry.version > version || (entry.version == version && entry.event->event.keeps_version);
}

std::vector<EventPtr> EventLog::after(std::uint64_t version) const {
  // From the end: who returns has usually missed little. Order is stream order; the number only finds the place.
  auto first = events_.end();
  while (first != events_.begin() && is_after(*std::prev(first), version)) --first;
  std::vector<EventPtr> events;
  events.reserve(static_cast<std::size_t>(events_.end() - first));
  for (auto it = first; it != events_.end(); ++it) events.push_back(it->event);
  return events;
}

std::vector<EventPtr> EventLog::deleted_after(std::uint64_t version, Forms forms, ClusterMetrics& counters) {
  std::vector<EventPtr> events;
  for (auto& tombstone : tombstones_) {
    if (!is_after(tombstone, version)) continue;
    tombstone.event = with_forms(tombstone.event, forms, counters);
    events.push_back(tombstone.event);
  }
  return events;
}

}  // namespace fresnel::hub

#include "fresnel/hub/event_log.hpp"

#include <algorithm>

namespace fresnel::hub {
namespace {

std::uint64_t number(const kube::WatchEvent& event) {
  return kube::parse_resource_version(event.resource_version).value_or(0);
}

}  // namespace

void EventLog::reset(std::uint64_t horizon) {
  events_.clear();
  tombstones_.clear();
  bytes_ = 0;
  horizon_ = horizon;
  tombstone_horizon_ = horizon;
}

void EventLog::append(EventPtr event) {
  if (!event->event.changes_an_object()) return;
  const std::uint64_t version = number(event->event);
  if (event->event.type == kube::WatchEvent::Type::deleted) {
    tombstones_.push_back({version, event});
    if (tombstones_.size() > options_.max_tombstones) {
      tombstone_horizon_ = tombstones_.front().version;
      tombstones_.pop_front();
    }
  }
  bytes_ += event->event.bytes.size();
  events_.push_back({version, std::move(event)});
  while (events_.size() > options_.max_events || (bytes_ > options_.max_bytes && events_.size() > 1)) {
    bytes_ -= events_.front().event->event.bytes.size();
    horizon_ = std::max(horizon_, events_.front().version);
    events_.pop_front();
  }
}

std::vector<EventPtr> EventLog::after(std::uint64_t version) const {
  // From the end: who returns has usually missed little. Order is stream order; the number only finds the place.
  auto first = events_.end();
  while (first != events_.begin() && std::prev(first)->version > version) --first;
  std::vector<EventPtr> events;
  events.reserve(static_cast<std::size_t>(events_.end() - first));
  for (auto it = first; it != events_.end(); ++it) events.push_back(it->event);
  return events;
}

std::vector<kube::WatchEvent> EventLog::difference(std::uint64_t version, const kube::ObjectIndex& current) const {
  std::vector<kube::WatchEvent> events;
  for (const auto& [identity, event] : current) {
    if (number(event) > version) events.push_back(with_type(event, kube::WatchEvent::Type::modified));
  }
  for (const auto& tombstone : tombstones_) {
    if (tombstone.version > version) events.push_back(tombstone.event->event);
  }
  std::stable_sort(events.begin(), events.end(), [](const auto& a, const auto& b) { return number(a) < number(b); });
  return events;
}

}  // namespace fresnel::hub

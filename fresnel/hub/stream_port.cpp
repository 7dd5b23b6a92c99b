#include "fresnel/hub/stream_port.hpp"

#include <algorithm>
#include <utility>

namespace fresnel::hub {

void StreamPort::attach(SubscriberId id, std::weak_ptr<StreamSubscriber> subscriber, bool bookmarks) {
  members_.push_back({.id = id, .subscriber = std::move(subscriber), .bookmarks = bookmarks});
}

void StreamPort::detach(SubscriberId id) {
  std::erase_if(members_, [id](const Member& member) { return member.id == id; });
}

StreamPort::Member* StreamPort::find(SubscriberId id) {
  const auto it = std::find_if(members_.begin(), members_.end(), [id](const Member& m) { return m.id == id; });
  return it == members_.end() ? nullptr : &*it;
}

void StreamPort::open(SubscriberId id, const Opening& opening) {
  Member* member = find(id);
  if (member == nullptr) return;
  if (opening.columns) columns_ = opening.columns;
  if (!std::exchange(member->opened, true)) member->needs_columns = columns_ != nullptr;
  member->skip_through = 0;
  give(*member, opening.events, opening.objects ? 0 : opening.position);
  if (opening.objects) give(*member, *opening.objects, opening.position);
  member->skip_through = opening.skip_through;
  if (opening.complete) complete(id, opening.bookmark);
}

void StreamPort::complete(SubscriberId id, const EventPtr& bookmark) {
  Member* member = find(id);
  if (member == nullptr) return;
  if (bookmark && member->bookmarks) give(*member, std::span(&bookmark, 1), 0);
  // The subscriber may have left because of it.
  member = find(id);
  if (member == nullptr) return;
  if (const auto subscriber = member->subscriber.lock()) subscriber->on_complete();
}

void StreamPort::fail(SubscriberId id, const Error& error) {
  Member* member = find(id);
  if (member == nullptr) return;
  const auto subscriber = member->subscriber.lock();
  detach(id);
  if (subscriber) subscriber->on_failed(error);
}

void StreamPort::status(const kube::WatchStatus& status) {
  for (Member& member : members_) {
    if (const auto subscriber = member.subscriber.lock()) subscriber->on_status(status);
  }
}

void StreamPort::deliver(const Batch& batch) {
  for (Member& member : members_) {
    if (!member.opened) continue;
    const bool unfiltered = member.skip_through == 0 && (member.bookmarks || !batch.has_bookmarks);
    if (unfiltered) {
      give(member, batch.events, batch.position);
      continue;
    }
    const std::uint64_t position = std::max(batch.position, member.skip_through);
    std::vector<EventPtr> wanted;
    wanted.reserve(batch.events.size());
    for (const auto& event : batch.events) {
      const auto version = kube::parse_resource_version(event->event.resource_version);
      if (version && *version <= member.skip_through && !event->event.keeps_version) continue;
      if (version && *version > member.skip_through) member.skip_through = 0;  // the stream has passed it
      if (event->event.type == kube::WatchEvent::Type::bookmark && !member.bookmarks) continue;
      wanted.push_back(event);
    }
    give(member, wanted, position);
  }
}

void StreamPort::give(Member& member, std::span<const EventPtr> events, std::uint64_t position) {
  if (events.empty() && position == 0) return;
  const auto subscriber = member.subscriber.lock();
  if (!subscriber) return;
  metrics_->events_out.fetch_add(events.size(), std::memory_order_relaxed);
  const auto row = std::find_if(events.begin(), events.end(), [](const EventPtr& published) {
    return published->event.is_table && published->event.changes_an_object();
  });
  if (!member.needs_columns || row == events.end()) {
    subscriber->on_events(events, position);
    return;
  }
  // A Table's columns travel with the first row that each subscriber gets.
  member.needs_columns = false;
  std::vector<EventPtr> with(events.begin(), events.end());
  auto& first = with[static_cast<std::size_t>(row - events.begin())];
  first = publish(with_columns(first->event, *columns_), first->forms, *metrics_);
  subscriber->on_events(with, position);
}

}  // namespace fresnel::hub

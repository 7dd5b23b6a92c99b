#include "fresnel/hub/shared_stream.hpp"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <utility>

#include "fresnel/base/log.hpp"

namespace fresnel::hub {
namespace {

bool is_refusal(const Error& error) noexcept {
  switch (error.code) {
    case Errc::invalid_argument:
    case Errc::unauthorized:
    case Errc::forbidden:
    case Errc::not_found: return true;
    default: return false;
  }
}

}  // namespace

SharedStream::SharedStream(StreamKey key, std::shared_ptr<kube::ApiClient> client, const Executor& executor,
                           Clock& clock, Random& random, std::shared_ptr<ClusterMetrics> metrics,
                           SharedStreamOptions options, std::function<void()> retire)
    : key_(std::move(key)),
      executor_(executor),
      metrics_(std::move(metrics)),
      options_(options),
      retire_(std::move(retire)),
      watcher_(executor, clock, random, std::move(client),
               {.path = key_.path, .query = key_.query, .accept = key_.accept},
               {.on_listed = [this](const kube::ListedInfo& info) { on_listed(info); },
                .on_events = [this](std::vector<kube::WatchEvent> events) { on_events(std::move(events)); },
                .on_status = [this](const kube::WatchStatus& status) { on_status(status); },
                .start_version = [this] { return oldest_version_wanted(); },
                .on_start_lost = [this] { on_start_lost(); }},
               options.watcher),
      log_(options.log),
      linger_(executor, clock) {
  metrics_->upstream_watches.fetch_add(1, std::memory_order_relaxed);
}

SharedStream::~SharedStream() {
  metrics_->upstream_watches.fetch_sub(1, std::memory_order_relaxed);
  metrics_->subscriptions.fetch_sub(static_cast<std::int64_t>(members_.size()), std::memory_order_relaxed);
}

void SharedStream::start() { watcher_.start(); }

template <class Call>
void SharedStream::post(const Port& port, Call call) {
  asio::post(port.executor, [port = port.port, call = std::move(call)] { call(*port); });
}

void SharedStream::join(SubscriberId id, const HomeThread& home, std::weak_ptr<StreamSubscriber> subscriber,
                        JoinOptions options) {
  linger_.cancel();
  auto [it, added] = ports_.try_emplace(home.number);
  Port& port = it->second;
  if (added) {
    port.executor = home.executor;
    port.port = std::make_shared<StreamPort>(metrics_);
  }
  ++port.members;
  Member& member = members_[id];
  member = {.thread = home.number,
            .escaped = options.escaped,
            .restart_after_gone = options.restart_after_gone,
            .version = kube::parse_resource_version(options.resource_version)};
  if (options.escaped) ++escaped_members_;
  metrics_->subscriptions.fetch_add(1, std::memory_order_relaxed);
  post(port,
       [id, subscriber = std::move(subscriber), bookmarks = options.bookmarks, status = status_](StreamPort& target) {
         target.attach(id, subscriber, bookmarks);
         if (const auto told = subscriber.lock()) told->on_status(status);
       });
  if (listed_) admit(id, member);
}

void SharedStream::leave(SubscriberId id) {
  const auto it = members_.find(id);
  if (it == members_.end()) return;
  Port& port = port_of(it->second);
  post(port, [id](StreamPort& target) { target.detach(id); });
  if (--port.members == 0) ports_.erase(it->second.thread);
  if (it->second.escaped) --escaped_members_;
  members_.erase(it);
  metrics_->subscriptions.fetch_sub(1, std::memory_order_relaxed);
  if (members_.empty()) linger_then_retire();
}

void SharedStream::linger_then_retire() { asio::co_spawn(executor_, linger(shared_from_this()), asio::detached); }

awaitable<void> SharedStream::linger(std::shared_ptr<SharedStream> self) {
  const bool due = co_await self->linger_.wait_for(self->options_.linger);
  if (due && self->members_.empty() && self->retire_) std::exchange(self->retire_, nullptr)();
}

// --- what a joiner is given

void SharedStream::admit(SubscriberId id, Member& member) {
  if (!member.version) {
    send_snapshot(id, member, {});
    return;
  }
  const std::uint64_t version = *member.version;
  // While the past is being replayed, deletions up to the list may still be missing from the tombstones.
  const bool replaying = reached_ < list_version_;
  if (version < log_.tombstone_horizon() || (version < log_.horizon() && replaying)) {
    send_gone(id, member, version);
    return;
  }
  Opening opening{.skip_through = version, .complete = true, .columns = columns_};
  if (version >= log_.horizon()) {
    opening.events = log_.after(version);
    if (member.escaped) {
      for (auto& event : opening.events) {
        if (event->data_body.empty()) event = publish(event->event, true);
      }
    }
    // What lies between this version and the list is still being replayed.
    member.awaits_complete = !owed_.empty() && version < list_version_;
    opening.complete = !member.awaits_complete;
  } else {
    opening.events = published(log_.difference(version, watcher_.index()), member.escaped);
    opening.skip_through = reached_;
  }
  send_opening(id, member, std::move(opening));
}

void SharedStream::send_opening(SubscriberId id, const Member& member, Opening opening) {
  post(port_of(member), [id, opening = std::move(opening)](StreamPort& target) { target.open(id, opening); });
}

void SharedStream::send_snapshot(SubscriberId id, Member& member, std::vector<EventPtr> before) {
  auto objects = published(watcher_.index().snapshot(), member.escaped);
  std::move(objects.begin(), objects.end(), std::back_inserter(before));
  member.awaits_complete = false;
  member.version.reset();
  send_opening(id, member,
               {.events = std::move(before),
                .skip_through = std::max(list_version_, reached_),
                .complete = true,
                .columns = columns_});
}

void SharedStream::send_gone(SubscriberId id, Member& member, std::uint64_t version) {
  metrics_->expired.fetch_add(1, std::memory_order_relaxed);
  auto expired = kube::make_expired_event("too old resource version: " + std::to_string(version) + " (" +
                                          std::to_string(log_.tombstone_horizon()) + ")");
  std::vector<EventPtr> events{publish(std::move(expired), member.escaped)};
  if (member.restart_after_gone) {
    send_snapshot(id, member, std::move(events));
    return;
  }
  send_opening(id, member, {.events = std::move(events)});
  const Error gone{Errc::gone, "the resource version is no longer available", 410, "Expired"};
  post(port_of(member), [id, gone](StreamPort& target) { target.fail(id, gone); });
}

std::vector<EventPtr> SharedStream::published(std::vector<kube::WatchEvent> events, bool escaped) const {
  std::vector<EventPtr> all;
  all.reserve(events.size());
  for (auto& event : events) all.push_back(publish(std::move(event), escaped));
  return all;
}

// --- what the Watcher says

std::string SharedStream::oldest_version_wanted() const {
  std::optional<std::uint64_t> oldest;
  for (const auto& [id, member] : members_) {
    if (member.version && (!oldest || *member.version < *oldest)) oldest = member.version;
  }
  return oldest ? std::to_string(*oldest) : std::string();
}

void SharedStream::on_listed(const kube::ListedInfo& info) {
  const std::uint64_t before = reached_;
  list_version_ = kube::parse_resource_version(info.resource_version).value_or(0);
  if (info.columns != nullptr) columns_ = std::make_shared<const std::string>(*info.columns);
  if (info.relist) {
    metrics_->relists.fetch_add(1, std::memory_order_relaxed);
    reached_ = list_version_;
    // The difference starts at what this stream had seen. Who joined with a newer version cannot use it.
    for (auto& [id, member] : members_) {
      if (member.version && *member.version > before) send_gone(id, member, *member.version);
    }
    complete_waiting();
    return;
  }
  listed_ = true;
  const auto start = kube::parse_resource_version(info.start_version);
  log_.reset(start.value_or(list_version_));
  reached_ = log_.horizon();
  if (start) {
    for (const auto& [identity, event] : watcher_.index()) {
      if (kube::parse_resource_version(event.resource_version) > start) owed_.insert(identity);
    }
  }
  for (auto& [id, member] : members_) admit(id, member);
}

void SharedStream::on_events(std::vector<kube::WatchEvent> events) {
  metrics_->events_in.fetch_add(events.size(), std::memory_order_relaxed);
  auto batch = std::make_shared<Batch>();
  batch->events.reserve(events.size());
  for (auto& event : events) {
    batch->has_bookmarks |= event.type == kube::WatchEvent::Type::bookmark;
    if (const auto version = kube::parse_resource_version(event.resource_version)) reached_ = *version;
    auto shared = publish(std::move(event), escaped_members_ > 0);
    note_caught_up(shared->event);
    log_.append(shared);
    batch->events.push_back(std::move(shared));
  }
  for (const auto& [thread, port] : ports_) {
    post(port, [batch = std::shared_ptr<const Batch>(batch)](StreamPort& target) { target.deliver(*batch); });
  }
  if (owed_.empty()) complete_waiting();
}

// A replay is over for a joiner when every object that changed since its version has been told, or the stream has
// passed the list.
void SharedStream::note_caught_up(const kube::WatchEvent& event) {
  if (owed_.empty()) return;
  if (reached_ >= list_version_) {
    owed_.clear();
    return;
  }
  const std::string identity = object_identity(event);
  const auto* object = watcher_.index().find(identity);
  if (object == nullptr || object->resource_version == event.resource_version) owed_.erase(identity);
}

void SharedStream::complete_waiting() {
  for (auto& [id, member] : members_) {
    if (!std::exchange(member.awaits_complete, false)) continue;
    post(port_of(member), [id = id](StreamPort& target) { target.complete(id); });
  }
}

void SharedStream::on_start_lost() {
  owed_.clear();
  log_.reset(list_version_);
  reached_ = list_version_;
  for (auto& [id, member] : members_) {
    if (member.version && *member.version < list_version_) send_gone(id, member, *member.version);
  }
}

void SharedStream::on_status(const kube::WatchStatus& status) {
  status_ = status;
  const bool refused = status.phase == kube::WatchStatus::Phase::failing && !listed_ && is_refusal(status.error);
  for (const auto& [thread, port] : ports_) {
    if (!refused) post(port, [status](StreamPort& target) { target.status(status); });
  }
  if (!refused) return;
  // Nobody has been given anything yet: each subscriber learns why, and may ask again.
  for (const auto& [id, member] : members_) {
    post(port_of(member), [id = id, error = status.error](StreamPort& target) { target.fail(id, error); });
  }
  if (retire_) std::exchange(retire_, nullptr)();
}

}  // namespace fresnel::hub

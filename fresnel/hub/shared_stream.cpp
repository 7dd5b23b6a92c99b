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
      source_(client->context().source),
      executor_(executor),
      clock_(clock),
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
      texts_(std::make_shared<JoinerTexts>(executor, clock, metrics_)),
      linger_(std::make_shared<Timer>(executor, clock)),
      quiet_(std::make_shared<Timer>(executor, clock)) {
  metrics_->upstream_watches.fetch_add(1, std::memory_order_relaxed);
}

SharedStream::~SharedStream() {
  linger_->cancel();
  quiet_->cancel();
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
  linger_->cancel();
  auto [it, added] = ports_.try_emplace(home.number);
  Port& port = it->second;
  if (added) {
    port.executor = home.executor;
    port.port = std::make_shared<StreamPort>(metrics_);
  }
  ++port.members;
  Member& member = members_[id];
  member = {.version = kube::parse_resource_version(options.resource_version),
            .thread = static_cast<std::uint16_t>(home.number),
            .forms = Forms::of(options.escaped, options.deflated),
            .bookmarks = options.bookmarks,
            .restart_after_gone = options.restart_after_gone,
            .start_over = options.start_over,
            .initial_events = options.initial_events};
  count_readers(member.forms, true);
  metrics_->subscriptions.fetch_add(1, std::memory_order_relaxed);
  post(port,
       [id, subscriber = std::move(subscriber), bookmarks = options.bookmarks, status = status_](StreamPort& target) {
         target.attach(id, subscriber, bookmarks);
         if (const auto told = subscriber.lock()) told->on_status(status);
       });
  if (!listed_) return;
  admit(id, member);
  complete_waiting();
  inquire_about_newer();
}

void SharedStream::leave(SubscriberId id) {
  const auto it = members_.find(id);
  if (it == members_.end()) return;
  Port& port = port_of(it->second);
  post(port, [id](StreamPort& target) { target.detach(id); });
  if (--port.members == 0) ports_.erase(it->second.thread);
  count_readers(it->second.forms, false);
  members_.erase(it);
  metrics_->subscriptions.fetch_sub(1, std::memory_order_relaxed);
  if (!members_.empty() || !retire_) return;
  asio::co_spawn(executor_, linger(weak_from_this(), linger_, options_.linger), asio::detached);
}

awaitable<void> SharedStream::linger(std::weak_ptr<SharedStream> stream, std::shared_ptr<Timer> timer,
                                     Duration duration) {
  auto waiting = timer->wait_for(duration);
  const bool due = co_await std::move(waiting);
  const auto self = stream.lock();
  if (due && self && self->members_.empty() && self->retire_) std::exchange(self->retire_, nullptr)();
}

// --- what a joiner is given

void SharedStream::admit(SubscriberId id, Member& member) {
  if (std::exchange(member.start_over, false)) {
    send_gone(id, member, member.version.value_or(0));
    return;
  }
  if (member.initial_events.value_or(!member.version)) {
    send_state(id, member, {});
    return;
  }
  // Without a version, and without a wish for what is: from what is on.
  const std::uint64_t version = member.version.value_or(state_version());
  Opening opening{.skip_through = version, .columns = columns_};
  if (log_.tells_after(version)) {
    log_.make_forms(version, member.forms, *metrics_);
    opening.events = log_.after(version);
    opening.position = std::max(version, progress_.reached());
  } else if (log_.tells_difference(version) && !progress_.replaying()) {
    opening.events = texts_->difference(watcher_.index(), version, log_.deleted_after(version, member.forms, *metrics_),
                                        member.forms);
    opening.skip_through = progress_.reached();
    opening.position = progress_.reached();
  } else {
    send_gone(id, member, version);
    return;
  }
  member.awaits_complete = !progress_.has_told(version, clock_.now());
  somebody_waits_ |= member.awaits_complete;
  opening.complete = !member.awaits_complete;
  if (opening.complete) opening.bookmark = bookmark(member, std::max(version, progress_.reached()));
  send_opening(id, member, std::move(opening));
}

void SharedStream::send_opening(SubscriberId id, const Member& member, Opening opening) {
  post(port_of(member), [id, opening = std::move(opening)](StreamPort& target) { target.open(id, opening); });
}

void SharedStream::send_state(SubscriberId id, Member& member, std::vector<EventPtr> before) {
  const std::uint64_t version = state_version();
  // Who wants it newer than this is told when it is.
  member.awaits_complete = member.version.value_or(0) > version;
  somebody_waits_ |= member.awaits_complete;
  if (!member.awaits_complete) member.version.reset();
  send_opening(id, member,
               {.events = std::move(before),
                .objects = texts_->state(watcher_.index(), member.forms),
                .position = version,
                .skip_through = version,
                .complete = !member.awaits_complete,
                .bookmark = member.awaits_complete ? nullptr : bookmark(member, version),
                .columns = columns_});
}

// The version from which a subscriber resumes whose initial data ends here: an empty list's objects tell none.
EventPtr SharedStream::bookmark(const Member& member, std::uint64_t version) {
  if (!member.bookmarks) return nullptr;
  return texts_->bookmark(kind_, api_version_, version, member.initial_events.value_or(false), member.forms);
}

void SharedStream::count_readers(Forms forms, bool come) noexcept {
  const std::array<bool, 3> read{forms.data_body, forms.deflated_event, forms.deflated_body};
  for (std::size_t i = 0; i < read.size(); ++i) {
    if (read[i]) come ? ++readers_[i] : --readers_[i];
  }
}

void SharedStream::send_gone(SubscriberId id, Member& member, std::uint64_t version) {
  metrics_->expired.fetch_add(1, std::memory_order_relaxed);
  auto expired = kube::make_expired_event("too old resource version: " + std::to_string(version) + " (" +
                                          std::to_string(log_.tombstone_horizon()) + ")");
  std::vector<EventPtr> events{publish(std::move(expired), member.forms, *metrics_)};
  member.version.reset();
  if (member.restart_after_gone) {
    send_state(id, member, std::move(events));
    return;
  }
  member.awaits_complete = false;
  send_opening(id, member, {.events = std::move(events)});
  const Error gone{Errc::gone, "the resource version is no longer available", 410, "Expired"};
  post(port_of(member), [id, gone](StreamPort& target) { target.fail(id, gone); });
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
  const auto version = kube::parse_resource_version(info.resource_version).value_or(0);
  kind_ = info.kind;
  api_version_ = info.api_version;
  if (info.columns != nullptr) columns_ = std::make_shared<const std::string>(*info.columns);
  texts_->clear();  // a cluster restored from a backup uses its versions again
  if (info.relist) {
    on_relisted(version);
    return;
  }
  listed_ = true;
  const auto start = kube::parse_resource_version(info.start_version);
  log_.reset(start.value_or(version));
  progress_.listed(version, start, watcher_.index());
  for (auto& [id, member] : members_) admit(id, member);
  inquire_about_newer();
}

// The difference that follows leads from what this stream had seen to the list. Who joined with a version in between
// may know objects that came and went unseen here; a history that went backwards cannot be told in ascending versions.
void SharedStream::on_relisted(std::uint64_t version) {
  metrics_->relists.fetch_add(1, std::memory_order_relaxed);
  const std::uint64_t seen = progress_.reached();
  const bool rewound = version < seen;
  progress_.relisted(version);
  if (rewound) {
    server_version_ = 0;  // an answer that is under way may be older than this
    for (auto& [id, member] : members_) member.inquired = false;
    log_.reset(version);
  } else {
    log_.relisted(seen, version);
  }
  for (auto& [id, member] : members_) {
    const std::uint64_t joined = member.version.value_or(seen);
    if (rewound || (joined > seen && joined < version)) send_gone(id, member, joined);
  }
}

void SharedStream::inquire_about_newer() {
  if (inquiring_) return;
  const std::uint64_t known = std::max({progress_.reached(), progress_.list_version(), server_version_});
  for (auto& [id, member] : members_) {
    member.inquired = member.version.value_or(0) > known;
    inquiring_ |= member.inquired;
  }
  if (inquiring_) watcher_.ask_server_version([this](std::uint64_t version) { on_server_version(version); });
}

void SharedStream::on_server_version(std::uint64_t version) {
  inquiring_ = false;
  for (auto& [id, member] : members_) {
    if (!std::exchange(member.inquired, false)) continue;
    server_version_ = version;
    if (member.version > version) send_gone(id, member, *member.version);
  }
  inquire_about_newer();
}

void SharedStream::on_events(std::vector<kube::WatchEvent> events) {
  metrics_->events_in.fetch_add(events.size(), std::memory_order_relaxed);
  texts_->objects_changed();
  const Forms forms = forms_read();
  auto batch = std::make_shared<Batch>();
  batch->events.reserve(events.size());
  for (auto& event : events) {
    batch->has_bookmarks |= event.type == kube::WatchEvent::Type::bookmark;
    auto shared = publish(std::move(event), forms, *metrics_);
    progress_.saw(shared->event, watcher_.index(), clock_.now());
    if (shared->event.type == kube::WatchEvent::Type::deleted) texts_->forget(shared->event);
    log_.append(shared);
    batch->events.push_back(std::move(shared));
  }
  batch->position = progress_.reached();
  for (const auto& [thread, port] : ports_) {
    post(port, [batch = std::shared_ptr<const Batch>(batch)](StreamPort& target) { target.deliver(*batch); });
  }
  complete_waiting();
}

void SharedStream::complete_waiting() {
  if (!somebody_waits_) return;
  const TimePoint now = clock_.now();
  somebody_waits_ = false;
  for (auto& [id, member] : members_) {
    if (!member.awaits_complete) continue;
    if (!progress_.has_told(member.version.value_or(0), now)) {
      somebody_waits_ = true;
      continue;
    }
    member.awaits_complete = false;
    auto mark = bookmark(member, std::max(member.version.value_or(0), progress_.reached()));
    post(port_of(member), [id = id, mark = std::move(mark)](StreamPort& target) { target.complete(id, mark); });
  }
  const auto quiet_at = progress_.quiet_at();
  if (!somebody_waits_ || awaits_quiet_ || !quiet_at || *quiet_at <= now) return;
  awaits_quiet_ = true;
  asio::co_spawn(executor_, await_quiet(weak_from_this(), quiet_, *quiet_at), asio::detached);
}

awaitable<void> SharedStream::await_quiet(std::weak_ptr<SharedStream> stream, std::shared_ptr<Timer> timer,
                                          TimePoint at) {
  auto waiting = timer->wait_until(at);
  (void)co_await std::move(waiting);
  const auto self = stream.lock();
  if (!self) co_return;
  self->awaits_quiet_ = false;
  self->complete_waiting();
}

void SharedStream::on_start_lost() {
  log_.reset(progress_.list_version());
  progress_.start_lost();
  for (auto& [id, member] : members_) {
    if (member.version && *member.version < progress_.list_version()) send_gone(id, member, *member.version);
  }
}

void SharedStream::on_status(const kube::WatchStatus& status) {
  status_ = status;
  const bool connected = status.phase == kube::WatchStatus::Phase::connected;
  if (connected) {
    progress_.connected(clock_.now());
  } else {
    progress_.disconnected();
  }
  // A credential that the API server does not take any more, a new one having been tried, ends what it had opened. That
  // none can be made just now (a plugin that fails) does not.
  const bool refused = status.phase == kube::WatchStatus::Phase::failing && is_refusal(status.error) &&
                       (!listed_ || status.error.status == 401);
  for (const auto& [thread, port] : ports_) {
    if (!refused) post(port, [status](StreamPort& target) { target.status(status); });
  }
  if (connected) complete_waiting();
  if (!refused) return;
  // Each subscriber learns why, and may ask again.
  for (const auto& [id, member] : members_) {
    post(port_of(member), [id = id, error = status.error](StreamPort& target) { target.fail(id, error); });
  }
  if (retire_) std::exchange(retire_, nullptr)();
}

}  // namespace fresnel::hub

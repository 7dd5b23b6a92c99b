// NatsCore: what comes by subscription, and closing the gaps in it from the stream.
#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "fresnel/base/log.hpp"
#include "fresnel/broker/nats_core.hpp"

namespace fresnel::broker {

using nats_wire::Received;
using nats_wire::Stored;
using nats_wire::StreamInfo;

namespace {

// Channels whose streams are read at a time: after an outage there may be ten thousand to look after.
constexpr std::size_t kMaxSyncing = 64;
// What may wait for one channel while its stream is read; beyond that it is read again instead.
constexpr std::size_t kMaxWaiting = 4'096;
constexpr std::size_t kMaxWaitingBytes = 16u << 20;
constexpr auto kRetryWait = std::chrono::seconds(1);
// nats-server republishes what two gateways publish at once in any order: the missing one may be about to come.
constexpr auto kOvertakeWait = milliseconds(20);
constexpr auto kFresh = std::chrono::seconds(2);  // by the server's clock, to the second
// A message from before the log is a hint that the stream was made anew: looked at no more often than this.
constexpr auto kCheckInterval = std::chrono::seconds(1);

}  // namespace

void NatsCore::receive(const std::string& name, Received received) {
  const auto channel = find(name);
  if (!channel) return;
  if (channel->log && received.stream == channel->stream) {
    if (channel->behind) {
      keep_waiting(channel, std::move(received));
      if (channel->reordered) settle_order(*channel);
    } else if (is_held(*channel, received)) {
      hold(channel, std::move(received));
    } else {
      take(channel, std::move(received));
    }
    return;
  }
  // Without a history, or with one that nobody here has asked for.
  received.publication.offset = 0;
  const auto publication = std::make_shared<const Publication>(std::move(received.publication));
  deliver(*channel, publication, received.id);
}

// nats-server looks up which message was the last before it stores the next: with two gateways publishing at once the
// answer may be too old, and does not show that one is missing. Neighbours in the stream need no look.
bool NatsCore::is_held(const Channel& channel, const Received& received) const {
  if (options_.order_wait <= Duration::zero()) return false;
  return !channel.waiting.empty() || received.sequence > channel.log->last() + 1;
}

void NatsCore::hold(const ChannelPtr& channel, Received received) {
  keep_waiting(channel, std::move(received));
  if (channel->behind || channel->held) return;
  channel->held = std::make_unique<Timer>(home_, clock_);
  channel->held->call_at(clock_.now() + options_.order_wait,
                         [weak = weak_from_this(), of = std::weak_ptr(channel), timer = channel->held.get()] {
                           const auto self = weak.lock();
                           const auto channel = of.lock();
                           if (self && channel && channel->held.get() == timer) self->release(channel);
                         });
}

void NatsCore::release(const ChannelPtr& channel) {
  channel->held = nullptr;
  if (!channel->log || channel->behind) return;
  const auto before = channel->log->bytes();
  take_waiting(*channel);
  bound_log(*channel, before);
  if (channel->waiting.empty()) return;
  fall_behind(*channel, clock_.now());
  channel->reordered = true;
  sync_in(kOvertakeWait, channel);
}

void NatsCore::take(const ChannelPtr& channel, Received received) {
  const auto before = channel->log->bytes();
  switch (channel->log->take(received, clock_.now())) {
    case NatsLog::Taken::next:
    case NatsLog::Taken::late:
      deliver(*channel, channel->log->taken().publication, channel->log->taken().id);
      bound_log(*channel, before);
      return;
    case NatsLog::Taken::known: return;
    case NatsLog::Taken::old: return check_in(channel->synced_at + kCheckInterval - clock_.now(), channel);
    case NatsLog::Taken::gap:
      fall_behind(*channel, clock_.now());
      channel->reordered = true;
      keep_waiting(channel, std::move(received));
      sync_in(kOvertakeWait, channel);
  }
}

void NatsCore::settle_order(Channel& channel) {
  const auto before = channel.log->bytes();
  take_waiting(channel);
  bound_log(channel, before);
  if (!channel.waiting.empty()) return;
  channel.behind = channel.reordered = false;
  channel.retry = nullptr;
}

void NatsCore::keep_waiting(const ChannelPtr& channel, Received received) {
  channel->waiting_bytes += received.publication.message.payload().size();
  channel->waiting.push_back(std::move(received));
  if (channel->waiting.size() <= kMaxWaiting && channel->waiting_bytes <= kMaxWaitingBytes) return;
  channel->waiting.clear();
  channel->waiting_bytes = 0;
  start_sync(channel);  // once more, for what is dropped here
}

void NatsCore::fall_behind(Channel& channel, TimePoint since) {
  channel.reordered = false;
  channel.held = nullptr;
  if (std::exchange(channel.behind, true)) return;
  channel.complete_at = since;
}

void NatsCore::start_sync(const ChannelPtr& channel) {
  channel->reordered = false;
  fall_behind(*channel, clock_.now());
  if (!nats_->is_connected()) return;
  if (std::exchange(channel->syncing, true)) {
    channel->again = true;
    return;
  }
  to_sync_.push_back(channel);
  run_syncs();
}

void NatsCore::run_syncs() {
  while (syncing_ < kMaxSyncing && !to_sync_.empty()) {
    ++syncing_;
    auto channel = std::move(to_sync_.front());
    to_sync_.pop_front();
    asio::co_spawn(home_, sync(shared_from_this(), std::move(channel)), asio::detached);
  }
}

awaitable<void> NatsCore::sync(std::shared_ptr<NatsCore> self, ChannelPtr channel) {
  bool more = true;
  while (more) {
    channel->again = false;
    channel->failure.reset();
    auto attempt = sync_once(self, channel);
    const auto synced = co_await std::move(attempt);
    if (!synced) channel->failure = synced.error();
    more = channel->again && channel->log && self->nats_->is_connected();
  }
  channel->syncing = false;
  const auto asked = std::exchange(channel->asked, {});
  for (const auto& timer : asked) timer->cancel();
  --self->syncing_;
  // What a server refuses it will go on refusing: nobody waits for that.
  const bool may_heal =
      channel->failure && (channel->failure->code == Errc::timeout || channel->failure->code == Errc::closed ||
                           channel->failure->code == Errc::throttled);
  if (!may_heal) self->returning_.erase(channel);
  if (channel->failure && channel->log && self->nats_->is_connected()) {
    log::warn("NATS: the history of channel {} could not be read: {}", channel->name, channel->failure->message);
    self->sync_in(kRetryWait, channel);
  }
  self->run_syncs();
  self->tell_if_back();
}

void NatsCore::sync_in(Duration wait, const ChannelPtr& channel) {
  channel->retry = std::make_unique<Timer>(home_, clock_);
  channel->retry->call_at(clock_.now() + wait, [weak = weak_from_this(), of = std::weak_ptr(channel)] {
    const auto self = weak.lock();
    const auto channel = of.lock();
    if (self && channel && channel->log && channel->behind && !channel->syncing) self->start_sync(channel);
  });
}

// A stream that may have been made anew: what it has is looked at, now or soon.
void NatsCore::check_in(Duration wait, const ChannelPtr& channel) {
  if (wait <= Duration::zero()) return start_sync(channel);
  channel->retry = std::make_unique<Timer>(home_, clock_);
  channel->retry->call_at(clock_.now() + wait, [weak = weak_from_this(), of = std::weak_ptr(channel)] {
    const auto self = weak.lock();
    const auto channel = of.lock();
    const bool is_due = self && channel && channel->log && self->clock_.now() >= channel->synced_at + kCheckInterval;
    if (is_due && !channel->syncing) self->start_sync(channel);
  });
}

awaitable<result<void>> NatsCore::sync_once(std::shared_ptr<NatsCore> self, ChannelPtr channel) {
  if (!channel->log) co_return Error{Errc::cancelled, "nobody has subscribed any more"};
  const auto limits = channel->log->limits();
  auto opening = self->streams_->open(limits);
  const auto info = co_await std::move(opening);
  if (!info) co_return info.error();
  if (!channel->log) co_return Error{Errc::cancelled, "nobody has subscribed any more"};
  const auto from = channel->log->read_from(*info);
  auto reading = self->streams_->read(limits, channel->name, from, info->last);
  auto stored = co_await std::move(reading);
  if (!stored) co_return stored.error();
  // What was published just now has been read, and may not have come by subscription yet. Only what comes shows that
  // it is newer than the subscription, and to be delivered.
  const auto is_fresh = [&] {
    const auto& at = stored->messages.back().stored_at;
    return at && std::chrono::abs(self->clock_.wall_now() - *at) < kFresh;
  };
  if (channel->log && channel->log->is_empty() && !stored->messages.empty() &&
      (!channel->waiting.empty() || is_fresh())) {
    Timer pause(self->home_, self->clock_);
    auto pausing = pause.wait_for(kOvertakeWait);
    (void)co_await std::move(pausing);
  }
  if (!channel->log) co_return Error{Errc::cancelled, "nobody has subscribed any more"};
  self->catch_up(*channel, *info, *std::move(stored));
  co_return result<void>();
}

void NatsCore::catch_up(Channel& channel, const StreamInfo& info, Stored stored) {
  auto& log = *channel.log;
  const auto now = clock_.now();
  const auto before = log.bytes();
  if (log.is_empty()) {
    log.restart(info, std::move(stored), now, clock_.wall_now());
    deliver_first(channel);
  } else if (!log.is_same(info)) {
    log.restart(info, std::move(stored), now, clock_.wall_now());
    tell_gap(channel, log.position());
  } else {
    take_waiting(channel);  // a channel's newest may have pushed out of the stream what has come by subscription
    const auto& lifetime = log.limits().lifetime;
    const bool nothing_aged =
        now - channel.complete_at < lifetime - lifetime / 8 && info.bytes < options_.max_stream_bytes / 2;
    const auto caught_up = log.catch_up(info, std::move(stored), nothing_aged, now, clock_.wall_now());
    if (caught_up.lost) tell_gap(channel, *caught_up.lost);
    for (const auto& entry : caught_up.fresh) deliver(channel, entry.publication, entry.id);
  }
  channel.behind = false;
  channel.synced_at = now;
  take_waiting(channel);
  if (!channel.waiting.empty()) {
    fall_behind(channel, now);
    channel.again = true;
  }
  bound_log(channel, before);
}

void NatsCore::tell_gap(const Channel& channel, const Position& position) {
  log::warn("NATS: publications of channel {} are lost to its subscribers", channel.name);
  const std::vector<NodeId> nodes(channel.nodes.begin(), channel.nodes.end());
  hand_out(nodes, nullptr, [name = channel.name, position](const Handlers& handlers) {
    if (handlers.on_gap) handlers.on_gap(name, position);
    return Delivery();
  });
}

// Nothing was delivered before the stream was read for the first time: what has come since the subscription is to be,
// though it may have been read, too.
void NatsCore::deliver_first(Channel& channel) {
  auto& log = *channel.log;
  std::map<std::uint64_t, NatsLog::Entry> first;
  for (auto& received : channel.waiting) {
    if (received.sequence > log.last()) continue;
    received.publication.epoch = log.position().epoch;
    channel.waiting_bytes -= received.publication.message.payload().size();
    auto& entry = first[received.sequence];
    entry.publication = std::make_shared<const Publication>(std::move(received.publication));
    entry.id = received.id;
  }
  if (first.empty()) return;
  std::erase_if(channel.waiting, [&](const Received& received) { return received.sequence <= log.last(); });
  for (auto& entry : log.entries_from(first.begin()->first)) first[entry.publication->offset] = std::move(entry);
  for (const auto& [sequence, entry] : first) deliver(channel, entry.publication, entry.id);
}

void NatsCore::take_waiting(Channel& channel) {
  auto& log = *channel.log;
  auto& waiting = channel.waiting;
  std::stable_sort(waiting.begin(), waiting.end(),
                   [](const Received& one, const Received& other) { return one.sequence < other.sequence; });
  while (!waiting.empty()) {
    const auto size = waiting.front().publication.message.payload().size();
    const auto taken = log.take(waiting.front(), clock_.now());
    if (taken == NatsLog::Taken::gap) return;
    if (taken == NatsLog::Taken::next || taken == NatsLog::Taken::late) {
      deliver(channel, log.taken().publication, log.taken().id);
    }
    waiting.pop_front();
    channel.waiting_bytes -= size;
  }
}

void NatsCore::bound_log(Channel& channel, std::size_t before) {
  auto& log = *channel.log;
  const auto others = log_bytes_ - before;
  const auto room = options_.max_log_bytes - std::min(others, options_.max_log_bytes);
  if (log.bytes() > room) log.shrink(room);
  log_bytes_ = others + log.bytes();
}

awaitable<result<void>> NatsCore::log_ready(std::shared_ptr<NatsCore> self, ChannelPtr channel) {
  const auto deadline = self->clock_.now() + self->options_.request_timeout;
  while (channel->log && channel->log->is_empty()) {
    if (!self->nats_->is_connected()) co_return self->away();
    if (!channel->syncing && channel->failure) co_return *channel->failure;
    if (self->clock_.now() >= deadline) {
      co_return Error{Errc::timeout, "the channel's history could not be read from NATS in time"};
    }
    const auto timer = std::make_shared<Timer>(self->home_, self->clock_);
    channel->asked.insert(timer);
    auto waiting = timer->wait_until(deadline);
    (void)co_await std::move(waiting);
    channel->asked.erase(timer);
  }
  co_return result<void>();
}

awaitable<result<History>> NatsCore::history(std::shared_ptr<NatsCore> self, std::string name,
                                             std::optional<Position> since, HistoryLimits limits) {
  co_await asio::post(self->home_, asio::use_awaitable);  // behind what its node has asked for before
  if (limits.size == 0) co_return History();
  const auto channel = self->find(name);
  if (channel && channel->log && channel->log->limits() == limits) {
    auto preparing = log_ready(self, channel);
    if (const auto ready = co_await std::move(preparing); !ready) co_return ready.error();
    if (channel->log) {
      const auto before = channel->log->bytes();
      auto history = channel->log->history(since, limits.size, self->clock_.now());
      self->bound_log(*channel, before);  // it forgets what has aged
      if (history) co_return *std::move(history);
    }
  }
  auto connecting = connection(self, self->clock_.now() + self->options_.request_timeout);
  if (const auto there = co_await std::move(connecting); !there) co_return there.error();
  auto opening = self->streams_->open(limits);
  const auto info = co_await std::move(opening);
  if (!info) co_return info.error();
  auto reading = self->streams_->read(limits, name, 1, info->last);
  auto stored = co_await std::move(reading);
  if (!stored) co_return stored.error();
  co_return history_of(*info, *std::move(stored), limits, since, self->clock_.now(), self->clock_.wall_now());
}

}  // namespace fresnel::broker

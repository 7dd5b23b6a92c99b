// NatsCore: what is published, until it is confirmed and this process's nodes have been given it.
#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "fresnel/broker/nats_core.hpp"

namespace fresnel::broker {
namespace {

// JetStream has not answered for so long: it is asked again, under the same name.
constexpr auto kAckTimeout = std::chrono::seconds(2);
constexpr auto kRetryWait = milliseconds(100);
// A stream that another gateway has just made takes a moment to listen; one that was removed must be made again.
constexpr int kMaxRefused = 6;
constexpr Duration kRefusedWait = milliseconds(10);
// A publication that is stored and has not come back: its channel's stream is read.
constexpr auto kEchoTimeout = std::chrono::seconds(1);

Error too_late() { return {Errc::timeout, "NATS has not confirmed the message in time; it may have been published"}; }

}  // namespace

class NatsCore::Publishing {
 public:
  Publishing(std::size_t& count, std::map<std::string, EchoPtr>* echoes, std::string id, const EchoPtr& echo)
      : count_(count), echoes_(echoes), id_(std::move(id)) {
    ++count_;
    if (echoes_ != nullptr) echoes_->emplace(id_, echo);
  }
  ~Publishing() {
    --count_;
    if (echoes_ != nullptr) echoes_->erase(id_);
  }
  Publishing(const Publishing&) = delete;
  Publishing& operator=(const Publishing&) = delete;

 private:
  std::size_t& count_;
  std::map<std::string, EchoPtr>* echoes_;
  const std::string id_;
};

awaitable<result<void>> NatsCore::connection(std::shared_ptr<NatsCore> self, TimePoint deadline) {
  while (!self->nats_->is_connected()) {
    if (self->options_.on_disconnect == NatsBrokerOptions::OnDisconnect::fail) co_return self->away();
    if (self->stopped_) co_return Error{Errc::closed, "the broker has ended"};
    if (self->clock_.now() >= deadline) co_return Error{Errc::timeout, "there was no connection to NATS in time"};
    const auto timer = std::make_shared<Timer>(self->home_, self->clock_);
    self->want_connection_.insert(timer);
    auto waiting = timer->wait_until(deadline);
    (void)co_await std::move(waiting);
    self->want_connection_.erase(timer);
  }
  co_return result<void>();
}

// Whether the same again may succeed, where publishers are to wait for that.
bool NatsCore::may_retry(const Error& error) const {
  if (options_.on_disconnect == NatsBrokerOptions::OnDisconnect::fail) return false;
  return error.code == Errc::closed || error.code == Errc::timeout || error.status == 503;
}

awaitable<result<Position>> NatsCore::store(std::shared_ptr<NatsCore> self, NatsOutgoing message, HistoryLimits limits,
                                            EchoPtr echo, TimePoint deadline) {
  Error last = too_late();
  // JetStream knows a publication's name again for so long only: what it stored may not be sent once more after that.
  const auto known_for = nats_wire::duplicate_window(limits) * 3 / 4;
  bool was_sent = false;
  int refused = 0;
  while (self->clock_.now() < deadline) {
    auto connecting = connection(self, deadline);
    if (const auto there = co_await std::move(connecting); !there) co_return there.error();
    auto epoch = self->streams_->known_epoch(limits);
    std::optional<Error> failure;
    bool is_refused = false;  // though JetStream has just said that it has the stream
    if (epoch.empty()) {
      auto opening = self->streams_->open(limits);
      const auto info = co_await std::move(opening);
      if (info) epoch = info->epoch;
      if (!info) failure = info.error();
    }
    if (!failure) {
      const bool waits = self->options_.on_disconnect == NatsBrokerOptions::OnDisconnect::wait;
      const auto left = deadline - self->clock_.now();
      if (!std::exchange(was_sent, true)) deadline = std::min(deadline, self->clock_.now() + known_for);
      auto asking = self->nats_->request(message, waits ? std::min<Duration>(kAckTimeout, left) : left);
      const auto answer = co_await std::move(asking);
      auto sequence = answer ? nats_wire::parse_ack(*answer) : result<std::uint64_t>(answer.error());
      if (!sequence && echo->arrived && echo->sequence > 0) sequence = echo->sequence;  // it has come back: stored
      if (sequence) {
        Position position;
        position.epoch = std::move(epoch);
        position.offset = *sequence;
        co_return position;
      }
      failure = sequence.error();
      is_refused = failure->status == 503 && ++refused <= kMaxRefused;
    }
    if (self->stopped_) co_return *failure;
    // JetStream's refusals are its own: they say nothing about what the publisher asked for.
    const bool is_its_own = failure->code == Errc::invalid_argument || failure->code == Errc::not_found ||
                            failure->code == Errc::forbidden || failure->code == Errc::unauthorized;
    if (is_its_own) failure->code = Errc::api;
    if (failure->status == 503) self->streams_->forget();
    if (!is_refused && !self->may_retry(*failure)) co_return *failure;
    last = *failure;
    if (failure->code == Errc::closed || failure->code == Errc::timeout) continue;
    Timer pause(self->home_, self->clock_);
    auto pausing = pause.wait_for(is_refused ? refused * kRefusedWait : Duration(kRetryWait));
    (void)co_await std::move(pausing);
  }
  co_return last.status == 503 ? last : too_late();
}

awaitable<result<void>> NatsCore::send(std::shared_ptr<NatsCore> self, NatsOutgoing message, TimePoint deadline) {
  auto connecting = connection(self, deadline);
  if (const auto there = co_await std::move(connecting); !there) co_return there.error();
  co_return self->nats_->publish(std::move(message));
}

// Nobody here will be given it: a message to itself, sent behind it, tells that the server has had it. Returns its
// subject, to be forgotten.
std::string NatsCore::send_behind(const EchoPtr& echo) {
  auto subject = nats_->expect([echo](const NatsMessage&) {
    echo->arrived = true;
    echo->all.cancel();
  });
  NatsOutgoing behind;
  behind.subject = subject;
  (void)nats_->publish(std::move(behind));  // where that fails, so has what it is behind
  return subject;
}

// What this process's nodes made of it.
awaitable<result<Delivery>> NatsCore::echoed(std::shared_ptr<NatsCore> self, ChannelPtr channel, EchoPtr echo,
                                             TimePoint deadline) {
  const auto patience = self->clock_.now() + kEchoTimeout;
  bool has_asked = !echo->is_kept;
  while (!echo->is_over() && !self->stopped_ && self->clock_.now() < deadline) {
    if (!has_asked && !echo->arrived && self->clock_.now() >= patience) {
      has_asked = true;
      if (channel->log) self->start_sync(channel);
    }
    auto waiting = echo->all.wait_until(has_asked ? deadline : std::min(deadline, patience));
    (void)co_await std::move(waiting);
  }
  if (echo->gone) {
    co_return Error{Errc::closed,
                    "the connection to NATS was lost before the message came back; it may have been "
                    "published"};
  }
  if (echo->arrived && echo->missing > 0) {
    co_return Error{Errc::timeout, "a thread of this program did not take a message in time"};
  }
  if (!echo->arrived && !echo->is_kept) co_return too_late();
  co_return echo->sum;
}

awaitable<result<Published>> NatsCore::publish(std::shared_ptr<NatsCore> self, std::string name,
                                               Publication publication, HistoryLimits limits) {
  co_await asio::post(self->home_, asio::use_awaitable);  // behind what its node has asked for before
  if (self->publishing_ >= self->options_.max_publishing) {
    co_return Error{Errc::throttled, "too many messages are being published", 429};
  }
  const auto deadline = self->clock_.now() + self->options_.publish_timeout;
  const auto id = self->id_ + "." + std::to_string(++self->publications_);
  const auto channel = self->find(name);
  const auto echo = std::make_shared<Echo>(self->home_, self->clock_);
  echo->is_kept = limits.size > 0;
  const bool is_unseen = !channel && limits.size == 0;
  auto* const echoes = channel ? &channel->echoes : is_unseen ? &self->control_echoes_ : nullptr;
  const Publishing counted(self->publishing_, echoes, id, echo);
  const auto& prefix = self->options_.prefix;
  NatsOutgoing message;
  message.subject =
      limits.size > 0 ? nats_wire::history_subject(prefix, limits, name) : nats_wire::live_subject(prefix, name);
  message.headers = nats_wire::publication_headers(publication, id);
  message.payload = publication.message.payload();
  Published published;
  if (limits.size > 0) {
    auto storing = store(self, std::move(message), limits, echo, deadline);
    auto stored = co_await std::move(storing);
    if (!stored) co_return stored.error();
    published.position = *std::move(stored);
  } else {
    auto sending = send(self, std::move(message), deadline);
    const auto sent = co_await std::move(sending);
    if (!sent) co_return sent.error();
  }
  if (!channel && !is_unseen) co_return published;
  const auto behind = is_unseen ? self->send_behind(echo) : std::string();
  auto delivering = echoed(self, channel, echo, deadline);
  const auto delivery = co_await std::move(delivering);
  if (is_unseen) self->nats_->forget(behind);
  if (!delivery) co_return delivery.error();
  published.delivery = *delivery;
  co_return published;
}

awaitable<result<Delivery>> NatsCore::control(std::shared_ptr<NatsCore> self, Control control) {
  co_await asio::post(self->home_, asio::use_awaitable);  // behind what its node has asked for before
  if (self->publishing_ >= self->options_.max_publishing) {
    co_return Error{Errc::throttled, "too many messages are being published", 429};
  }
  const auto deadline = self->clock_.now() + self->options_.publish_timeout;
  const auto id = self->id_ + "." + std::to_string(++self->publications_);
  const auto echo = std::make_shared<Echo>(self->home_, self->clock_);
  const Publishing counted(self->publishing_, &self->control_echoes_, id, echo);
  auto sending = send(self, nats_wire::encode_control(self->options_.prefix, control, id), deadline);
  const auto sent = co_await std::move(sending);
  if (!sent) co_return sent.error();
  auto delivering = echoed(self, nullptr, echo, deadline);
  co_return co_await std::move(delivering);
}

}  // namespace fresnel::broker

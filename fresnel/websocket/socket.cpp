#include "fresnel/websocket/socket.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <utility>

namespace fresnel::websocket {
namespace {

constexpr int kTryAgainLater = 1013;

awaitable<void> close_connection(std::shared_ptr<net::WebSocketConnection> connection, int code, std::string reason) {
  co_await connection->close(code, std::move(reason));
}

}  // namespace

struct Socket::Expiry {
  Expiry(Clock& of_day, const Executor& executor, std::shared_ptr<Authenticator> verifier)
      : clock(of_day), timer(executor, of_day), authenticator(std::move(verifier)) {}

  Clock& clock;
  Timer timer;
  TimePoint due;  // of the timer, whose callback comes when it is set anew too
  std::shared_ptr<Authenticator> authenticator;
};

Socket::Socket(std::shared_ptr<net::WebSocketConnection> connection, std::shared_ptr<ConnectionContext> context,
               Rules rules)
    : connection_(std::move(connection)), context_(std::move(context)), rules_(rules) {}

Socket::~Socket() = default;

Sent Socket::send(const OutboundMessage& message, SlowConsumer policy) {
  if (!connection_->is_open()) return Sent::closed;
  if (waiting_ && policy == SlowConsumer::close) {
    start_close(kTryAgainLater, "this client reads too slowly");
    return Sent::closed;
  }
  if (waiting_) {
    const auto displaced = waiting_->push(message, policy);
    counters_.dropped += displaced.dropped;
    counters_.conflated += displaced.conflated;
    return Sent::slow;
  }
  switch (put(message)) {
    case net::SendStatus::queued: return Sent::queued;
    case net::SendStatus::above_high_water: break;  // queued, the last before the peer has made room
    case net::SendStatus::closed: return Sent::closed;
    case net::SendStatus::full:
      start_close(1009, "a message is larger than the connection may hold");
      return Sent::closed;
  }
  begin_to_wait();
  return Sent::queued;
}

bool Socket::send_all(const std::vector<OutboundMessage>& messages) {
  constexpr std::size_t kFrame = 16;  // bytes of a frame's header, and some
  std::size_t size = connection_->outbound_bytes();
  for (const auto& message : messages) size += message.payload().size() + kFrame;
  if (waiting_ || !connection_->is_open() || size > rules_.max_outbound) return false;
  bool lags = false;
  for (const auto& message : messages) lags = put(message) == net::SendStatus::above_high_water || lags;
  if (lags) begin_to_wait();
  return true;
}

// From now on nothing more is queued behind what the peer has to read already.
void Socket::begin_to_wait() {
  waiting_ = std::make_unique<WaitingMessages>(rules_.max_waiting);
  connection_->on_drained([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->drain();
  });
}

net::SendStatus Socket::put(const OutboundMessage& message) {
  if (connection_->deflates() && message.payload().size() >= rules_.compression_threshold) {
    if (const auto& deflated = message.deflated(); !deflated.empty()) {
      return message.is_binary() ? connection_->send_binary_deflated({}, deflated)
                                 : connection_->send_deflated({}, deflated);
    }
  }
  return message.is_binary() ? connection_->send_binary({}, message.payload())
                             : connection_->send({}, message.payload());
}

void Socket::drain() {
  while (waiting_) {
    const auto next = waiting_->pop();
    if (!next) {
      waiting_.reset();
      connection_->on_drained({});
      return;
    }
    const auto status = put(*next);
    if (status == net::SendStatus::full) start_close(1009, "a message is larger than the connection may hold");
    if (status != net::SendStatus::queued) return;  // on_drained comes again
  }
}

// A coroutine begins when it is awaited, which may be later: it owns what it is about.
awaitable<void> Socket::close(int code, std::string reason) {
  return close(shared_from_this(), code, std::move(reason));
}

awaitable<void> Socket::close(std::shared_ptr<Socket> self, int code, std::string reason) {
  self->waiting_.reset();
  auto closing = self->connection_->close(code, std::move(reason));
  co_await std::move(closing);
}

void Socket::start_close(int code, std::string reason) {
  waiting_.reset();
  asio::co_spawn(connection_->executor(), close_connection(connection_, code, std::move(reason)), asio::detached);
}

void Socket::watch_expiry(Clock& clock, std::shared_ptr<Authenticator> authenticator) {
  expiry_ = std::make_unique<Expiry>(clock, connection_->executor(), std::move(authenticator));
  schedule_expiry();
}

// The time of day may jump: it is looked at again when the timer comes.
void Socket::schedule_expiry() {
  if (!expiry_ || context_->expires == WallTime::max()) return;
  auto& clock = expiry_->clock;
  const auto left = std::chrono::duration_cast<Duration>(context_->expires - clock.wall_now());
  if (left <= Duration::zero()) {
    start_close(kCredentialExpired, "the credential has expired");
    return;
  }
  expiry_->due = clock.now() + std::min<Duration>(left, std::chrono::hours(1));
  expiry_->timer.call_at(expiry_->due, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self && self->is_open() && self->expiry_->clock.now() >= self->expiry_->due) self->schedule_expiry();
  });
}

awaitable<result<void>> Socket::renew(std::string token) { return renew(shared_from_this(), std::move(token)); }

awaitable<result<void>> Socket::renew(std::shared_ptr<Socket> self, std::string token) {
  if (!self->expiry_) co_return Error{Errc::invalid_argument, "this connection was opened without a credential"};
  const auto authenticator = self->expiry_->authenticator;
  auto verifying = authenticator->verify(std::move(token));
  auto identity = co_await std::move(verifying);
  if (!identity) co_return identity.error();
  if (identity->user_id != self->context_->user_id) {
    co_return Error{Errc::forbidden, "the new credential is another user's", 403, "Forbidden"};
  }
  if (!self->is_open()) co_return Error{Errc::closed, "the connection is over"};
  self->context_->claims = std::move(identity->claims);
  for (auto& [name, value] : identity->attributes) self->context_->attributes[name] = std::move(value);
  self->context_->expires = identity->expires;
  self->schedule_expiry();
  co_return result<void>();
}

}  // namespace fresnel::websocket

#include "fresnel/websocket/websocket_pool.hpp"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <deque>
#include <random>
#include <utility>
#include <vector>

#include "fresnel/net/websocket_client.hpp"
#include "fresnel/websocket/pending.hpp"
#include "fresnel/websocket/pooled_connection.hpp"

namespace fresnel::websocket {

// Shared with coroutines and leases, which may outlive the pool.
//
// Invariant: idle_.size() + active_ + dialing_ <= max_connections.
class WebSocketPool::Core : public std::enable_shared_from_this<Core> {
 public:
  Core(const Executor& executor, Clock& clock, std::string url, WebSocketPoolOptions options,
       net::MessageDialer* dialer)
      : executor_(executor),
        clock_(clock),
        options_(std::move(options)),
        own_dialer_(dialer == nullptr ? std::make_unique<net::WebSocketDialer>(executor) : nullptr),
        dialer_(dialer == nullptr ? *own_dialer_ : *dialer),
        random_(std::random_device{}()),
        backoff_(options_.backoff),
        retry_(executor, clock) {
    options_.dial.url = std::move(url);
    options_.min_connections = std::min(options_.min_connections, options_.max_connections);
  }

  static awaitable<result<Lease>> acquire(std::shared_ptr<Core> self);
  void give_back(const std::shared_ptr<Connection>& connection, bool discard);
  static awaitable<void> close(std::shared_ptr<Core> self);
  // Ends the pool without a word to its servers.
  void drop();
  // Hands out and connects whatever can be now.
  void pump();
  [[nodiscard]] std::size_t active() const noexcept { return active_; }
  [[nodiscard]] std::size_t idle() const noexcept { return idle_.size(); }
  [[nodiscard]] PoolHealth health() const;

 private:
  struct Waiter {
    Waiter(const Executor& executor, Clock& clock) : timer(executor, clock) {}
    Timer timer;
    std::shared_ptr<Connection> connection;  // handed to it
  };

  [[nodiscard]] static awaitable<std::shared_ptr<Connection>> wait_for_one(std::shared_ptr<Core> self,
                                                                           TimePoint deadline, bool again);
  static awaitable<bool> validate(std::shared_ptr<Core> self, std::shared_ptr<Connection> connection,
                                  TimePoint deadline);
  static awaitable<void> dial(std::shared_ptr<Core> self);
  [[nodiscard]] bool may_dial();
  [[nodiscard]] Error timed_out() const;
  void add(std::unique_ptr<net::MessageStream> stream);
  void make_idle(const std::shared_ptr<Connection>& connection);
  void schedule(Connection& connection);
  void on_due(const std::shared_ptr<Connection>& connection);
  void on_ended(const std::shared_ptr<Connection>& connection, const Error& error);
  void failed(const Error& error);
  [[nodiscard]] bool is_too_old(const Connection& connection) const;
  [[nodiscard]] std::size_t total() const noexcept { return idle_.size() + active_ + dialing_; }

  Executor executor_;
  Clock& clock_;
  WebSocketPoolOptions options_;
  std::unique_ptr<net::MessageDialer> own_dialer_;
  net::MessageDialer& dialer_;
  Random random_;
  Backoff backoff_;
  Timer retry_;
  std::optional<TimePoint> retry_at_;              // no attempt to connect before
  std::deque<std::shared_ptr<Waiter>> waiting_;    // the longest first
  std::vector<std::shared_ptr<Connection>> idle_;  // the latest last
  std::size_t active_ = 0;
  std::size_t dialing_ = 0;
  std::uint64_t failures_ = 0;
  std::optional<Error> last_error_;
  Duration latency_ = Duration::zero();
  bool connects_ = true;  // the latest attempt did
  bool closed_ = false;
};

awaitable<result<WebSocketPool::Lease>> WebSocketPool::Core::acquire(std::shared_ptr<Core> self) {
  const auto deadline = self->clock_.now() + self->options_.acquire_timeout;
  for (bool again = false;; again = true) {
    if (self->closed_) co_return Error{Errc::closed, "the WebSocket pool is closed"};
    if (!again && self->waiting_.size() >= self->options_.max_waiting) {
      co_return Error{Errc::throttled, "too many wait for a connection of the WebSocket pool"};
    }
    auto waiting = wait_for_one(self, deadline, again);
    auto connection = co_await std::move(waiting);
    if (!connection) {
      if (self->closed_) continue;
      const auto state = co_await asio::this_coro::cancellation_state;
      if (state.cancelled() != asio::cancellation_type::none)
        co_return Error{Errc::cancelled, "the wait was cancelled"};
      co_return self->timed_out();
    }
    Lease lease(self, connection);
    if (!self->options_.validate_on_checkout) co_return lease;
    auto validating = validate(self, connection, deadline);
    if (co_await std::move(validating)) co_return lease;
    lease.discard();
  }
}

// Null when the time is over, or the pool is closed. Who has waited already goes first.
awaitable<std::shared_ptr<WebSocketPool::Connection>> WebSocketPool::Core::wait_for_one(std::shared_ptr<Core> self,
                                                                                        TimePoint deadline,
                                                                                        bool again) {
  const auto waiter = std::make_shared<Waiter>(self->executor_, self->clock_);
  if (again) {
    self->waiting_.push_front(waiter);
  } else {
    self->waiting_.push_back(waiter);
  }
  self->pump();
  if (!waiter->connection) {
    auto waiting = waiter->timer.wait_until(deadline);
    (void)co_await std::move(waiting);
  }
  std::erase(self->waiting_, waiter);
  co_return waiter->connection;
}

awaitable<bool> WebSocketPool::Core::validate(std::shared_ptr<Core> self, std::shared_ptr<Connection> connection,
                                              TimePoint deadline) {
  const auto limit = std::min(self->options_.validate_timeout, deadline - self->clock_.now());
  auto pinging = Connection::ping(connection, limit);
  const auto round_trip = co_await std::move(pinging);
  if (round_trip) {
    self->latency_ = *round_trip;
    co_return true;
  }
  self->failed(round_trip.error());
  co_return false;
}

Error WebSocketPool::Core::timed_out() const {
  std::string message = "no connection of the WebSocket pool became free in time";
  if (!connects_ && last_error_) message = "no WebSocket could be opened in time: " + last_error_->message;
  return {Errc::timeout, std::move(message)};
}

void WebSocketPool::Core::pump() {
  while (!waiting_.empty() && !idle_.empty()) {
    const auto connection = idle_.back();
    idle_.pop_back();
    connection->timer.cancel();
    if (connection->is_over()) continue;
    connection->lend();
    ++active_;
    waiting_.front()->connection = connection;
    waiting_.front()->timer.cancel();
    waiting_.pop_front();
  }
  while (may_dial()) {
    ++dialing_;
    auto dialing = dial(shared_from_this());
    asio::co_spawn(executor_, std::move(dialing), asio::detached);
  }
}

bool WebSocketPool::Core::may_dial() {
  const bool wanted = dialing_ < waiting_.size() || total() < options_.min_connections;
  if (closed_ || !wanted || total() >= options_.max_connections) return false;
  if (!retry_at_ || clock_.now() >= *retry_at_) return true;
  retry_.call_at(*retry_at_, [weak = weak_from_this(), at = *retry_at_] {
    const auto self = weak.lock();
    if (self && self->retry_at_ == at && self->clock_.now() >= at) self->pump();
  });
  return false;
}

awaitable<void> WebSocketPool::Core::dial(std::shared_ptr<Core> self) {
  auto request = self->options_.dial;
  auto dialing = self->dialer_.dial(std::move(request));
  auto stream = co_await std::move(dialing);
  --self->dialing_;
  if (stream) {
    self->connects_ = true;
    self->retry_at_.reset();
    self->backoff_.reset();
    if (!self->closed_) self->add(*std::move(stream));
  } else {
    self->connects_ = false;
    self->failed(stream.error());
    // Attempts that were under way together fail together: that is one step of the backoff.
    const bool is_first = !self->retry_at_ || self->clock_.now() >= *self->retry_at_;
    if (is_first) self->retry_at_ = self->clock_.now() + self->backoff_.next(self->random_);
  }
  self->pump();
}

void WebSocketPool::Core::failed(const Error& error) {
  ++failures_;
  last_error_ = error;
}

void WebSocketPool::Core::add(std::unique_ptr<net::MessageStream> stream) {
  const auto connection = std::make_shared<Connection>(executor_, clock_, std::move(stream), options_);
  connection->start([weak = weak_from_this(), raw = std::weak_ptr<Connection>(connection)](const Error& error) {
    const auto self = weak.lock();
    const auto ended = raw.lock();
    if (self && ended) self->on_ended(ended, error);
  });
  make_idle(connection);
}

void WebSocketPool::Core::make_idle(const std::shared_ptr<Connection>& connection) {
  idle_.push_back(connection);
  schedule(*connection);
}

bool WebSocketPool::Core::is_too_old(const Connection& connection) const {
  return options_.max_lifetime > Duration::zero() && clock_.now() >= connection.born + options_.max_lifetime;
}

void WebSocketPool::Core::schedule(Connection& connection) {
  connection.due = TimePoint::max();
  if (options_.idle_timeout > Duration::zero()) connection.due = clock_.now() + options_.idle_timeout;
  if (options_.max_lifetime > Duration::zero())
    connection.due = std::min(connection.due, std::max(clock_.now(), connection.born + options_.max_lifetime));
  if (connection.due == TimePoint::max()) return;
  connection.timer.call_at(connection.due, [weak = weak_from_this(), raw = connection.weak_from_this()] {
    const auto self = weak.lock();
    const auto idle = raw.lock();
    if (self && idle && self->clock_.now() >= idle->due) self->on_due(idle);
  });
}

// It is idle: long enough, or too old.
void WebSocketPool::Core::on_due(const std::shared_ptr<Connection>& connection) {
  const auto found = std::find(idle_.begin(), idle_.end(), connection);
  if (found == idle_.end()) return;
  if (!is_too_old(*connection) && total() <= options_.min_connections) {
    schedule(*connection);
    return;
  }
  idle_.erase(found);
  auto closing = Connection::close(connection);
  asio::co_spawn(executor_, std::move(closing), asio::detached);
  pump();
}

// One that is lent says so to its lease.
void WebSocketPool::Core::on_ended(const std::shared_ptr<Connection>& connection, const Error& error) {
  const auto found = std::find(idle_.begin(), idle_.end(), connection);
  if (found == idle_.end()) return;
  connection->timer.cancel();
  idle_.erase(found);
  failed(error);
  pump();
}

void WebSocketPool::Core::give_back(const std::shared_ptr<Connection>& connection, bool discard) {
  --active_;
  const bool clean = connection->take_back();
  if (discard || !clean) {
    connection->abort();
  } else if (closed_ || is_too_old(*connection)) {
    auto closing = Connection::close(connection);
    asio::co_spawn(executor_, std::move(closing), asio::detached);
  } else {
    make_idle(connection);
  }
  pump();
}

awaitable<void> WebSocketPool::Core::close(std::shared_ptr<Core> self) {
  auto idle = std::exchange(self->idle_, {});
  self->drop();
  const auto closing = std::make_shared<Pending>(self->executor_);
  for (const auto& connection : idle) {
    connection->timer.cancel();
    closing->add(Connection::close(connection));
  }
  auto waiting = Pending::wait(closing);
  co_await std::move(waiting);
}

void WebSocketPool::Core::drop() {
  closed_ = true;
  retry_.cancel();
  for (const auto& waiter : waiting_) waiter->timer.cancel();
  for (const auto& connection : idle_) {
    connection->timer.cancel();
    connection->abort();
  }
  idle_.clear();
}

PoolHealth WebSocketPool::Core::health() const {
  return {connects_ && !closed_, active_, idle_.size(), waiting_.size(), failures_, last_error_, latency_};
}

WebSocketPool::Lease& WebSocketPool::Lease::operator=(Lease&& other) noexcept {
  if (this == &other) return *this;
  release();
  core_ = std::move(other.core_);
  connection_ = std::move(other.connection_);
  return *this;
}

awaitable<result<net::Message>> WebSocketPool::Lease::read() { return Connection::read(connection_); }
awaitable<result<void>> WebSocketPool::Lease::write(net::Message message) {
  return Connection::write(connection_, std::move(message));
}
awaitable<result<Duration>> WebSocketPool::Lease::ping(Duration limit) { return Connection::ping(connection_, limit); }
std::string_view WebSocketPool::Lease::protocol() const noexcept { return connection_->protocol(); }

void WebSocketPool::Lease::release() {
  const auto connection = std::exchange(connection_, nullptr);
  if (connection) std::exchange(core_, nullptr)->give_back(connection, false);
}

void WebSocketPool::Lease::discard() {
  const auto connection = std::exchange(connection_, nullptr);
  if (connection) std::exchange(core_, nullptr)->give_back(connection, true);
}

WebSocketPool::WebSocketPool(const Executor& executor, Clock& clock, std::string url, WebSocketPoolOptions options,
                             net::MessageDialer* dialer)
    : core_(std::make_shared<Core>(executor, clock, std::move(url), std::move(options), dialer)) {
  asio::post(executor, [weak = std::weak_ptr<Core>(core_)] {
    if (const auto core = weak.lock()) core->pump();
  });
}

WebSocketPool::~WebSocketPool() { core_->drop(); }

awaitable<result<WebSocketPool::Lease>> WebSocketPool::acquire() { return Core::acquire(core_); }
std::size_t WebSocketPool::get_active_count() const noexcept { return core_->active(); }
std::size_t WebSocketPool::get_idle_count() const noexcept { return core_->idle(); }
PoolHealth WebSocketPool::get_health_status() const { return core_->health(); }
awaitable<void> WebSocketPool::close() { return Core::close(core_); }

}  // namespace fresnel::websocket

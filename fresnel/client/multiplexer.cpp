#include "fresnel/client/multiplexer.hpp"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <exception>
#include <optional>
#include <utility>
#include <vector>

#include "fresnel/base/base64url.hpp"
#include "fresnel/base/log.hpp"
#include "fresnel/client/gateway_link.hpp"
#include "fresnel/client/subscription_table.hpp"

namespace fresnel::client {
namespace {

// Waits for the outcome of the connect under way.
struct ConnectWaiter {
  ConnectWaiter(const Executor& executor, Clock& clock) : done(executor, clock) {}
  Timer done;
  std::optional<result<void>> outcome;
};

Error closed_error() { return Error{.code = Errc::cancelled, .message = "the multiplexer was closed"}; }

}  // namespace

// Keeps one connection for the table's keys: a single coroutine, run(), lives while a connection is wanted or there is
// one. It holds the Impl, so the Multiplexer may go at any time.
class Multiplexer::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(const Executor& executor, Clock& clock, Random random, std::shared_ptr<net::MessageDialer> dialer,
       MultiplexerOptions options)
      : executor_(executor),
        clock_(clock),
        random_(random),
        dialer_(std::move(dialer)),
        options_(std::move(options)),
        backoff_(options_.backoff),
        pause_(executor, clock) {
    const SubscriptionTable::Options table{.user_id = options_.user_id,
                                           .cluster_token = options_.cluster_token,
                                           .debounce = options_.unsubscribe_debounce,
                                           .slow_retry = options_.slow_retry,
                                           .backoff = options_.backoff};
    table_ = std::make_shared<SubscriptionTable>(executor, clock, Random(random_()), table);
  }

  Subscription subscribe(const SubscriptionKey& key, SubscriptionHandlers handlers);
  static awaitable<result<void>> connect(std::shared_ptr<Impl> self);
  static awaitable<void> close(std::shared_ptr<Impl> self);
  // Ends everything but the connection, which close() ends politely and cut() at once.
  void shut();
  void cut() noexcept;

  [[nodiscard]] ConnectionState state() const noexcept { return state_; }
  [[nodiscard]] SubscriptionTable& table() const noexcept { return *table_; }

 private:
  void ensure_running();
  static awaitable<void> run(std::shared_ptr<Impl> self);
  static awaitable<result<void>> dial(std::shared_ptr<Impl> self);
  static awaitable<Error> receive(std::shared_ptr<Impl> self);
  static awaitable<void> pause(std::shared_ptr<Impl> self);
  [[nodiscard]] result<net::DialRequest> dial_request() const;
  [[nodiscard]] result<void> add_protocols(net::DialRequest& request) const;
  void on_connected();
  void on_connect_failed(const Error& error);
  void on_lost(const Error& error);
  void answer_waiters(const result<void>& outcome);
  [[nodiscard]] bool is_closed() const noexcept { return state_ == ConnectionState::closed; }
  [[nodiscard]] bool is_wanted() const noexcept { return !is_closed() && (table_->is_wanted() || !waiters_.empty()); }

  Executor executor_;
  Clock& clock_;
  Random random_;
  std::shared_ptr<net::MessageDialer> dialer_;
  MultiplexerOptions options_;
  std::shared_ptr<SubscriptionTable> table_;
  ConnectionState state_ = ConnectionState::idle;
  bool running_ = false;  // run() is under way
  Backoff backoff_;
  Timer pause_;
  std::shared_ptr<DialAttempt> attempt_;  // null: none under way
  std::shared_ptr<GatewayLink> link_;     // null: not connected
  TimePoint connected_at_;
  std::vector<std::shared_ptr<ConnectWaiter>> waiters_;
};

Subscription Multiplexer::Impl::subscribe(const SubscriptionKey& key, SubscriptionHandlers handlers) {
  auto subscription = table_->subscribe(key, std::move(handlers));
  ensure_running();
  return subscription;
}

awaitable<result<void>> Multiplexer::Impl::connect(std::shared_ptr<Impl> self) {
  if (self->is_closed()) co_return closed_error();
  if (self->link_) co_return result<void>();
  const auto waiter = std::make_shared<ConnectWaiter>(self->executor_, self->clock_);
  self->waiters_.push_back(waiter);
  self->ensure_running();
  while (!waiter->outcome) co_await waiter->done.wait();
  co_return *waiter->outcome;
}

void Multiplexer::Impl::ensure_running() {
  if (running_ || is_closed()) return;
  running_ = true;
  state_ = ConnectionState::connecting;
  asio::co_spawn(executor_, run(shared_from_this()), [](std::exception_ptr thrown) {
    if (thrown) log::error("the multiplexer's connection ended by an exception");
  });
}

awaitable<void> Multiplexer::Impl::run(std::shared_ptr<Impl> self) {
  while (self->is_wanted()) {
    const auto dialed = co_await dial(self);
    if (dialed) {
      self->on_connected();
      const Error why = co_await receive(self);
      self->on_lost(why);
    } else {
      self->on_connect_failed(dialed.error());
    }
    if (self->is_wanted()) co_await pause(self);
  }
  self->running_ = false;
  if (!self->is_closed()) self->state_ = ConnectionState::idle;
}

// Subprotocols as Headlamp's frontend offers them; the one without a secret is the one to select.
result<void> Multiplexer::Impl::add_protocols(net::DialRequest& request) const {
  const auto backend = options_.backend_token.ask();
  if (!backend) return backend.error();
  auto user = options_.context_user.ask();
  const auto is_token_character = [](char c) { return c > ' ' && c < '\x7f' && c != ','; };
  if (user && !std::all_of(user->begin(), user->end(), is_token_character)) {
    user = Error{.code = Errc::invalid_argument, .message = "it is no text for a subprotocol"};
  }
  if (!user) {
    log::warn("the user of a supplied context cannot be looked up, connecting without: {}", user.error().message);
    user = std::string();
  }
  if (!backend->empty()) {
    request.protocols.push_back("base64url.headlamp.backend.authorization.k8s.io." + to_base64url(*backend));
  }
  if (!user->empty()) request.protocols.push_back("base64url.headlamp.authorization.k8s.io." + *user);
  if (!request.protocols.empty()) request.protocols.insert(request.protocols.begin(), "headlamp.multiplexer.k8s.io");
  return {};
}

result<net::DialRequest> Multiplexer::Impl::dial_request() const {
  const auto gateway = options_.url.ask();
  if (!gateway) return gateway.error();
  auto url = multiplexer_url(*gateway);
  if (!url) return url.error();
  const auto token = options_.bearer_token.ask();
  if (!token) return token.error();
  net::DialRequest request;
  request.url = std::move(*url);
  request.headers = options_.headers;
  if (!token->empty()) request.headers.set("Authorization", "Bearer " + *token);
  if (auto added = add_protocols(request); !added) return added.error();
  request.tls = options_.tls;
  request.timeout = options_.connect_timeout;
  request.max_message = options_.max_message;
  return request;
}

awaitable<result<void>> Multiplexer::Impl::dial(std::shared_ptr<Impl> self) {
  auto request = self->dial_request();
  if (!request) co_return request.error();
  ++self->table_->counters().dials;
  self->attempt_ = std::make_shared<DialAttempt>(self->executor_, self->clock_);
  auto outcome = co_await DialAttempt::run(self->attempt_, self->dialer_, std::move(*request));
  self->attempt_.reset();
  if (!outcome) co_return outcome.error();
  if (self->is_closed()) co_return closed_error();
  self->link_ = std::make_shared<GatewayLink>(self->executor_, self->clock_, std::move(*outcome));
  co_return result<void>();
}

awaitable<Error> Multiplexer::Impl::receive(std::shared_ptr<Impl> self) {
  const auto link = self->link_;
  for (;;) {
    auto message = co_await GatewayLink::read(link);
    if (!message) co_return message.error();
    self->table_->on_message(std::move(*message));
  }
}

awaitable<void> Multiplexer::Impl::pause(std::shared_ptr<Impl> self) {
  const auto delay = self->backoff_.next(self->random_);
  co_await self->pause_.wait_for(delay);
}

void Multiplexer::Impl::on_connected() {
  state_ = ConnectionState::connected;
  connected_at_ = clock_.now();
  ++table_->counters().connects;
  link_->start();
  answer_waiters(result<void>());
  table_->attach(link_);
}

void Multiplexer::Impl::on_connect_failed(const Error& error) {
  if (is_closed()) return;
  state_ = ConnectionState::reconnecting;
  answer_waiters(error);
  table_->report_to_all(error);
}

void Multiplexer::Impl::on_lost(const Error& error) {
  if (const auto link = std::exchange(link_, nullptr)) link->end(error);
  if (is_closed()) return;
  state_ = ConnectionState::reconnecting;
  if (clock_.now() - connected_at_ >= options_.healthy_after) backoff_.reset();
  table_->detach(error);
}

void Multiplexer::Impl::answer_waiters(const result<void>& outcome) {
  for (const auto& waiter : std::exchange(waiters_, {})) {
    waiter->outcome = outcome;
    waiter->done.cancel();
  }
}

void Multiplexer::Impl::shut() {
  if (is_closed()) return;
  state_ = ConnectionState::closed;
  table_->shut(closed_error());
  answer_waiters(closed_error());
  if (attempt_) attempt_->abandon();
  pause_.cancel();
}

void Multiplexer::Impl::cut() noexcept {
  if (link_) link_->end(closed_error());
}

awaitable<void> Multiplexer::Impl::close(std::shared_ptr<Impl> self) {
  const auto link = self->link_;
  self->shut();
  if (link) co_await GatewayLink::close(link);
}

Multiplexer::Multiplexer(const Executor& executor, Clock& clock, Random random,
                         std::shared_ptr<net::MessageDialer> dialer, MultiplexerOptions options)
    : impl_(std::make_shared<Impl>(executor, clock, random, std::move(dialer), std::move(options))) {}

Multiplexer::~Multiplexer() {
  impl_->shut();
  impl_->cut();
}

Subscription Multiplexer::subscribe(const SubscriptionKey& key, SubscriptionHandlers handlers) {
  return impl_->subscribe(key, std::move(handlers));
}

awaitable<result<void>> Multiplexer::connect() { return Impl::connect(impl_); }

awaitable<void> Multiplexer::close() { return Impl::close(impl_); }

ConnectionState Multiplexer::state() const noexcept { return impl_->state(); }

std::size_t Multiplexer::active_subscriptions() const noexcept { return impl_->table().active(); }

std::size_t Multiplexer::pending_unsubscribes() const noexcept { return impl_->table().pending(); }

void Multiplexer::renew_tokens() { impl_->table().renew_tokens(); }

bool Multiplexer::completed(const SubscriptionKey& key) const { return impl_->table().completed(key); }

const MultiplexerCounters& Multiplexer::counters() const noexcept { return impl_->table().counters(); }

}  // namespace fresnel::client

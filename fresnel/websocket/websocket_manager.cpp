#include "fresnel/websocket/websocket_manager.hpp"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <optional>
#include <random>
#include <unordered_map>
#include <utility>

#include "fresnel/base/log.hpp"
#include "fresnel/websocket/pending.hpp"

namespace fresnel::websocket {
namespace {

namespace http = boost::beast::http;
using net::WebSocketConnection;

constexpr int kAbnormal = 1006;  // RFC 6455 section 7.1.5: there was no Close
constexpr int kInternalError = 1011;

// Differs from that of every other manager, on whichever machine.
std::string make_id_prefix() {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::random_device random;
  std::string prefix;
  for (int i = 0; i < 16; ++i) prefix += kDigits[random() % kDigits.size()];
  return prefix + "-";
}

// Closes all at once, and returns when all are over.
awaitable<void> close_all(Executor executor, std::vector<std::shared_ptr<Socket>> sockets, int code,
                          std::string reason) {
  const auto pending = std::make_shared<Pending>(executor);
  for (const auto& socket : sockets) pending->add(socket->close(code, reason));
  auto waiting = Pending::wait(pending);
  co_await std::move(waiting);
}

// An identity that is being found out, for at most as long as a client may take to connect; then it is cancelled. One
// that heeds no cancellation keeps its slot: clients that come back cannot pile up more than max_connections.
struct Asked {
  Asked(const Executor& executor, Clock& clock, net::ServerRequest by, std::shared_ptr<void> taken)
      : request(std::move(by)), slot(std::move(taken)), done(executor, clock) {}

  net::ServerRequest request;
  std::shared_ptr<void> slot;
  std::optional<result<Identity>> identity;
  Timer done;
  asio::cancellation_signal cancel;
};

awaitable<void> ask(std::shared_ptr<Authenticator> authenticator, std::shared_ptr<Asked> asked) {
  auto authenticating = authenticator->authenticate(asked->request);
  asked->identity = co_await std::move(authenticating);
  asked->done.cancel();
}

}  // namespace

// One of max_connections, taken before the handshake and given back when the connection is over.
class WebSocketManager::Slot {
 public:
  static std::shared_ptr<Slot> take(const Counter& counter, std::size_t limit) {
    auto taken = counter->load(std::memory_order_relaxed);
    do {
      if (taken >= limit) return nullptr;
    } while (!counter->compare_exchange_weak(taken, taken + 1, std::memory_order_relaxed));
    return std::make_shared<Slot>(counter);
  }
  explicit Slot(Counter counter) : counter_(std::move(counter)) {}
  ~Slot() { counter_->fetch_sub(1, std::memory_order_relaxed); }
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;

 private:
  Counter counter_;
};

// What a client has shown before its connection is upgraded.
struct WebSocketManager::Admission {
  std::shared_ptr<Slot> slot;
  Identity identity;
  TimePoint deadline;  // of the handshake
};

// Shared with coroutines and with the callbacks of connections, which may outlive the manager.
class WebSocketManager::Core : public std::enable_shared_from_this<Core> {
 public:
  Core(const Executor& executor, Clock& clock, WebSocketManagerOptions given, Counter counter,
       net::HttpTransport* transport)
      : options(std::move(given)),
        executor_(executor),
        clock_(clock),
        origins_(OriginPolicy::parse(options.allowed_origins).value()),
        connections_(counter ? std::move(counter) : std::make_shared<std::atomic<std::size_t>>(0)),
        id_prefix_(make_id_prefix()) {
    if (options.authentication.is_required()) {
      authenticator_ = std::make_shared<Authenticator>(executor, clock, std::move(options.authentication), transport);
    }
  }

  static awaitable<result<Admission>> admit(std::shared_ptr<Core> self, const net::ServerRequest& request);
  static awaitable<result<SocketPtr>> upgrade(std::shared_ptr<Core> self, net::UpgradedSocket socket,
                                              const net::ServerRequest& request, Admission admission,
                                              AcceptOptions accept);
  // Reads to the end.
  static awaitable<void> serve(std::shared_ptr<Core> self, SocketPtr socket);
  void tell_error(const std::string& peer, const Error& error) const {
    if (error_) error_(peer, error);
  }
  [[nodiscard]] std::vector<SocketPtr> sockets() const;
  [[nodiscard]] std::vector<SocketPtr> sockets_of(std::string_view user) const;
  [[nodiscard]] SocketPtr find(std::string_view id);
  void start_serving(const SocketPtr& socket);
  void abandon();
  static awaitable<result<SocketPtr>> accept(std::shared_ptr<Core> self, net::HttpExchange& exchange,
                                             AcceptOptions options);
  static awaitable<Accepted> accept(std::shared_ptr<Core> self, TakeSocket take, net::ServerRequest request,
                                    AcceptOptions options);
  static awaitable<std::size_t> close_user(std::shared_ptr<Core> self, std::string user, int code, std::string reason);
  [[nodiscard]] const Executor& executor() const noexcept { return executor_; }
  [[nodiscard]] std::size_t count() const noexcept { return open_.size(); }

  WebSocketManagerOptions options;
  std::function<void(const SocketPtr&)> open;
  std::function<void(const SocketPtr&, net::Message)> message;
  std::function<void(const ConnectionContext&, int, const std::string&)> closed;
  std::function<void(const std::string&, const Error&)> error_;
  bool is_closed = false;

 private:
  // Of a connection that is not over. The context outlives its socket by the on_close callback.
  struct Open {
    std::weak_ptr<Socket> socket;
    std::shared_ptr<const ConnectionContext> context;
    std::shared_ptr<Slot> slot;
    bool told = false;       // on_open has been called
    bool is_served = false;  // read by the manager
  };

  [[nodiscard]] std::optional<Error> check(const net::ServerRequest& request) const;
  static awaitable<result<Identity>> identify(std::shared_ptr<Core> self, const net::ServerRequest& request,
                                              const Admission& admission);
  [[nodiscard]] Error unavailable(std::string text) const;
  [[nodiscard]] net::WebSocketConnectionOptions settings(const net::ServerRequest& request, const Admission& admission,
                                                         const std::vector<std::string>& protocols) const;
  void begin(const SocketPtr& socket);
  SocketPtr add(std::shared_ptr<WebSocketConnection> connection, Admission admission,
                std::map<std::string, std::string> attributes);
  void forget(std::uint64_t number, const Error* end);
  [[nodiscard]] std::map<std::uint64_t, Open>::iterator entry_of(std::string_view id);

  Executor executor_;
  Clock& clock_;
  OriginPolicy origins_;
  Counter connections_;
  std::shared_ptr<Authenticator> authenticator_;  // null: everybody may come
  std::map<std::uint64_t, Open> open_;            // in the order of their coming
  std::multimap<std::string, std::uint64_t, std::less<>> by_user_;
  std::uint64_t last_number_ = 0;
  const std::string id_prefix_;
};

Error WebSocketManager::Core::unavailable(std::string text) const {
  auto refusal = handshake_refusal(503, std::move(text));
  refusal.retry_after_ms = static_cast<int>(std::chrono::ceil<milliseconds>(options.retry_after).count());
  return refusal;
}

std::optional<Error> WebSocketManager::Core::check(const net::ServerRequest& request) const {
  if (auto refused = check_handshake(request)) return refused;
  if (count_fields(request.headers, "origin") > 1 ||
      !origins_.allows(request.headers.get("origin"), request.headers.get("host"))) {
    return handshake_refusal(403, "this origin may not open a WebSocket here");
  }
  if (is_closed) return unavailable("this server is going away");
  return std::nullopt;
}

awaitable<result<WebSocketManager::Admission>> WebSocketManager::Core::admit(std::shared_ptr<Core> self,
                                                                             const net::ServerRequest& request) {
  if (auto refused = self->check(request)) co_return *std::move(refused);
  Admission admission;
  admission.slot = Slot::take(self->connections_, self->options.max_connections);
  if (!admission.slot) co_return self->unavailable("too many WebSocket connections");
  admission.deadline = self->clock_.now() + self->options.connection_timeout;
  if (!self->authenticator_) co_return admission;
  auto identifying = identify(self, request, admission);
  auto identity = co_await std::move(identifying);
  if (!identity) co_return identity.error();
  if (self->is_closed) co_return self->unavailable("this server is going away");
  admission.identity = *std::move(identity);
  co_return admission;
}

// Whoever gives the answer may hang: the client is refused in time.
awaitable<result<Identity>> WebSocketManager::Core::identify(std::shared_ptr<Core> self,
                                                             const net::ServerRequest& request,
                                                             const Admission& admission) {
  const auto asked = std::make_shared<Asked>(self->executor_, self->clock_, request, admission.slot);
  auto asking = ask(self->authenticator_, asked);
  auto ended = [asked](const std::exception_ptr& failure) {
    if (failure) asked->done.cancel();  // a callback threw: the identity is not known
  };
  asio::co_spawn(self->executor_, std::move(asking),
                 asio::bind_cancellation_slot(asked->cancel.slot(), std::move(ended)));
  if (!asked->identity) {
    auto waiting = asked->done.wait_until(admission.deadline);
    (void)co_await std::move(waiting);
  }
  if (!asked->identity) {
    asked->cancel.emit(asio::cancellation_type::terminal);  // nobody waits for the answer any more
    co_return self->unavailable("who the client is could not be found out");
  }
  if (*asked->identity) co_return *std::move(*asked->identity);
  const auto& error = asked->identity->error();
  if (error.status == 401 || error.status == 403) co_return handshake_refusal(error.status, error.message);
  log::warn("{}: who the client is could not be found out: {}", request.peer, error.message);
  co_return self->unavailable("who the client is could not be found out");
}

net::WebSocketConnectionOptions WebSocketManager::Core::settings(const net::ServerRequest& request,
                                                                 const Admission& admission,
                                                                 const std::vector<std::string>& protocols) const {
  net::WebSocketConnectionOptions settings;
  settings.max_message = options.max_message;
  settings.high_water = options.outbound_high_water;
  settings.low_water = options.outbound_low_water;
  settings.max_outbound = options.max_outbound;
  settings.handshake_timeout = std::max<Duration>(admission.deadline - clock_.now(), milliseconds(1));
  settings.close_timeout = options.close_timeout;
  settings.heartbeat_interval = options.heartbeat_interval;
  settings.heartbeat_timeout = options.heartbeat_timeout;
  settings.deflate = options.compression.enabled;
  settings.protocol = select_protocol(request.headers, protocols.empty() ? options.protocols : protocols);
  return settings;
}

awaitable<result<WebSocketManager::SocketPtr>> WebSocketManager::Core::upgrade(std::shared_ptr<Core> self,
                                                                               net::UpgradedSocket taken,
                                                                               const net::ServerRequest& request,
                                                                               Admission admission,
                                                                               AcceptOptions accept) {
  auto settings = self->settings(request, admission, accept.protocols);
  auto accepted = co_await WebSocketConnection::accept(std::move(taken), request, self->clock_, std::move(settings));
  if (!accepted) {
    self->tell_error(request.peer, accepted.error());
    co_return accepted.error();
  }
  auto socket = self->add(*std::move(accepted), std::move(admission), std::move(accept.attributes));
  if (self->is_closed) {  // while the handshake was under way
    std::string reason;
    auto closing = socket->close(1001, std::move(reason));
    co_await std::move(closing);
    co_return Error{Errc::closed, "this server is going away", 1001};
  }
  self->begin(socket);
  co_return socket;
}

// The socket is the program's from here on.
void WebSocketManager::Core::begin(const SocketPtr& socket) {
  const auto entry = entry_of(socket->id());
  if (entry == open_.end()) return;
  entry->second.told = true;
  if (open) open(socket);
  if (message) start_serving(socket);
}

void WebSocketManager::Core::start_serving(const SocketPtr& socket) {
  const auto entry = entry_of(socket->id());
  if (entry == open_.end() || socket->is_read_ || std::exchange(entry->second.is_served, true)) return;
  auto serving = serve(shared_from_this(), socket);
  asio::co_spawn(executor_, std::move(serving), asio::detached);
}

// The manager is gone: nobody is called any more, and what it alone has read is over.
void WebSocketManager::Core::abandon() {
  open = nullptr;
  message = nullptr;
  closed = nullptr;
  error_ = nullptr;
  is_closed = true;
  std::vector<SocketPtr> served;
  for (const auto& [number, entry] : open_) {
    if (auto socket = entry.is_served ? entry.socket.lock() : nullptr) served.push_back(std::move(socket));
  }
  for (const auto& socket : served) socket->abort();
}

WebSocketManager::SocketPtr WebSocketManager::Core::add(std::shared_ptr<WebSocketConnection> connection,
                                                        Admission admission,
                                                        std::map<std::string, std::string> attributes) {
  const auto number = ++last_number_;
  auto context = std::make_shared<ConnectionContext>();
  context->id = id_prefix_ + std::to_string(number);
  context->user_id = std::move(admission.identity.user_id);
  context->claims = std::move(admission.identity.claims);
  context->peer = connection->peer();
  context->protocol = connection->protocol();
  context->attributes = std::move(admission.identity.attributes);
  context->attributes.merge(attributes);
  context->expires = admission.identity.expires;
  if (!context->user_id.empty()) by_user_.emplace(context->user_id, number);
  const Socket::Rules rules{options.slow_consumer, options.max_outbound, options.outbound_high_water,
                            options.compression.threshold};
  SocketPtr socket(new Socket(connection, context, rules));
  if (authenticator_) socket->watch_expiry(clock_, authenticator_);
  open_.emplace(number, Open{socket, std::move(context), std::move(admission.slot)});
  connection->on_closed([weak = weak_from_this(), number, raw = connection.get(), slot = open_.at(number).slot] {
    if (const auto self = weak.lock()) self->forget(number, raw->end());
  });
  return socket;
}

void WebSocketManager::Core::forget(std::uint64_t number, const Error* end) {
  const auto found = open_.find(number);
  if (found == open_.end()) return;
  const auto context = found->second.context;
  const bool told = found->second.told;
  open_.erase(found);
  const auto [first, last] = by_user_.equal_range(context->user_id);
  const auto named = std::find_if(first, last, [number](const auto& entry) { return entry.second == number; });
  if (named != last) by_user_.erase(named);
  const Error lost{Errc::closed, "the connection was dropped", kAbnormal};
  const auto& why = end == nullptr ? lost : *end;
  if (why.code != Errc::closed || why.status == kAbnormal) tell_error(context->peer, why);
  const auto callback = closed;
  if (told && callback) callback(*context, why.status, why.message);
}

awaitable<void> WebSocketManager::Core::serve(std::shared_ptr<Core> self, SocketPtr socket) {
  for (;;) {
    auto reading = socket->read();
    auto message = co_await std::move(reading);
    if (!message) co_return;
    const auto callback = self->message;
    if (!callback) continue;
    bool failed = false;
    try {
      callback(socket, *std::move(message));
    } catch (const std::exception& exception) {
      failed = true;
      self->tell_error(socket->context().peer, {Errc::internal, exception.what()});
    }
    if (!failed) continue;
    std::string reason = "internal error";
    auto closing = socket->close(kInternalError, std::move(reason));
    co_await std::move(closing);
  }
}

std::vector<WebSocketManager::SocketPtr> WebSocketManager::Core::sockets() const {
  std::vector<SocketPtr> all;
  all.reserve(open_.size());
  for (const auto& [number, open] : open_) {
    if (auto socket = open.socket.lock()) all.push_back(std::move(socket));
  }
  return all;
}

std::vector<WebSocketManager::SocketPtr> WebSocketManager::Core::sockets_of(std::string_view user) const {
  std::vector<SocketPtr> all;
  const auto [first, last] = by_user_.equal_range(user);
  for (auto at = first; at != last; ++at) {
    if (auto socket = open_.at(at->second).socket.lock()) all.push_back(std::move(socket));
  }
  return all;
}

std::map<std::uint64_t, WebSocketManager::Core::Open>::iterator WebSocketManager::Core::entry_of(std::string_view id) {
  if (!id.starts_with(id_prefix_)) return open_.end();
  const std::string number(id.substr(id_prefix_.size()));
  const bool is_number =
      !number.empty() && number.size() <= 19 && number.find_first_not_of("0123456789") == std::string::npos;
  return is_number ? open_.find(std::stoull(number)) : open_.end();
}

WebSocketManager::SocketPtr WebSocketManager::Core::find(std::string_view id) {
  const auto found = entry_of(id);
  return found == open_.end() ? nullptr : found->second.socket.lock();
}

WebSocketManager::WebSocketManager(const Executor& executor, Clock& clock, WebSocketManagerOptions options,
                                   Counter connections, net::HttpTransport* transport)
    : core_(std::make_shared<Core>(executor, clock, std::move(options), std::move(connections), transport)),
      executor_(executor),
      clock_(clock) {}

WebSocketManager::~WebSocketManager() { core_->abandon(); }

void WebSocketManager::on_open(std::function<void(const SocketPtr&)> callback) { core_->open = std::move(callback); }
void WebSocketManager::on_message(std::function<void(const SocketPtr&, net::Message)> callback) {
  core_->message = std::move(callback);
}
void WebSocketManager::on_close(std::function<void(const ConnectionContext&, int, const std::string&)> callback) {
  core_->closed = std::move(callback);
}
void WebSocketManager::on_error(std::function<void(const std::string&, const Error&)> callback) {
  core_->error_ = std::move(callback);
}

net::ServerRequest WebSocketManager::plain_request(const http::fields& fields, std::string_view method,
                                                   std::string_view target, bool may_upgrade,
                                                   const asio::ip::tcp::socket& socket) {
  net::ServerRequest request;
  request.method = method;
  request.target = target;
  for (const auto& field : fields) request.headers.add(std::string(field.name_string()), std::string(field.value()));
  request.upgrade = may_upgrade;  // HTTP/1.0 knows no upgrade (RFC 9110 section 7.8)
  error_code error;
  const auto endpoint = socket.remote_endpoint(error);
  if (!error) request.peer = net::Endpoint{endpoint.address().to_string(), endpoint.port()}.to_string();
  return request;
}

awaitable<Accepted> WebSocketManager::Core::accept(std::shared_ptr<Core> core, TakeSocket take,
                                                   net::ServerRequest request, AcceptOptions options) {
  Accepted accepted;
  accepted.response.result(http::status::switching_protocols);
  auto admitting = Core::admit(core, request);
  auto admission = co_await std::move(admitting);
  if (!admission) {
    core->tell_error(request.peer, admission.error());
    accepted.error = admission.error();
    auto refusal = refusal_response(admission.error());
    accepted.response.result(static_cast<unsigned>(refusal.status));
    for (const auto& [name, value] : refusal.headers) accepted.response.insert(name, value);
    accepted.response.body() = std::move(refusal.body);
    accepted.response.prepare_payload();
    co_return accepted;
  }
  net::UpgradedSocket taken{take(), std::move(options.leftover)};
  auto upgrading = Core::upgrade(core, std::move(taken), request, *std::move(admission), std::move(options));
  auto socket = co_await std::move(upgrading);
  if (!socket) {
    accepted.error = socket.error();
    co_return accepted;
  }
  accepted.socket = *std::move(socket);
  accepted.context = accepted.socket->context();
  co_return accepted;
}

awaitable<result<WebSocketManager::SocketPtr>> WebSocketManager::Core::accept(std::shared_ptr<Core> core,
                                                                              net::HttpExchange& exchange,
                                                                              AcceptOptions options) {
  const auto& request = exchange.request();
  auto admitting = Core::admit(core, request);
  auto admission = co_await std::move(admitting);
  if (!admission) {
    core->tell_error(request.peer, admission.error());
    auto refusal = refusal_response(admission.error());
    co_await exchange.respond(refusal.status, std::move(refusal.headers), std::move(refusal.body));
    co_return admission.error();
  }
  auto taken = exchange.take_socket();
  auto upgrading = Core::upgrade(core, std::move(taken), request, *std::move(admission), std::move(options));
  co_return co_await std::move(upgrading);
}

// Coroutines begin when they are awaited, which may be after the manager's end: they own what they are about.
awaitable<Accepted> WebSocketManager::upgrade(TakeSocket take, net::ServerRequest request, AcceptOptions options) {
  return Core::accept(core_, std::move(take), std::move(request), std::move(options));
}

awaitable<result<WebSocketManager::SocketPtr>> WebSocketManager::accept(net::HttpExchange& exchange,
                                                                        AcceptOptions options) {
  return Core::accept(core_, exchange, std::move(options));
}

awaitable<result<WebSocketManager::SocketPtr>> WebSocketManager::accept(net::HttpExchange& exchange) {
  return accept(exchange, AcceptOptions());
}

awaitable<void> WebSocketManager::serve_exchange(std::shared_ptr<Core> core, net::HttpExchange& exchange) {
  auto accepting = Core::accept(core, exchange, AcceptOptions());
  const auto accepted = co_await std::move(accepting);
  if (accepted) core->start_serving(*accepted);  // nobody else reads it
}

result<net::Endpoint> WebSocketManager::listen(const net::Endpoint& endpoint) {
  net::HttpServerOptions options;
  options.header_timeout = core_->options.connection_timeout;
  options.max_connections = core_->options.max_connections + 64;  // room for refusals
  if (core_->options.tls) {
    auto tls = net::TlsServer::make(*core_->options.tls);
    if (!tls) return tls.error();
    options.tls = *std::move(tls);
  }
  auto handler = [core = core_](net::HttpExchange& exchange) { return serve_exchange(core, exchange); };
  server_ = std::make_unique<net::HttpServer>(executor_, clock_, options, std::move(handler));
  return server_->listen(endpoint);
}

std::vector<WebSocketManager::SocketPtr> WebSocketManager::get_active_connections() const { return core_->sockets(); }
std::vector<WebSocketManager::SocketPtr> WebSocketManager::get_user_sockets(std::string_view user_id) const {
  return core_->sockets_of(user_id);
}
std::size_t WebSocketManager::active_count() const noexcept { return core_->count(); }
WebSocketManager::SocketPtr WebSocketManager::find(std::string_view id) const { return core_->find(id); }

Delivery WebSocketManager::broadcast(const OutboundMessage& message, const Filter& filter) {
  Delivery delivery;
  for (const auto& socket : core_->sockets()) {
    if (filter && !filter(socket->context())) {
      ++delivery.skipped;
      continue;
    }
    const auto sent = socket->send(message);
    ++(sent == Sent::closed ? delivery.skipped : delivery.queued);
    if (sent == Sent::slow) ++delivery.slow;
  }
  return delivery;
}

awaitable<void> WebSocketManager::close(int code, std::string reason) {
  core_->is_closed = true;
  if (server_) server_->stop();
  return close_all(core_->executor(), core_->sockets(), code, std::move(reason));
}

awaitable<std::size_t> WebSocketManager::close_user(std::string user_id, int code, std::string reason) {
  return Core::close_user(core_, std::move(user_id), code, std::move(reason));
}

awaitable<std::size_t> WebSocketManager::Core::close_user(std::shared_ptr<Core> self, std::string user, int code,
                                                          std::string reason) {
  auto sockets = self->sockets_of(user);
  const auto number = sockets.size();
  auto closing = close_all(self->executor_, std::move(sockets), code, std::move(reason));
  co_await std::move(closing);
  co_return number;
}

}  // namespace fresnel::websocket

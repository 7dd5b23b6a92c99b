#include "fresnel/sim/api_server.hpp"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <utility>
#include <vector>

#include "fresnel/net/websocket_connection.hpp"
#include "fresnel/sim/active_watch.hpp"
#include "fresnel/sim/api.hpp"

namespace fresnel::sim {
namespace {

using namespace asio::experimental::awaitable_operators;
using net::HttpExchange;
using net::WebSocketConnection;
using WebSocketPtr = std::shared_ptr<WebSocketConnection>;
using State = ActiveWatch::State;

constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kBatch = 64u << 10;  // bytes of lines handed to the socket at a time

// The subprotocol to select: the first offered that carries no credential.
std::string selected_protocol(const net::ServerRequest& request) {
  std::string_view offered = request.headers.get("sec-websocket-protocol");
  while (!offered.empty()) {
    const auto comma = offered.find(',');
    auto protocol = offered.substr(0, comma);
    offered = comma == std::string_view::npos ? std::string_view() : offered.substr(comma + 1);
    while (!protocol.empty() && protocol.front() == ' ') protocol.remove_prefix(1);
    while (!protocol.empty() && protocol.back() == ' ') protocol.remove_suffix(1);
    if (!protocol.empty() && protocol.find("authorization.k8s.io") == std::string_view::npos) {
      return std::string(protocol);
    }
  }
  return {};
}

bool is_websocket(const net::ServerRequest& request) {
  return request.upgrade && net::equal_ignoring_case(request.headers.get("upgrade"), "websocket");
}

net::Headers json_headers(std::string content_type) {
  net::Headers headers;
  headers.add("content-type", std::move(content_type));
  headers.add("cache-control", "no-cache, private");
  return headers;
}

awaitable<void> respond(HttpExchange& exchange, Response response) {
  auto headers = json_headers(std::move(response.content_type));
  (void)co_await exchange.respond(response.status, std::move(headers), std::move(response.body));
}

awaitable<bool> cancelled() {
  const auto state = co_await asio::this_coro::cancellation_state;
  co_return state.cancelled() != asio::cancellation_type::none;
}

// Bytes back as they come, over a protocol that is no WebSocket (SPDY/3.1, or a test's own).
awaitable<void> echo_bytes(HttpExchange& exchange) {
  auto upgraded = exchange.take_socket();
  std::string head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ";
  head += exchange.request().headers.get("upgrade");
  head += "\r\n\r\n" + upgraded.leftover;
  const auto [failed, size] = co_await asio::async_write(upgraded.socket, asio::buffer(head), kNoThrow);
  std::vector<char> bytes(kBatch);
  bool open = !failed;
  while (open) {
    const auto [ended, count] = co_await upgraded.socket.async_read_some(asio::buffer(bytes), kNoThrow);
    if (ended) break;
    const auto part = asio::buffer(bytes.data(), count);
    const auto [broken, written] = co_await asio::async_write(upgraded.socket, part, kNoThrow);
    open = !broken;
  }
}

// Reads until the peer is gone, so that pings are answered and its end is noticed.
awaitable<void> read_to_end(WebSocketPtr socket) {
  for (;;) {
    const auto message = co_await socket->read();
    if (!message) co_return;
  }
}

}  // namespace

class ApiServer::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(const Executor& executor, Clock& clock, Resources& resources, AuthOptions auth, ApiServerOptions options)
      : executor_(executor),
        clock_(clock),
        resources_(resources),
        authorizer_(std::move(auth)),
        api_(resources, authorizer_),
        options_(options),
        compaction_(executor, clock) {}

  result<net::Endpoint> listen(const net::Endpoint& endpoint);
  void stop();
  void set_mode(Mode mode);
  void stop_watches(std::string_view path, State why);
  [[nodiscard]] ApiServerCounters counters() const;

  Authorizer& authorizer() { return authorizer_; }
  Api& api() { return api_; }
  ApiServerOptions& options() { return options_; }
  [[nodiscard]] std::size_t open_watches() const noexcept { return watches_.size(); }

 private:
  // The deadlines of one watch.
  struct Schedule {
    TimePoint end;
    TimePoint bookmark;  // TimePoint::max(): none wanted
  };

  static awaitable<void> serve_while_alive(std::weak_ptr<Impl> weak, HttpExchange& exchange);
  awaitable<void> serve(HttpExchange& exchange);
  awaitable<void> wait_until_serving();
  awaitable<void> watch_lines(HttpExchange& exchange, WatchRequest request);
  awaitable<void> pump_lines(HttpExchange& exchange, ActiveWatch& watch, WatchStream& stream, Schedule schedule);
  awaitable<void> watch_socket(HttpExchange& exchange, WatchRequest request);
  awaitable<void> pump_socket(WebSocketPtr socket, ActiveWatch& watch, WatchStream& stream, Schedule schedule);
  awaitable<void> echo(HttpExchange& exchange);
  awaitable<WebSocketPtr> accept_socket(HttpExchange& exchange);
  static awaitable<void> compact_regularly(std::shared_ptr<Impl> self, Duration interval, Revision revision);
  [[nodiscard]] Schedule schedule_of(const WatchRequest& request) const;
  bool take(WatchStream& stream, std::string& out);
  bool bookmark_if_due(WatchStream& stream, Schedule& schedule, std::string& out);

  Executor executor_;
  Clock& clock_;
  Resources& resources_;
  Authorizer authorizer_;
  Api api_;
  ApiServerOptions options_;
  Mode mode_ = Mode::serving;
  ApiServerCounters counters_;
  std::vector<ActiveWatch*> watches_;
  std::vector<Timer*> stalled_;
  std::vector<std::weak_ptr<WebSocketConnection>> sockets_;
  Timer compaction_;
  std::unique_ptr<net::HttpServer> server_;
};

result<net::Endpoint> ApiServer::Impl::listen(const net::Endpoint& endpoint) {
  auto handler = [self = weak_from_this()](HttpExchange& exchange) { return serve_while_alive(self, exchange); };
  server_ = std::make_unique<net::HttpServer>(executor_, clock_, options_.http, std::move(handler));
  auto bound = server_->listen(endpoint);
  if (!bound) {
    server_.reset();
    return bound;
  }
  api_.set_address(bound->to_string());
  if (options_.compaction_interval > Duration::zero()) {
    auto compacting =
        compact_regularly(shared_from_this(), options_.compaction_interval, resources_.store().revision());
    asio::co_spawn(executor_, std::move(compacting), asio::detached);
  }
  return bound;
}

void ApiServer::Impl::stop() {
  if (!server_) return;
  compaction_.cancel();
  stop_watches("", State::dropped);
  for (const auto& weak : std::exchange(sockets_, {})) {
    if (const auto socket = weak.lock()) socket->abort();
  }
  server_->stop();
  server_.reset();
  set_mode(mode_);  // wakes who is stalled: its connection is gone
}

void ApiServer::Impl::set_mode(Mode mode) {
  mode_ = mode;
  for (auto* timer : stalled_) timer->cancel();
  for (auto* watch : watches_) watch->wake();
}

void ApiServer::Impl::stop_watches(std::string_view path, State why) {
  for (auto* watch : watches_) {
    if (path.empty() || watch->path() == path) watch->stop(why);
  }
}

ApiServerCounters ApiServer::Impl::counters() const {
  auto counters = counters_;
  for (const auto* watch : watches_) ++counters.open_watches[watch->path()];
  return counters;
}

awaitable<void> ApiServer::Impl::compact_regularly(std::shared_ptr<Impl> self, Duration interval, Revision revision) {
  // As kube-apiserver does: at each tick, what was current at the tick before.
  for (;;) {
    const bool due = co_await self->compaction_.wait_for(interval);
    if (!due || !self->server_) co_return;
    auto& store = self->resources_.store();
    store.compact(std::exchange(revision, store.revision()));
  }
}

awaitable<void> ApiServer::Impl::wait_until_serving() {
  Timer timer(executor_, clock_);
  stalled_.push_back(&timer);
  if (mode_ == Mode::stalled) co_await timer.wait();
  std::erase(stalled_, &timer);
}

awaitable<void> ApiServer::Impl::serve_while_alive(std::weak_ptr<Impl> weak, HttpExchange& exchange) {
  if (const auto self = weak.lock()) co_await self->serve(exchange);
}

awaitable<void> ApiServer::Impl::serve(HttpExchange& exchange) {
  while (mode_ == Mode::stalled && server_) co_await wait_until_serving();
  ++counters_.requests;
  if (mode_ == Mode::unavailable) {
    Status status{
        .code = 503, .message = "the server is currently unable to handle the request", .reason = "ServiceUnavailable"};
    Response response(status);
    co_await respond(exchange, std::move(response));
    co_return;
  }
  const auto& request = exchange.request();
  auto answer = api_.handle(request);
  if (auto* response = std::get_if<Response>(&answer)) {
    const Query query(request.query());
    if (request.method == "GET" && info_of(request, query).verb == "list") ++counters_.list_requests;
    co_await respond(exchange, std::move(*response));
  } else if (auto* watch = std::get_if<WatchRequest>(&answer)) {
    ++counters_.watch_requests;
    auto serving =
        is_websocket(request) ? watch_socket(exchange, std::move(*watch)) : watch_lines(exchange, std::move(*watch));
    co_await std::move(serving);
  } else if (is_websocket(request)) {
    co_await echo(exchange);
  } else {
    co_await echo_bytes(exchange);
  }
}

ApiServer::Impl::Schedule ApiServer::Impl::schedule_of(const WatchRequest& request) const {
  const auto now = clock_.now();
  const Duration timeout =
      request.timeout_seconds > 0 ? Duration(seconds(request.timeout_seconds)) : options_.watch_timeout;
  return {.end = now + timeout, .bookmark = request.bookmarks ? now + options_.bookmark_interval : TimePoint::max()};
}

// True when there are more lines for now than fit into one batch.
bool ApiServer::Impl::take(WatchStream& stream, std::string& out) {
  if (mode_ == Mode::stalled) return false;
  while (out.size() < kBatch) {
    if (!stream.next(out, resources_.now())) return false;
  }
  return true;
}

// Called when everything has been taken.
bool ApiServer::Impl::bookmark_if_due(WatchStream& stream, Schedule& schedule, std::string& out) {
  const auto now = clock_.now();
  if (mode_ == Mode::stalled || schedule.bookmark == TimePoint::max()) return false;
  if (now < schedule.bookmark && now < schedule.end) return false;
  stream.bookmark(out, resources_.now());
  schedule.bookmark = now < schedule.end ? now + options_.bookmark_interval : TimePoint::max();
  return true;
}

awaitable<void> ApiServer::Impl::watch_lines(HttpExchange& exchange, WatchRequest request) {
  ActiveWatch watch(executor_, clock_, std::string(exchange.request().path()), watches_);
  const auto schedule = schedule_of(request);
  auto opened = WatchStream::open(resources_.store(), std::move(request), [&watch] { watch.wake(); });
  if (!opened && options_.expired_as_http_status) {
    Response response(opened.error());
    co_await respond(exchange, std::move(response));
    co_return;
  }
  auto headers = json_headers("application/json");
  const auto begun = co_await exchange.begin(200, std::move(headers));
  if (!begun) co_return;
  if (!opened) {
    const auto line = error_line(opened.error());
    (void)co_await exchange.write(line);
    (void)co_await exchange.finish();
    co_return;
  }
  auto pump = pump_lines(exchange, watch, **opened, schedule);
  auto gone = exchange.wait_for_disconnect();
  co_await (std::move(pump) || std::move(gone));
}

awaitable<void> ApiServer::Impl::pump_lines(HttpExchange& exchange, ActiveWatch& watch, WatchStream& stream,
                                            Schedule schedule) {
  std::string lines;
  while (watch.state() != State::dropped) {
    lines.clear();
    const bool more = take(stream, lines);
    if (!more) bookmark_if_due(stream, schedule, lines);
    if (!lines.empty()) {
      const auto written = co_await exchange.write(lines);
      if (!written) co_return;
      continue;
    }
    const bool ended = watch.state() == State::ended || clock_.now() >= schedule.end || stream.overrun();
    if (ended && mode_ != Mode::stalled) {
      (void)co_await exchange.finish();
      co_return;
    }
    const auto until = mode_ == Mode::stalled ? TimePoint::max() : std::min(schedule.end, schedule.bookmark);
    co_await watch.wait_until(until);
    if (co_await cancelled()) co_return;
  }
}

awaitable<WebSocketPtr> ApiServer::Impl::accept_socket(HttpExchange& exchange) {
  net::WebSocketConnectionOptions options;
  options.max_message = 16u << 20;
  options.protocol = selected_protocol(exchange.request());
  auto upgraded = exchange.take_socket();
  auto accepted =
      co_await WebSocketConnection::accept(std::move(upgraded), exchange.request(), clock_, std::move(options));
  if (!accepted) co_return nullptr;
  std::erase_if(sockets_, [](const auto& weak) { return weak.expired(); });
  sockets_.push_back(*accepted);
  if (!server_) (*accepted)->abort();
  co_return *accepted;
}

awaitable<void> ApiServer::Impl::watch_socket(HttpExchange& exchange, WatchRequest request) {
  ActiveWatch watch(executor_, clock_, std::string(exchange.request().path()), watches_);
  const auto schedule = schedule_of(request);
  auto opened = WatchStream::open(resources_.store(), std::move(request), [&watch] { watch.wake(); });
  if (!opened && options_.expired_as_http_status) {
    Response response(opened.error());
    co_await respond(exchange, std::move(response));
    co_return;
  }
  const auto socket = co_await accept_socket(exchange);
  if (!socket) co_return;
  asio::co_spawn(executor_, read_to_end(socket), asio::detached);
  if (opened) {
    const auto woken = std::make_shared<ActiveWatch*>(&watch);
    socket->on_closed([woken] {
      if (*woken != nullptr) (*woken)->stop(State::dropped);
    });
    socket->on_drained([woken] {
      if (*woken != nullptr) (*woken)->wake();
    });
    auto pump = pump_socket(socket, watch, **opened, schedule);
    co_await std::move(pump);
    *woken = nullptr;
  } else {
    (void)socket->send(error_line(opened.error()));
  }
  if (watch.state() == State::dropped) {
    socket->abort();
  } else {
    std::string reason;
    co_await socket->close(1000, std::move(reason));
  }
}

awaitable<void> ApiServer::Impl::pump_socket(WebSocketPtr socket, ActiveWatch& watch, WatchStream& stream,
                                             Schedule schedule) {
  constexpr std::size_t kHighWater = 1u << 20;  // the connection's own default, at which on_drained begins to count
  while (watch.state() != State::dropped) {
    std::string line;
    const bool room = socket->outbound_bytes() < kHighWater && mode_ != Mode::stalled;
    if (room && (stream.next(line, resources_.now()) || bookmark_if_due(stream, schedule, line))) {
      if (!net::accepted(socket->send(std::move(line)))) co_return;
      continue;
    }
    const bool ended = watch.state() == State::ended || clock_.now() >= schedule.end || stream.overrun();
    if (ended && room) co_return;
    const auto until = room ? std::min(schedule.end, schedule.bookmark) : TimePoint::max();
    co_await watch.wait_until(until);
    if (co_await cancelled()) co_return;
  }
}

awaitable<void> ApiServer::Impl::echo(HttpExchange& exchange) {
  const auto socket = co_await accept_socket(exchange);
  if (!socket) co_return;
  while (auto message = co_await socket->read()) {
    const bool binary = message->binary;
    const auto sent =
        binary ? socket->send_binary(std::move(message->payload)) : socket->send(std::move(message->payload));
    // What a peer that does not read may let pile up is bounded by the connection.
    if (!net::accepted(sent)) break;
  }
}

ApiServer::ApiServer(const Executor& executor, Clock& clock, Resources& resources, AuthOptions auth,
                     ApiServerOptions options)
    : impl_(std::make_shared<Impl>(executor, clock, resources, std::move(auth), options)) {}

ApiServer::~ApiServer() { stop(); }

result<net::Endpoint> ApiServer::listen(const net::Endpoint& endpoint) { return impl_->listen(endpoint); }

void ApiServer::stop() { impl_->stop(); }

void ApiServer::set_mode(Mode mode) { impl_->set_mode(mode); }

void ApiServer::set_auth(AuthOptions auth) { impl_->authorizer().set(std::move(auth)); }

void ApiServer::set_expired_as_http_status(bool on) { impl_->options().expired_as_http_status = on; }

void ApiServer::set_streaming_lists(bool on) { impl_->api().set_streaming_lists(on); }

void ApiServer::drop_watches(std::string_view path) { impl_->stop_watches(path, State::dropped); }

void ApiServer::end_watches(std::string_view path) { impl_->stop_watches(path, State::ended); }

ApiServerCounters ApiServer::counters() const { return impl_->counters(); }

std::size_t ApiServer::open_watches() const noexcept { return impl_->open_watches(); }

}  // namespace fresnel::sim

#include "fresnel/websocket/websocket_manager.hpp"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <map>
#include <optional>
#include <utility>

namespace fresnel::websocket {
namespace {

using net::WebSocketConnection;

constexpr std::string_view kSpace = " \t";

// Calls `use` for each element of the comma-separated lists in all fields called `name` (RFC 9110 section 5.6.1).
template <class Use>
void for_each_element(const net::Headers& headers, std::string_view name, Use use) {
  for (const auto& [field, value] : headers) {
    if (!net::equal_ignoring_case(field, name)) continue;
    std::string_view rest = value;
    while (!rest.empty()) {
      const auto comma = std::min(rest.find(','), rest.size());
      auto element = rest.substr(0, comma);
      rest.remove_prefix(std::min(comma + 1, rest.size()));
      element.remove_prefix(std::min(element.find_first_not_of(kSpace), element.size()));
      element = element.substr(0, element.find_last_not_of(kSpace) + 1);
      if (!element.empty()) use(element);
    }
  }
}

bool lists(const net::Headers& headers, std::string_view name, std::string_view wanted) {
  bool found = false;
  for_each_element(headers, name,
                   [&](std::string_view element) { found = found || net::equal_ignoring_case(element, wanted); });
  return found;
}

std::size_t count(const net::Headers& headers, std::string_view name) {
  return static_cast<std::size_t>(std::count_if(
      headers.begin(), headers.end(), [&](const auto& field) { return net::equal_ignoring_case(field.first, name); }));
}

// 16 bytes in base64 (RFC 6455 section 4.1).
bool is_key(std::string_view key) {
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  return key.size() == 24 && key.ends_with("==") &&
         key.substr(0, 22).find_first_not_of(kAlphabet) == std::string_view::npos;
}

std::string_view reason_of(int status) {
  switch (status) {
    case 403: return "Forbidden";
    case 426: return "UpgradeRequired";
    case 503: return "ServiceUnavailable";
    default: return "BadRequest";
  }
}

Error refusal(int status, std::string message) {
  const auto code = status == 403 ? Errc::forbidden : status == 503 ? Errc::throttled : Errc::invalid_argument;
  return {code, std::move(message), status, std::string(reason_of(status))};
}

// RFC 6455 section 4.2.1.
std::optional<Error> check_handshake(const net::ServerRequest& request) {
  const auto& headers = request.headers;
  if (request.method != "GET") return refusal(400, "a WebSocket is opened by GET");
  if (!lists(headers, "upgrade", "websocket") || !lists(headers, "connection", "upgrade")) {
    return refusal(426, "this address speaks WebSocket only");
  }
  if (headers.get("sec-websocket-version") != "13") return refusal(426, "only version 13 of WebSocket is spoken here");
  if (!is_key(headers.get("sec-websocket-key"))) return refusal(400, "Sec-WebSocket-Key is missing or malformed");
  return std::nullopt;
}

awaitable<void> respond(net::HttpExchange& exchange, Error error) {
  net::Headers headers;
  headers.add("content-type", "application/json");
  if (error.status == 426) {
    headers.add("upgrade", "websocket");
    headers.add("sec-websocket-version", "13");
  }
  if (error.retry_after_ms > 0) headers.add("retry-after", std::to_string((error.retry_after_ms + 999) / 1000));
  const boost::json::object object{{"error", error.message}, {"code", error.status}, {"reason", error.reason}};
  std::string body = boost::json::serialize(object);
  co_await exchange.respond(error.status, std::move(headers), std::move(body));
}

// Counts coroutines that are under way; whoever waits goes on when none is left.
class Pending {
 public:
  explicit Pending(const Executor& executor) : none_(executor, TimePoint::max()) {}
  void add() noexcept { ++count_; }
  void remove() {
    if (--count_ == 0) none_.cancel();
  }
  static awaitable<void> wait(std::shared_ptr<Pending> self) {
    while (self->count_ > 0) co_await self->none_.async_wait(asio::as_tuple(asio::use_awaitable));
  }

 private:
  std::size_t count_ = 0;
  asio::steady_timer none_;
};

}  // namespace

// Shared with the callbacks of connections, which may outlive the manager.
class WebSocketManager::Registry {
 public:
  std::uint64_t add(const std::shared_ptr<WebSocketConnection>& connection) {
    connections.emplace(++last_id_, connection);
    return last_id_;
  }

  std::map<std::uint64_t, std::weak_ptr<WebSocketConnection>> connections;
  bool closed = false;

 private:
  std::uint64_t last_id_ = 0;
};

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

WebSocketManager::WebSocketManager(Clock& clock, WebSocketManagerOptions options, Counter connections)
    : clock_(clock),
      options_(std::move(options)),
      origins_(OriginPolicy::parse(options_.allowed_origins).value()),
      connections_(connections ? std::move(connections) : std::make_shared<std::atomic<std::size_t>>(0)),
      registry_(std::make_shared<Registry>()) {}

WebSocketManager::~WebSocketManager() = default;

awaitable<result<std::shared_ptr<WebSocketConnection>>> WebSocketManager::accept(net::HttpExchange& exchange) {
  return accept(exchange, options_.protocols);
}

awaitable<result<std::shared_ptr<WebSocketConnection>>> WebSocketManager::accept(net::HttpExchange& exchange,
                                                                                 std::vector<std::string> protocols) {
  const auto& request = exchange.request();
  auto refused = check_handshake(request);
  if (!refused && (count(request.headers, "origin") > 1 ||
                   !origins_.allows(request.headers.get("origin"), request.headers.get("host")))) {
    refused = refusal(403, "this origin may not open a WebSocket here");
  }
  std::shared_ptr<Slot> slot;
  if (!refused) {
    if (!registry_->closed) slot = Slot::take(connections_, options_.max_connections);
    if (!slot) {
      refused = refusal(503, registry_->closed ? "this server is going away" : "too many WebSocket connections");
      refused->retry_after_ms = static_cast<int>(std::chrono::ceil<milliseconds>(options_.retry_after).count());
    }
  }
  if (refused) {
    co_await respond(exchange, *refused);
    co_return *refused;
  }

  net::WebSocketConnectionOptions settings;
  settings.max_message = options_.max_message;
  settings.high_water = options_.outbound_high_water;
  settings.low_water = options_.outbound_low_water;
  settings.max_outbound = options_.max_outbound;
  settings.handshake_timeout = options_.connection_timeout;
  settings.close_timeout = options_.close_timeout;
  settings.heartbeat_interval = options_.heartbeat_interval;
  settings.heartbeat_timeout = options_.heartbeat_timeout;
  settings.deflate = options_.deflate;
  settings.protocol = select_protocol(request.headers, protocols);

  const auto registry = registry_;  // the manager may be gone after the handshake
  auto socket = exchange.take_socket();
  auto accepted = co_await WebSocketConnection::accept(std::move(socket), request, clock_, std::move(settings));
  if (!accepted) co_return accepted.error();
  const auto& connection = *accepted;
  const auto id = registry->add(connection);
  connection->on_closed([weak = std::weak_ptr<Registry>(registry), id, slot] {
    if (const auto alive = weak.lock()) alive->connections.erase(id);
  });
  if (registry->closed) {  // while the handshake was under way
    std::string reason;
    co_await connection->close(1001, std::move(reason));
    co_return Error{Errc::closed, "this server is going away", 1001};
  }
  co_return connection;
}

std::vector<std::shared_ptr<WebSocketConnection>> WebSocketManager::get_active_connections() const {
  std::vector<std::shared_ptr<WebSocketConnection>> active;
  active.reserve(registry_->connections.size());
  for (const auto& [id, weak] : registry_->connections) {
    if (auto connection = weak.lock()) active.push_back(std::move(connection));
  }
  return active;
}

std::size_t WebSocketManager::active_count() const noexcept { return registry_->connections.size(); }

awaitable<void> WebSocketManager::close(int code, std::string reason) {
  registry_->closed = true;
  const auto executor = co_await asio::this_coro::executor;
  const auto pending = std::make_shared<Pending>(executor);
  for (const auto& connection : get_active_connections()) {
    pending->add();
    auto closing = connection->close(code, reason);
    asio::co_spawn(executor, std::move(closing), [pending](std::exception_ptr) { pending->remove(); });
  }
  co_await Pending::wait(pending);
}

std::string select_protocol(const net::Headers& headers, const std::vector<std::string>& served) {
  for (const auto& protocol : served) {
    if (protocol.starts_with("base64url.")) continue;
    bool offered = false;
    for_each_element(headers, "sec-websocket-protocol",
                     [&](std::string_view element) { offered = offered || element == protocol; });
    if (offered) return protocol;
  }
  return {};
}

}  // namespace fresnel::websocket

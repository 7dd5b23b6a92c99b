// The WebSockets of a server: who may open one, how many there are, and how all are closed together.
//
//   WebSocketManager manager(clock, options);
//   auto socket = co_await manager.accept(exchange);       // in an HttpServer's handler
//   if (!socket) co_return;                                // refused; the response has been written
//   ...
//   co_await manager.close();                              // 1001 to all, and nobody is let in any more
//
// The manager does not own connections: whoever accepted one does. It forgets a connection when that is over.
//
// Thread safety: one thread. A server with a manager a thread gives them one `connections` counter, so that
// max_connections holds for all of them together.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "fresnel/base/asio.hpp"
#include "fresnel/base/clock.hpp"
#include "fresnel/base/error.hpp"
#include "fresnel/net/http_server.hpp"
#include "fresnel/net/websocket_connection.hpp"
#include "fresnel/websocket/origin_policy.hpp"

namespace fresnel::websocket {

struct WebSocketManagerOptions {
  std::size_t max_connections = 10'000;       // beyond: 503 with Retry-After
  Duration connection_timeout = seconds(10);  // from accept() to the finished handshake
  Duration heartbeat_interval = seconds(30);  // silence after which a ping is sent; zero: no heartbeat
  Duration heartbeat_timeout = seconds(60);   // no sign of life for so long ends the connection
  Duration close_timeout = seconds(10);       // for a connection to drain and the peer to answer a Close
  Duration retry_after = seconds(5);          // told to clients that were refused with 503
  std::size_t max_message = 64u << 10;        // bytes inbound; beyond: close code 1009
  std::size_t outbound_high_water = 1u << 20;
  std::size_t outbound_low_water = 256u << 10;
  std::size_t max_outbound = 64u << 20;
  bool deflate = false;                      // grant permessage-deflate to clients that offer it
  std::vector<std::string> allowed_origins;  // "scheme://host[:port]" or "*", beside the server's own host
  std::vector<std::string> protocols;        // subprotocols the server may select, the preferred one first
};

class WebSocketManager {
 public:
  using Counter = std::shared_ptr<std::atomic<std::size_t>>;

  // `connections` counts those of all managers that share it; null: a counter of its own.
  // Throws when an allowed origin is malformed (OriginPolicy::parse says so without throwing).
  WebSocketManager(Clock& clock, WebSocketManagerOptions options, Counter connections = nullptr);
  ~WebSocketManager();
  WebSocketManager(const WebSocketManager&) = delete;
  WebSocketManager& operator=(const WebSocketManager&) = delete;

  // Upgrades the exchange's connection, or writes a refusal: 400 (method, key), 426 (no upgrade, or another version
  // than 13), 403 (foreign Origin), 503 (max_connections, or close() has been called). Its body is
  // {"error":"a sentence","code":403,"reason":"Forbidden"}; the Error has the same message and status.
  // The second form selects among `protocols` instead of the options'.
  [[nodiscard]] awaitable<result<std::shared_ptr<net::WebSocketConnection>>> accept(net::HttpExchange& exchange);
  [[nodiscard]] awaitable<result<std::shared_ptr<net::WebSocketConnection>>> accept(net::HttpExchange& exchange,
                                                                                    std::vector<std::string> protocols);

  // This manager's connections that are not over, in the order of their coming.
  [[nodiscard]] std::vector<std::shared_ptr<net::WebSocketConnection>> get_active_connections() const;
  // How many there are.
  [[nodiscard]] std::size_t active_count() const noexcept;

  // Refuses new connections from now on and closes all others at once, each within close_timeout; returns when all
  // are over.
  [[nodiscard]] awaitable<void> close(int code = 1001, std::string reason = {});

 private:
  class Registry;
  class Slot;

  Clock& clock_;
  WebSocketManagerOptions options_;
  OriginPolicy origins_;
  Counter connections_;
  std::shared_ptr<Registry> registry_;
};

// The first of `served` that the client offers in its Sec-WebSocket-Protocol fields, empty when there is none. A
// protocol that carries a credential (base64url.*) is never selected: the response would echo it.
[[nodiscard]] std::string select_protocol(const net::Headers& headers, const std::vector<std::string>& served);

}  // namespace fresnel::websocket

// Channels on one thread of the gateway: who has connected to /channels, and what back ends ask for over HTTP.
//
//   GET  /channels                  WebSocket: the channel protocol (channel/channel_message.hpp)
//   POST /api/broadcast             {"channel": NAME, "data": any JSON, "selection": SELECTION} -> what came of it here
//   POST /api/users/<id>/close      {"code": 1008, "reason": TEXT}, both optional -> {"closed": NUMBER}
//   GET  /api/channels              -> {"channels": [{"name", "subscribers", ...}]}
//   SELECTION = {"user_ids": [TEXT], "attributes": {NAME: TEXT}, "exclude_connection_id": TEXT}
//
// Without a channel a broadcast is for everybody at /channels. Sockets of the multiplexer and of watches are not
// touched by any of it.
//
// Thread safety: one thread, that of the executor, but for count().
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fresnel/base/asio.hpp"
#include "fresnel/base/clock.hpp"
#include "fresnel/base/error.hpp"
#include "fresnel/broker/broker.hpp"
#include "fresnel/channel/broadcaster.hpp"
#include "fresnel/gateway/metrics.hpp"
#include "fresnel/gateway/options.hpp"
#include "fresnel/net/http_server.hpp"
#include "fresnel/websocket/websocket_manager.hpp"

namespace fresnel::gateway {

class ChannelRoutes;

// What all threads share. Immutable after the gateway's start.
struct ChannelService {
  websocket::Authentication users;      // of /channels
  websocket::Authentication back_ends;  // of /api; requires nothing: there is no /api
  std::unique_ptr<broker::Broker> broker;
  std::vector<ChannelRoutes*> threads;
};

class ChannelRoutes {
 public:
  using Socket = std::shared_ptr<websocket::Socket>;
  // Subscribers by channel.
  using Count = std::map<std::string, std::size_t>;

  ChannelRoutes(const Executor& executor, Clock& clock, const GatewayOptions& options, ChannelService& service,
                websocket::WebSocketManager::Counter connections, Metrics& metrics);
  ~ChannelRoutes();
  ChannelRoutes(const ChannelRoutes&) = delete;
  ChannelRoutes& operator=(const ChannelRoutes&) = delete;

  // Once service.broker is there, before any of the others.
  void join();
  // Upgrades the exchange, or answers it. `anonymous` lets a client in that nobody asked who it is.
  [[nodiscard]] awaitable<result<Socket>> accept(net::HttpExchange& exchange, bool anonymous);
  // Until the connection is over.
  [[nodiscard]] awaitable<void> serve(Socket socket);
  // Of paths below /api/. Returns the status that the client was sent.
  [[nodiscard]] awaitable<int> serve_api(net::HttpExchange& exchange, std::string_view path);
  // Closes the sockets with 1001.
  [[nodiscard]] awaitable<void> close();
  // When every socket's serve() and every exchange has ended: takes this thread out of the broker.
  void leave();
  // From another thread, by co_spawn on this one's executor.
  [[nodiscard]] awaitable<Count> count();
  [[nodiscard]] const Executor& executor() const noexcept { return executor_; }

 private:
  [[nodiscard]] awaitable<int> broadcast(net::HttpExchange& exchange);
  [[nodiscard]] awaitable<int> close_user(net::HttpExchange& exchange, std::string_view encoded_user);
  [[nodiscard]] awaitable<int> list(net::HttpExchange& exchange);

  Executor executor_;
  const GatewayOptions& options_;
  ChannelService& service_;
  Metrics& metrics_;
  websocket::WebSocketManager sockets_;
  std::shared_ptr<websocket::Authenticator> back_ends_;  // null: there is no /api
  std::optional<channel::Broadcaster> broadcaster_;
};

}  // namespace fresnel::gateway

// One thread of the gateway: its listener, its HTTP client, its WebSockets, and the routes. Internal to gateway.
//
// Thread safety: listen() before run(); everything else on the worker's own thread, but for drain() and finish().
#pragma once

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "fresnel/base/clock.hpp"
#include "fresnel/gateway/channel_routes.hpp"
#include "fresnel/gateway/cluster_routes.hpp"
#include "fresnel/gateway/clusters.hpp"
#include "fresnel/gateway/metrics.hpp"
#include "fresnel/gateway/options.hpp"
#include "fresnel/gateway/static_files.hpp"
#include "fresnel/gateway/tunnel_route.hpp"
#include "fresnel/hub/hub.hpp"
#include "fresnel/net/curl_client.hpp"
#include "fresnel/net/http_server.hpp"
#include "fresnel/session/direct_watch_session.hpp"
#include "fresnel/websocket/websocket_manager.hpp"

namespace fresnel::gateway {

// What all workers share. Immutable after start(), but for atomics.
struct Shared {
  Shared(GatewayOptions gateway_options, Clusters known)
      : options(std::move(gateway_options)), clusters(std::move(known)) {}

  const GatewayOptions options;
  const Clusters clusters;
  std::shared_ptr<const net::TlsServer> tls;  // null: plain HTTP
  SteadyClock clock;
  Metrics metrics;
  websocket::OriginPolicy origins;
  std::optional<StaticFiles> files;
  bool loopback_listener = false;
  std::atomic<bool> ready{false};
  websocket::WebSocketManager::Counter connections = std::make_shared<std::atomic<std::size_t>>(0);
  std::unique_ptr<hub::Hub> hub;
  ChannelService channels;
};

class Worker {
 public:
  Worker(Shared& shared, std::size_t number);
  ~Worker();

  [[nodiscard]] hub::HubThread hub_thread() { return {io_.get_executor(), &client_}; }
  [[nodiscard]] ChannelRoutes& channels() noexcept { return channels_; }
  [[nodiscard]] result<net::Endpoint> listen(const net::Endpoint& endpoint) { return server_.listen(endpoint); }
  void run();
  // Ends everything that clients began. The future is ready when their handlers have ended.
  [[nodiscard]] std::future<void> drain();
  // After the drain of all workers and the hub's stop: ends the thread. False when it would not end in time and had to
  // be cut off.
  [[nodiscard]] bool finish(Duration limit);

 private:
  // What is under way on this thread, for drain(). Not only while it runs: a cancelled coroutine is destroyed by
  // unwinding too, and counts as ended.
  class Handling {
   public:
    explicit Handling(Worker& worker) noexcept : worker_(&worker) { ++worker.handlers_; }
    Handling(Handling&& other) noexcept : worker_(std::exchange(other.worker_, nullptr)) {}
    Handling& operator=(Handling&&) = delete;
    ~Handling() {
      if (worker_ == nullptr) return;
      --worker_->handlers_;
      worker_->note_drained();
    }

   private:
    Worker* worker_;
  };
  using Socket = std::shared_ptr<websocket::Socket>;

  awaitable<void> handle(net::HttpExchange& exchange);
  awaitable<int> route(net::HttpExchange& exchange);
  awaitable<int> serve_own(net::HttpExchange& exchange, std::string_view path);
  awaitable<int> serve_file(net::HttpExchange& exchange, std::string_view path);
  awaitable<int> serve_multiplexer(net::HttpExchange& exchange);
  awaitable<int> serve_channels(net::HttpExchange& exchange);
  awaitable<int> serve_cluster(net::HttpExchange& exchange, std::string_view path);
  awaitable<int> serve_watch(net::HttpExchange& exchange, ClusterRoute route, kube::ClusterContext cluster);
  // An open socket is served beside the exchange that opened it, whose memory is free then.
  static awaitable<void> run_multiplexer(Handling handling, Worker& worker, Socket socket,
                                         session::ClusterResolver resolver);
  static awaitable<void> run_channels(Handling handling, Worker& worker, Socket socket);
  static awaitable<void> run_watch(Handling handling, Worker& worker,
                                   std::shared_ptr<session::DirectWatchSession> watch, Socket socket);
  void spawn(awaitable<void> serving);
  awaitable<int> refuse(net::HttpExchange& exchange, BadInput kind, int status, std::string message);
  awaitable<int> refuse(net::HttpExchange& exchange, BadInput kind, int status, std::string message,
                        net::Headers headers);
  awaitable<void> end_sockets();
  void note_drained();

  [[nodiscard]] result<kube::ClusterContext> resolve(std::string_view cluster, const std::string& token,
                                                     bool anonymous) const;
  [[nodiscard]] bool anonymous_allowed(const net::ServerRequest& request) const;
  [[nodiscard]] session::SessionServices services();

  Shared& shared_;
  const std::size_t number_;
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> guard_ = asio::make_work_guard(io_);
  net::CurlClient client_;
  websocket::WebSocketManager sockets_;
  ChannelRoutes channels_;
  Tunnels tunnels_;
  net::HttpServer server_;
  std::size_t handlers_ = 0;  // of Handling
  bool draining_ = false;
  bool told_drained_ = false;
  std::promise<void> drained_;
  std::promise<void> ended_;
  std::thread thread_;
};

}  // namespace fresnel::gateway

// One thread of the gateway: its listener, its HTTP client, its WebSockets, and the routes. Internal to gateway.
//
// Thread safety: listen() before run(); everything else on the worker's own thread, but for what says otherwise,
// drain() and finish().
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
#include <unordered_set>
#include <utility>
#include <vector>

#include "fresnel/base/clock.hpp"
#include "fresnel/gateway/backend_token.hpp"
#include "fresnel/gateway/channel_routes.hpp"
#include "fresnel/gateway/client_access.hpp"
#include "fresnel/gateway/cluster_routes.hpp"
#include "fresnel/gateway/clusters.hpp"
#include "fresnel/gateway/dynamic_clusters.hpp"
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

class Worker;

// A browser has another token for a cluster, or none any more.
struct StoredToken {
  std::string session_id;  // the browser's
  std::string cluster;
  std::string old_token;  // that it had till now
  std::string token;      // empty: none any more
};

// What all workers share. Immutable after start(), but for atomics.
struct Shared {
  Shared(GatewayOptions gateway_options, Clusters known)
      : options(std::move(gateway_options)), first_clusters(std::make_shared<const Clusters>(std::move(known))) {}

  const GatewayOptions options;
  const std::shared_ptr<const Clusters> first_clusters;  // workers are told of later ones
  BackendToken backend_token;
  std::shared_ptr<const net::TlsServer> tls;  // null: plain HTTP
  SteadyClock clock;
  Metrics metrics;
  websocket::OriginPolicy origins;
  std::optional<StaticFiles> files;
  bool loopback_listener = false;
  std::atomic<bool> ready{false};
  websocket::WebSocketManager::Counter connections = std::make_shared<std::atomic<std::size_t>>(0);
  DynamicClusters dynamic_clusters{clock};
  std::unique_ptr<hub::Hub> hub;
  std::vector<Worker*> workers;
  ChannelService channels;
};

class Worker {
 public:
  Worker(Shared& shared, std::size_t number);
  ~Worker();

  [[nodiscard]] hub::HubThread hub_thread() { return {io_.get_executor(), &client_}; }
  [[nodiscard]] ChannelRoutes& channels() noexcept { return channels_; }
  [[nodiscard]] result<net::Endpoint> listen(const net::Endpoint& endpoint) { return server_.listen(endpoint); }
  [[nodiscard]] Executor executor() { return io_.get_executor(); }
  void run();
  // From any thread: the clusters are others from now on; open subscriptions move to where they belong.
  void use_clusters(std::shared_ptr<const Clusters> clusters);
  // From any thread.
  void take_token(StoredToken stored);
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
  // A client with an open connection, known to clients_ while it is.
  class Client {
   public:
    Client(Worker& worker, ClientAccess access) : access(std::move(access)), worker_(worker) {
      worker_.clients_.insert(this);
    }
    ~Client() { worker_.clients_.erase(this); }
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    ClientAccess access;

   private:
    Worker& worker_;
  };
  using ClientPtr = std::shared_ptr<Client>;

  awaitable<void> handle(net::HttpExchange& exchange);
  awaitable<int> route(net::HttpExchange& exchange);
  awaitable<int> serve_own(net::HttpExchange& exchange, std::string_view path);
  awaitable<int> serve_file(net::HttpExchange& exchange, std::string_view path);
  awaitable<int> serve_multiplexer(net::HttpExchange& exchange);
  awaitable<int> serve_channels(net::HttpExchange& exchange);
  awaitable<int> serve_cluster(net::HttpExchange& exchange, std::string_view path);
  awaitable<int> serve_set_token(net::HttpExchange& exchange, ClusterRoute route, net::Headers extra);
  awaitable<int> serve_watch(net::HttpExchange& exchange, ClusterRoute route, ClientAccess access);
  // An open socket is served beside the exchange that opened it, whose memory is free then.
  static awaitable<void> run_multiplexer(Handling handling, Worker& worker, Socket socket, ClientPtr client);
  static awaitable<void> run_channels(Handling handling, Worker& worker, Socket socket);
  static awaitable<void> run_watch(Handling handling, Worker& worker,
                                   std::shared_ptr<session::DirectWatchSession> watch, Socket socket);
  void spawn(awaitable<void> serving);
  awaitable<int> refuse(net::HttpExchange& exchange, BadInput kind, int status, std::string message);
  awaitable<int> refuse(net::HttpExchange& exchange, BadInput kind, int status, std::string message,
                        net::Headers headers);
  awaitable<void> end_sockets();
  void note_drained();

  [[nodiscard]] result<kube::ClusterContext> resolve(std::string_view cluster, std::string_view user_id,
                                                     ClientAccess& access);
  [[nodiscard]] result<kube::ClusterContext> resolve_brought(std::string_view cluster, std::string_view user_id,
                                                             const net::ServerRequest& request, ClientAccess& access);
  [[nodiscard]] CookieScope cookie_scope(const net::Headers& headers) const;
  [[nodiscard]] std::string session_cookie(const net::Headers& headers) const;
  [[nodiscard]] session::ClusterAccess cluster_access(ClientPtr client);
  [[nodiscard]] result<ClientAccess> access_of(const net::ServerRequest& request) const;
  [[nodiscard]] bool anonymous_allowed(const net::ServerRequest& request) const;
  [[nodiscard]] session::SessionServices services(Client& client);

  Shared& shared_;
  const std::size_t number_;
  std::shared_ptr<const Clusters> clusters_;
  std::unordered_set<Client*> clients_;  // outlives what io_ still holds
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

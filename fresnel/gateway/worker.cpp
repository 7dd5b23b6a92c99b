#include "fresnel/gateway/worker.hpp"

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <utility>
#include <vector>

#include "fresnel/base/log.hpp"
#include "fresnel/gateway/credentials.hpp"
#include "fresnel/gateway/origin.hpp"
#include "fresnel/gateway/proxy.hpp"
#include "fresnel/gateway/responses.hpp"
#include "fresnel/gateway/token_routes.hpp"
#include "fresnel/net/deflate.hpp"
#include "fresnel/session/direct_watch_session.hpp"
#include "fresnel/session/multiplexer_session.hpp"

namespace fresnel::gateway {
namespace {

constexpr std::string_view kMultiplexerProtocol = "headlamp.multiplexer.k8s.io";
// Connections beyond those of max-connections, so that health checks and refusals still get an answer.
constexpr std::size_t kSpareConnections = 64;
constexpr std::size_t kFilePart = 256u << 10;

net::HttpServerOptions server_options(const GatewayOptions& options, std::shared_ptr<const net::TlsServer> tls) {
  net::HttpServerOptions server;
  server.tls = std::move(tls);
  server.max_connections = options.max_connections + kSpareConnections;
  server.reuse_port = options.threads > 1;
  return server;
}

websocket::WebSocketManagerOptions socket_options(const GatewayOptions& options) {
  websocket::WebSocketManagerOptions sockets;
  sockets.max_connections = options.max_connections;
  sockets.max_message = options.max_message;
  sockets.allowed_origins = options.allowed_origins;
  sockets.close_timeout = options.drain_timeout;
  sockets.compression.enabled = !options.no_compression;
  return sockets;
}

bool asks_for_websocket(const net::ServerRequest& request) {
  return request.upgrade && net::equal_ignoring_case(request.headers.get("upgrade"), "websocket");
}

// The media type of a direct watch: JSON in one of its shapes (Table, PartialObjectMetadata). The hub reads nothing
// else.
std::string accept_of(const net::Headers& headers) {
  const auto accept = headers.get("accept");
  return std::string(accept.starts_with(kube::kJson) ? accept : kube::kJson);
}

}  // namespace

Worker::Worker(Shared& shared, std::size_t number)
    : shared_(shared),
      number_(number),
      clusters_(shared.first_clusters),
      client_(io_.get_executor()),
      sockets_(io_.get_executor(), shared.clock, socket_options(shared.options), shared.connections),
      channels_(io_.get_executor(), shared.clock, shared.options, shared.channels, shared.connections, shared.metrics),
      tunnels_(io_.get_executor(), shared.clock, shared.metrics),
      server_(io_.get_executor(), shared.clock, server_options(shared.options, shared.tls),
              [this](net::HttpExchange& exchange) { return handle(exchange); }) {}

Worker::~Worker() = default;

void Worker::run() {
  thread_ = std::thread([this] {
    io_.run();
    ended_.set_value();
  });
}

void Worker::use_clusters(std::shared_ptr<const Clusters> clusters) {
  asio::post(io_, [this, clusters = std::move(clusters)] {
    clusters_ = clusters;
    const std::vector<Client*> now(clients_.begin(), clients_.end());
    for (auto* client : now) {
      if (clients_.contains(client)) client->access.sessions().refresh();
    }
  });
}

void Worker::take_token(StoredToken stored) {
  if (stored.session_id.empty()) return;  // what every client without a browser has
  asio::post(io_, [this, stored = std::move(stored)] {
    const std::vector<Client*> now(clients_.begin(), clients_.end());
    for (auto* client : now) {
      if (!clients_.contains(client) || client->access.session_id() != stored.session_id) continue;
      if (!client->access.take_stored_token(stored.cluster, stored.old_token, stored.token)) continue;
      client->access.sessions().refresh(stored.cluster);
    }
  });
}

std::future<void> Worker::drain() {
  asio::post(io_, [this] {
    draining_ = true;
    server_.stop();
    tunnels_.cut();
    note_drained();
    asio::co_spawn(io_, end_sockets(), asio::detached);
    asio::co_spawn(io_, channels_.close(), asio::detached);
  });
  return drained_.get_future();
}

// The broker's other threads still run: they hear that this one has left.
void Worker::note_drained() {
  if (!draining_ || handlers_ > 0 || std::exchange(told_drained_, true)) return;
  channels_.leave();
  drained_.set_value();
}

awaitable<void> Worker::end_sockets() {
  std::string reason = "the gateway is shutting down";
  co_await sockets_.close(1001, std::move(reason));
}

bool Worker::finish(Duration limit) {
  guard_.reset();
  const bool in_time = ended_.get_future().wait_for(limit) == std::future_status::ready;
  if (!in_time) io_.stop();
  thread_.join();
  return in_time;
}

awaitable<void> Worker::handle(net::HttpExchange& exchange) {
  const Handling handling(*this);
  const int status = co_await route(exchange);
  shared_.metrics.count_request(status);
  log::debug("{} {} {}: {}", exchange.request().peer, exchange.request().method, exchange.request().path(), status);
}

awaitable<int> Worker::route(net::HttpExchange& exchange) {
  const auto path = strip_base_url(exchange.request().path(), shared_.options.base_url);
  if (!path) {
    std::string message = "nothing is served at this path; expected one below " + shared_.options.base_url + "/";
    co_return co_await refuse(exchange, BadInput::path, 404, std::move(message));
  }
  const bool probe = *path == "/healthz" || *path == "/readyz" || *path == "/metrics";
  const bool api = path->starts_with("/api/");
  const bool guarded = is_cluster_path(*path) || *path == "/wsMultiplexer" || *path == "/config" ||
                       *path == "/plugins" || *path == "/channels" || api;
  if (guarded && !origin_allowed(exchange.request().headers, shared_.origins)) {
    std::string message = "this origin may not use the gateway; --allowed-origins can name it";
    co_return co_await refuse(exchange, BadInput::origin, 403, std::move(message));
  }
  const bool preflight = guarded && is_preflight(exchange.request());
  const bool needs_backend_token = guarded && !api && *path != "/channels" && !preflight;
  if (needs_backend_token && !shared_.backend_token.admits(exchange.request().headers)) {
    std::string message = "access denied: expected the backend token";
    co_return co_await refuse(exchange, BadInput::unauthorized, 403, std::move(message));
  }
  if (preflight) {
    auto headers = cors_headers(exchange.request().headers, shared_.origins);
    for (const auto& [name, value] : preflight_headers(exchange.request().headers)) headers.add(name, value);
    std::string nothing;
    (void)co_await exchange.respond(204, std::move(headers), std::move(nothing));
    co_return 204;
  }
  if (is_cluster_path(*path)) co_return co_await serve_cluster(exchange, *path);
  if (*path == "/wsMultiplexer") co_return co_await serve_multiplexer(exchange);
  if (*path == "/channels") co_return co_await serve_channels(exchange);
  if (api) co_return co_await channels_.serve_api(exchange, *path);
  if (const auto& method = exchange.request().method; method != "GET" && method != "HEAD") {
    net::Headers headers;
    headers.add("allow", "GET, HEAD");
    std::string message = "expected GET or HEAD";
    co_return co_await respond_status(exchange, 405, std::move(message), std::move(headers));
  }
  if (probe || guarded) co_return co_await serve_own(exchange, *path);
  co_return co_await serve_file(exchange, *path);
}

awaitable<int> Worker::serve_own(net::HttpExchange& exchange, std::string_view path) {
  auto cors = cors_headers(exchange.request().headers, shared_.origins);
  if (path == "/config") {
    cors.add("set-cookie", session_cookie(exchange.request().headers));  // the page asks for this first
    auto config = clusters_->config_json(shared_.options.enable_dynamic_clusters);
    co_return co_await respond_json(exchange, std::move(config), std::move(cors));
  }
  if (path == "/plugins") {
    std::string none = "[]";
    co_return co_await respond_json(exchange, std::move(none), std::move(cors));
  }
  if (path == "/metrics") {
    auto text = shared_.metrics.expose(shared_.hub->metrics());
    net::Headers headers;
    headers.add("content-type", "text/plain; version=0.0.4; charset=utf-8");
    (void)co_await exchange.respond(200, std::move(headers), std::move(text));
    co_return 200;
  }
  const bool well = path == "/healthz" || shared_.ready.load(std::memory_order_relaxed);
  std::string text = well ? "ok\n" : "shutting down\n";
  co_return co_await respond_text(exchange, well ? 200 : 503, std::move(text));
}

awaitable<int> Worker::serve_file(net::HttpExchange& exchange, std::string_view path) {
  if (!shared_.files) {
    std::string message = "nothing is served at this path";
    co_return co_await respond_status(exchange, 404, std::move(message));
  }
  auto response = shared_.files->get(path, exchange.request().headers.get("if-none-match"));
  const int status = response.status;
  if (!response.file.is_open()) {
    (void)co_await exchange.respond(status, std::move(response.headers), std::move(response.body));
    co_return status;
  }
  response.headers.add("content-length", std::to_string(response.size));
  if (const auto begun = co_await exchange.begin(status, std::move(response.headers)); !begun) co_return status;
  std::vector<char> part(kFilePart);
  std::uint64_t left = exchange.request().method == "HEAD" ? 0 : response.size;
  while (left > 0 && response.file) {
    response.file.read(part.data(), static_cast<std::streamsize>(std::min<std::uint64_t>(left, part.size())));
    const auto size = static_cast<std::size_t>(response.file.gcount());
    const std::string_view bytes(part.data(), size);
    if (const auto written = co_await exchange.write(bytes); !written) co_return status;
    left -= size;
  }
  (void)co_await exchange.finish();
  co_return status;
}

awaitable<int> Worker::serve_multiplexer(net::HttpExchange& exchange) {
  auto access = access_of(exchange.request());
  if (!access) {
    auto message = access.error().message;
    co_return co_await refuse(exchange, BadInput::unauthorized, 401, std::move(message));
  }
  // A client may not use any cluster: say so with an HTTP status, not only in an ERROR message for each REQUEST.
  if (!access->may_use_some_cluster() && !shared_.options.enable_dynamic_clusters) {
    std::string message = "expected a token of your own: this gateway does not lend its credential to this client";
    co_return co_await refuse(exchange, BadInput::unauthorized, 401, std::move(message));
  }
  websocket::AcceptOptions accept;
  accept.protocols.emplace_back(kMultiplexerProtocol);
  auto socket = co_await sockets_.accept(exchange, std::move(accept));
  if (!socket) {
    const int status = socket.error().status;
    if (status >= 400 && status < 500) shared_.metrics.count_bad_input(BadInput::handshake);
    co_return status;
  }
  auto client = std::make_shared<Client>(*this, *std::move(access));
  Handling handling(*this);
  spawn(run_multiplexer(std::move(handling), *this, *std::move(socket), std::move(client)));
  co_return 101;
}

awaitable<int> Worker::serve_channels(net::HttpExchange& exchange) {
  if (shared_.options.channels.empty()) {
    std::string message = "no channels are configured; `channels` in the file of --config names them";
    co_return co_await respond_status(exchange, 404, std::move(message));
  }
  auto accepting = channels_.accept(exchange, anonymous_allowed(exchange.request()));
  auto socket = co_await std::move(accepting);
  if (!socket) {
    const int status = socket.error().status;
    if (status == 401 || status == 403) shared_.metrics.count_bad_input(BadInput::unauthorized);
    if (status == 400 || status == 426) shared_.metrics.count_bad_input(BadInput::handshake);
    co_return status;
  }
  Handling handling(*this);
  spawn(run_channels(std::move(handling), *this, *std::move(socket)));
  co_return 101;
}

awaitable<void> Worker::run_channels(Handling handling, Worker& worker, Socket socket) {
  const Handling counted(std::move(handling));
  const auto open = worker.shared_.metrics.open(ConnectionKind::channels);
  auto serving = worker.channels_.serve(std::move(socket));
  co_await std::move(serving);
}

awaitable<void> Worker::run_multiplexer(Handling handling, Worker& worker, Socket socket, ClientPtr client) {
  const Handling counted(std::move(handling));
  const auto open = worker.shared_.metrics.open(ConnectionKind::multiplexer);
  auto serving =
      session::serve_multiplexer(socket->connection(), worker.services(*client), worker.cluster_access(client));
  co_await std::move(serving);
}

awaitable<void> Worker::run_watch(Handling handling, Worker& worker, std::shared_ptr<session::DirectWatchSession> watch,
                                  Socket socket) {
  const Handling counted(std::move(handling));
  const auto open = worker.shared_.metrics.open(ConnectionKind::direct);
  auto serving = watch->serve(socket->connection());
  co_await std::move(serving);
}

void Worker::spawn(awaitable<void> serving) {
  asio::co_spawn(io_, std::move(serving), [](const std::exception_ptr& failure) {
    if (!failure) return;
    try {
      std::rethrow_exception(failure);
    } catch (const std::exception& error) {
      log::error("a WebSocket's session failed: {}", error.what());
    }
  });
}

awaitable<int> Worker::serve_cluster(net::HttpExchange& exchange, std::string_view path) {
  const auto& request = exchange.request();
  auto cors = cors_headers(request.headers, shared_.origins);
  const auto user_id = shared_.options.enable_dynamic_clusters ? user_id_of(request.headers) : std::string();
  const bool brings_cluster = shared_.options.enable_dynamic_clusters && request.headers.has(kKubeconfigField);
  auto route = parse_cluster_route(path, [&](std::string_view name) {
    return clusters_->contains(name) || brings_cluster || shared_.dynamic_clusters.find(name, user_id).has_value();
  });
  if (!route) {
    const auto kind = route.error().code == Errc::not_found ? BadInput::unknown_cluster : BadInput::path;
    auto message = route.error().message;
    co_return co_await refuse(exchange, kind, http_status_of(route.error()), std::move(message), std::move(cors));
  }
  if (route->path == "/set-token") co_return co_await serve_set_token(exchange, *std::move(route), std::move(cors));
  auto access = access_of(request);
  auto cluster = !access          ? access.error()
                 : brings_cluster ? resolve_brought(route->cluster, user_id, request, *access)
                                  : resolve(route->cluster, user_id, *access);
  if (!cluster) {
    auto message = cluster.error().message;
    const int status = http_status_of(cluster.error());
    if (status == 401) {
      co_return co_await refuse(exchange, BadInput::unauthorized, status, std::move(message), std::move(cors));
    }
    co_return co_await respond_status(exchange, status, std::move(message), std::move(cors));
  }
  if (asks_for_websocket(request) && asks_for_watch(request.query())) {
    co_return co_await serve_watch(exchange, *std::move(route), *std::move(access));
  }
  auto target = upstream_target(*route, request.query());
  // A server may ignore an upgrade to HTTP/2 (RFC 9110 section 7.8), which clients send with plain requests.
  if (request.upgrade && !net::equal_ignoring_case(request.headers.get("upgrade"), "h2c")) {
    co_return co_await tunnels_.serve(exchange, *std::move(cluster), std::move(target));
  }
  if (route->path == "/me" && request.method == "GET") {
    co_return co_await serve_me(exchange, client_, *std::move(cluster), std::move(cors));
  }
  kube::ApiClient client(client_, *std::move(cluster));
  co_return co_await proxy(exchange, client, std::move(target), std::move(cors));
}

awaitable<int> Worker::serve_set_token(net::HttpExchange& exchange, ClusterRoute route, net::Headers extra) {
  const auto& request = exchange.request();
  if (request.method != "POST") {
    extra.add("allow", "POST");
    std::string message = "expected POST";
    co_return co_await respond_status(exchange, 405, std::move(message), std::move(extra));
  }
  const auto token = parse_set_token(request.body);
  if (!token) {
    auto message = token.error().message;
    co_return co_await refuse(exchange, BadInput::request_body, 400, std::move(message), std::move(extra));
  }
  const auto cookies = own_cookies(request.headers);
  for (auto& field : token_set_cookies(route.cluster, *token, cookies, cookie_scope(request.headers))) {
    extra.add("set-cookie", std::move(field));
  }
  extra.add("set-cookie", session_cookie(request.headers));
  const StoredToken stored{session_id_in(cookies), route.cluster, token_in_cookies(cookies, route.cluster), *token};
  for (auto* worker : shared_.workers) worker->take_token(stored);
  std::string nothing;
  (void)co_await exchange.respond(200, std::move(extra), std::move(nothing));
  co_return 200;
}

awaitable<int> Worker::serve_watch(net::HttpExchange& exchange, ClusterRoute route, ClientAccess access) {
  const auto& request = exchange.request();
  if (const auto valid = session::check_api_path(route.path); !valid) {
    auto message = valid.error().message;
    co_return co_await refuse(exchange, BadInput::path, 400, std::move(message));
  }
  session::DirectWatchRequest wanted;
  wanted.cluster = std::move(route.cluster);
  wanted.user_id = shared_.options.enable_dynamic_clusters ? user_id_of(request.headers) : std::string();
  wanted.path = std::move(route.path);
  wanted.query = request.query();
  wanted.accept = accept_of(request.headers);
  wanted.deflated = !shared_.options.no_compression && net::negotiate_deflate(request.headers).has_value();
  auto client = std::make_shared<Client>(*this, std::move(access));
  auto opened = session::DirectWatchSession::open(services(*client), cluster_access(client), std::move(wanted));
  if (!opened) {
    auto message = opened.error().message;
    co_return co_await respond_status(exchange, http_status_of(opened.error()), std::move(message));
  }
  auto watch = *std::move(opened);
  const auto admitted = co_await watch->admitted();
  if (!admitted) {
    auto message = admitted.error().message;
    co_return co_await respond_status(exchange, http_status_of(admitted.error()), std::move(message));
  }
  websocket::AcceptOptions accept_options;
  accept_options.protocols.push_back(watch_protocol(offered_protocols(request.headers)));
  if (accept_options.protocols.front().empty()) accept_options.protocols.clear();
  auto socket = co_await sockets_.accept(exchange, std::move(accept_options));
  if (!socket) {
    const int status = socket.error().status;
    if (status >= 400 && status < 500) shared_.metrics.count_bad_input(BadInput::handshake);
    co_return status;
  }
  Handling handling(*this);
  spawn(run_watch(std::move(handling), *this, std::move(watch), *std::move(socket)));
  co_return 101;
}

awaitable<int> Worker::refuse(net::HttpExchange& exchange, BadInput kind, int status, std::string message) {
  return refuse(exchange, kind, status, std::move(message), net::Headers());
}

awaitable<int> Worker::refuse(net::HttpExchange& exchange, BadInput kind, int status, std::string message,
                              net::Headers headers) {
  shared_.metrics.count_bad_input(kind);
  log::info("{} {} {} refused with {}: {}", exchange.request().peer, exchange.request().method,
            exchange.request().path(), status, message);
  co_return co_await respond_status(exchange, status, std::move(message), std::move(headers));
}

CookieScope Worker::cookie_scope(const net::Headers& headers) const {
  return {shared_.options.base_url, is_secure(headers, shared_.tls != nullptr)};
}

// The browser's own, for another day, or a new one.
std::string Worker::session_cookie(const net::Headers& headers) const {
  const auto id = session_id_in(own_cookies(headers));
  return session_set_cookie(id.empty() ? new_session_id() : id, cookie_scope(headers));
}

result<kube::ClusterContext> Worker::resolve_brought(std::string_view cluster, std::string_view user_id,
                                                     const net::ServerRequest& request, ClientAccess& access) {
  // A token that is meant for ours must not go to another server of its name.
  if (clusters_->contains(cluster)) {
    std::string message = "a cluster of this name is served here; expected another name in the KUBECONFIG field";
    return Error{Errc::conflict, std::move(message), 409};
  }
  const auto brought = shared_.dynamic_clusters.read(request.headers, cluster);
  if (!brought) return brought.error();
  auto context = access.as_owner(*brought);
  if (context) shared_.dynamic_clusters.keep(user_id, *context);
  return context;
}

result<kube::ClusterContext> Worker::resolve(std::string_view cluster, std::string_view user_id, ClientAccess& access) {
  if (shared_.options.enable_dynamic_clusters && !clusters_->contains(cluster)) {
    if (auto own = shared_.dynamic_clusters.find(cluster, user_id)) return *std::move(own);
  }
  const auto known = clusters_->find(cluster);
  if (!known) return known.error();
  return access.as_client(*known);
}

// A session may live a little longer than its connection, and its client with it.
session::ClusterAccess Worker::cluster_access(ClientPtr client) {
  session::ClusterAccess access;
  access.resolve = [this, client](std::string_view cluster, std::string_view user_id) {
    return resolve(cluster, user_id, client->access);
  };
  access.take_token = [this, client](std::string_view cluster, std::string_view token) -> result<bool> {
    if (!is_token(token)) return Error{Errc::invalid_argument, "token: expected visible ASCII", 400};
    if (const auto known = clusters_->find(cluster); !known) return known.error();
    return client->access.take_token(cluster, token);
  };
  return access;
}

result<ClientAccess> Worker::access_of(const net::ServerRequest& request) const {
  return ClientAccess::of(request.headers, anonymous_allowed(request));
}

bool Worker::anonymous_allowed(const net::ServerRequest& request) const {
  return !passed_on_for_client(request.headers) &&
         anonymous_client_allowed(shared_.options.allow_anonymous_clients, shared_.loopback_listener,
                                  request.headers.get("host"));
}

session::SessionServices Worker::services(Client& client) {
  return {*shared_.hub,
          number_,
          shared_.clock,
          shared_.metrics.sessions(),
          client.access.sessions(),
          shared_.options.base_url};
}

}  // namespace fresnel::gateway

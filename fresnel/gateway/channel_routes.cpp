#include "fresnel/gateway/channel_routes.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <utility>

#include "fresnel/base/log.hpp"
#include "fresnel/channel/channel_message.hpp"
#include "fresnel/channel/channel_session.hpp"
#include "fresnel/gateway/api_request.hpp"
#include "fresnel/gateway/cluster_routes.hpp"
#include "fresnel/gateway/responses.hpp"

namespace fresnel::gateway {
namespace {

namespace json = boost::json;

constexpr std::string_view kUsers = "/api/users/";
constexpr std::string_view kClose = "/close";
// Browsers drop a connection for which they offered subprotocols, be it only to carry a token, and got none.
constexpr std::string_view kProtocol = "channels.fresnel.dev";

websocket::WebSocketManagerOptions socket_options(const GatewayOptions& options, const ChannelService& service) {
  websocket::WebSocketManagerOptions sockets;
  sockets.max_connections = options.max_connections;
  sockets.max_message = options.max_message;
  sockets.allowed_origins = options.allowed_origins;
  sockets.close_timeout = options.drain_timeout;
  sockets.compression.enabled = !options.no_compression;
  sockets.authentication = service.users;
  sockets.protocols.emplace_back(kProtocol);
  sockets.slow_consumer = websocket::SlowConsumer::drop_oldest;
  return sockets;
}

std::string_view name_of(websocket::SlowConsumer policy) {
  switch (policy) {
    case websocket::SlowConsumer::close: return "close";
    case websocket::SlowConsumer::drop_oldest: return "drop_oldest";
    case websocket::SlowConsumer::conflate: return "conflate";
  }
  return "";
}

json::object described(const std::string& name, const channel::ChannelOptions& options, std::size_t subscribers) {
  return {{"name", name},
          {"subscribers", subscribers},
          {"history_size", options.history_size},
          {"history_lifetime_seconds", std::chrono::duration_cast<seconds>(options.history_lifetime).count()},
          {"presence", options.presence},
          {"slow_consumer", name_of(options.slow_consumer)}};
}

std::string line_of(const json::object& object) { return json::serialize(object) + "\n"; }

// What is wrong with the request, or 503 and 504 for what is wrong behind it, whatever status that had.
int status_of(const Error& error) {
  switch (error.code) {
    case Errc::invalid_argument: return 400;
    case Errc::forbidden: return 403;
    case Errc::not_found: return 404;
    case Errc::too_large: return 413;
    case Errc::throttled: return 429;
    case Errc::timeout: return 504;
    default: return 503;
  }
}

awaitable<int> respond_error(net::HttpExchange& exchange, const Error& error) {
  auto message = error.message;
  co_return co_await respond_status(exchange, status_of(error), std::move(message));
}

awaitable<int> respond_wrong_method(net::HttpExchange& exchange, std::string allowed) {
  net::Headers headers;
  std::string message = "expected " + allowed;
  headers.add("allow", std::move(allowed));
  co_return co_await respond_status(exchange, 405, std::move(message), std::move(headers));
}

}  // namespace

ChannelRoutes::ChannelRoutes(const Executor& executor, Clock& clock, const GatewayOptions& options,
                             ChannelService& service, websocket::WebSocketManager::Counter connections,
                             Metrics& metrics)
    : executor_(executor),
      options_(options),
      service_(service),
      metrics_(metrics),
      sockets_(executor, clock, socket_options(options, service), std::move(connections)) {
  if (service.back_ends.is_required()) {
    back_ends_ = std::make_shared<websocket::Authenticator>(executor, clock, service.back_ends);
  }
}

ChannelRoutes::~ChannelRoutes() = default;

void ChannelRoutes::join() {
  channel::BroadcasterOptions options;
  channel::speak_channel_protocol(options);
  options.on_demand = [this](std::string_view name) { return channel_options(options_.channels, name); };
  options.on_delivered = [this](const broker::Delivery& delivery) { metrics_.count_delivery(delivery); };
  options.status_message = [this](bool connected) {
    metrics_.set_broker_connected(connected);
    return channel::encode_status(connected);
  };
  options.manager = &sockets_;
  broadcaster_.emplace(executor_, *service_.broker, std::move(options));
  for (const auto& rule : options_.channels) {
    if (!rule.prefix) (void)broadcaster_->create_channel(rule.name, rule.options);
  }
}

void ChannelRoutes::leave() { broadcaster_.reset(); }

awaitable<result<ChannelRoutes::Socket>> ChannelRoutes::accept(net::HttpExchange& exchange, bool anonymous) {
  if (!service_.users.is_required() && !anonymous) {
    std::string message = "expected a user: this gateway knows none; --channel-tokens or --channel-jwks name them";
    (void)co_await respond_status(exchange, 401, std::move(message));
    co_return Error{Errc::unauthorized, "nobody knows who the client is", 401};
  }
  auto accepting = sockets_.accept(exchange);
  co_return co_await std::move(accepting);
}

awaitable<void> ChannelRoutes::serve(Socket socket) {
  return channel::serve_channels(std::move(socket), *broadcaster_);
}

awaitable<void> ChannelRoutes::close() {
  std::string reason = "the gateway is shutting down";
  return sockets_.close(1001, std::move(reason));
}

awaitable<int> ChannelRoutes::serve_api(net::HttpExchange& exchange, std::string_view path) {
  if (!back_ends_) {
    std::string message = "there is no API here; --api-tokens turns it on";
    co_return co_await respond_status(exchange, 404, std::move(message));
  }
  auto authenticating = back_ends_->authenticate(exchange.request());
  const auto back_end = co_await std::move(authenticating);
  if (!back_end) {
    metrics_.count_bad_input(BadInput::unauthorized);
    log::info("{} {} {} refused with 401", exchange.request().peer, exchange.request().method, path);
    net::Headers headers;
    headers.add("www-authenticate", "Bearer");
    std::string message = "expected Authorization: Bearer with a token of --api-tokens";
    co_return co_await respond_status(exchange, 401, std::move(message), std::move(headers));
  }
  const bool posted = exchange.request().method == "POST";
  const bool closes = path.starts_with(kUsers) && path.ends_with(kClose) && path.size() > kUsers.size() + kClose.size();
  if (path == "/api/broadcast" || closes) {
    if (!posted) co_return co_await respond_wrong_method(exchange, "POST");
    if (!closes) co_return co_await broadcast(exchange);
    path.remove_prefix(kUsers.size());
    path.remove_suffix(kClose.size());
    co_return co_await close_user(exchange, path);
  }
  if (path == "/api/channels") {
    if (exchange.request().method != "GET") co_return co_await respond_wrong_method(exchange, "GET");
    co_return co_await list(exchange);
  }
  std::string message = "expected /api/broadcast, /api/channels or /api/users/<id>/close";
  co_return co_await respond_status(exchange, 404, std::move(message));
}

awaitable<int> ChannelRoutes::broadcast(net::HttpExchange& exchange) {
  auto request = parse_broadcast_request(exchange.request().body);
  if (!request) co_return co_await respond_error(exchange, request.error());
  result<broker::Delivery> delivery = Error{};
  if (request->channel.empty()) {
    auto message = channel::encode_broadcast(request->data);
    auto sending = broadcaster_->broadcast_to_all(std::move(message), std::move(request->selection));
    delivery = co_await std::move(sending);
  } else {
    auto message = net::OutboundMessage::json(request->data);
    channel::BroadcastOptions options;
    options.selection = std::move(request->selection);
    auto sending = broadcaster_->broadcast(request->channel, std::move(message), std::move(options));
    delivery = co_await std::move(sending);
  }
  if (!delivery) co_return co_await respond_error(exchange, delivery.error());
  auto text = line_of({{"queued", delivery->queued}, {"skipped", delivery->skipped}, {"slow", delivery->slow}});
  net::Headers headers;
  co_return co_await respond_json(exchange, std::move(text), std::move(headers));
}

awaitable<int> ChannelRoutes::close_user(net::HttpExchange& exchange, std::string_view encoded_user) {
  auto user = percent_decode(encoded_user);
  auto request = parse_close_request(exchange.request().body);
  if (!user) request = Error{Errc::invalid_argument, "the user's id is not percent-encoded", 400};
  if (!request) co_return co_await respond_error(exchange, request.error());
  auto closing = broadcaster_->close_user(*std::move(user), request->code, std::move(request->reason));
  const auto closed = co_await std::move(closing);
  if (!closed) co_return co_await respond_error(exchange, closed.error());
  auto text = line_of({{"closed", closed->queued}});
  net::Headers headers;
  co_return co_await respond_json(exchange, std::move(text), std::move(headers));
}

awaitable<ChannelRoutes::Count> ChannelRoutes::count() {
  Count count;
  if (!broadcaster_) co_return count;
  for (const auto& name : broadcaster_->channels()) {
    count[name] = broadcaster_->find_channel(name).value().subscriber_count();
  }
  co_return count;
}

awaitable<int> ChannelRoutes::list(net::HttpExchange& exchange) {
  Count all;
  for (auto* thread : service_.threads) {
    auto counting = thread->count();
    // Its own slot: a cancellation of this exchange must not be emitted on the other thread.
    auto done = asio::bind_cancellation_slot(asio::cancellation_slot(), asio::use_awaitable);
    const auto count = co_await asio::co_spawn(thread->executor(), std::move(counting), std::move(done));
    for (const auto& [name, subscribers] : count) all[name] += subscribers;
  }
  json::array channels;
  for (const auto& [name, subscribers] : all) {
    if (const auto options = channel_options(options_.channels, name)) {
      channels.push_back(described(name, *options, subscribers));
    }
  }
  auto text = line_of({{"channels", std::move(channels)}});
  net::Headers headers;
  co_return co_await respond_json(exchange, std::move(text), std::move(headers));
}

}  // namespace fresnel::gateway

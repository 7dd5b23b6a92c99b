#include "fresnel/session/multiplexer_session.hpp"

#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "fresnel/base/log.hpp"
#include "fresnel/session/event_sender.hpp"
#include "fresnel/wire/multiplexer_message.hpp"
#include "fresnel/wire/prepared_frame.hpp"

namespace fresnel::session {
namespace {

using wire::ClientMessage;
using wire::ServerMessage;
using wire::UpstreamStatus;

using SubscriptionKey = std::tuple<std::string, std::string, std::string>;  // clusterId, path, query

SubscriptionKey key_of(const ClientMessage& message) { return {message.cluster_id, message.path, message.query}; }

std::string error_text(const ClientMessage& request, const Error& error) {
  ServerMessage message{.type = ServerMessage::Type::error,
                        .cluster_id = request.cluster_id,
                        .path = request.path,
                        .query = request.query,
                        .user_id = request.user_id};
  message.data = wire::encode_error_data(error);
  return encode(message);
}

UpstreamStatus::State state_of(kube::WatchStatus::Phase phase) noexcept {
  switch (phase) {
    case kube::WatchStatus::Phase::connecting: return UpstreamStatus::State::connecting;
    case kube::WatchStatus::Phase::connected: return UpstreamStatus::State::connected;
    case kube::WatchStatus::Phase::failing: return UpstreamStatus::State::error;
  }
  return UpstreamStatus::State::error;
}

class MultiplexerSession;

// One REQUEST that is being served.
class MultiplexerSubscription final : public hub::StreamSubscriber {
 public:
  MultiplexerSubscription(MultiplexerSession& session, std::shared_ptr<PacedSender> pacer, ClientMessage request,
                          SessionMetrics& metrics)
      : session_(session),
        pacer_(std::move(pacer)),
        request_(std::move(request)),
        sender_(std::make_shared<EventSender>(pacer_, prefix_of(request_), metrics)) {}

  void hold(hub::StreamLease lease) { lease_ = std::move(lease); }

  void on_events(std::span<const hub::EventPtr> events) override { sender_->send(events); }

  void on_complete() override {
    const ServerMessage message{.type = ServerMessage::Type::complete,
                                .cluster_id = request_.cluster_id,
                                .path = request_.path,
                                .query = request_.query,
                                .user_id = request_.user_id};
    sender_->send(hub::PendingEvents::Mark::complete, encode(message));
  }

  void on_status(const kube::WatchStatus& status) override {
    const UpstreamStatus upstream{state_of(status.phase), status.error.message};
    if (told_ == upstream) return;
    told_ = upstream;
    // query stays empty: unmodified frontends would hand it to the list's listeners as an event otherwise.
    ServerMessage message{
        .type = ServerMessage::Type::status, .cluster_id = request_.cluster_id, .path = request_.path};
    message.data = wire::encode_status_data(upstream);
    message.request_query = request_.query;
    sender_->send(hub::PendingEvents::Mark::status, encode(message));
  }

  void on_failed(const Error& error) override;

 private:
  static std::string prefix_of(const ClientMessage& request) {
    return std::string(wire::DataPrefix(request.cluster_id, request.path, request.query, request.user_id).view());
  }

  MultiplexerSession& session_;
  std::shared_ptr<PacedSender> pacer_;
  const ClientMessage request_;
  std::shared_ptr<EventSender> sender_;
  std::optional<UpstreamStatus> told_;
  hub::StreamLease lease_;
};

class MultiplexerSession {
 public:
  MultiplexerSession(std::shared_ptr<net::WebSocketConnection> connection, SessionServices services,
                     ClusterResolver resolve)
      : connection_(std::move(connection)), services_(services), resolve_(std::move(resolve)) {
    pacer_ = std::make_shared<PacedSender>(connection_, services_.metrics, services_.limits.max_answers);
    pacer_->start();
  }

  // False when the connection has to be closed.
  [[nodiscard]] bool handle(const net::Message& message) {
    if (message.binary) {
      services_.metrics.binary_messages.fetch_add(1, std::memory_order_relaxed);
      return false;
    }
    auto parsed = wire::parse_client_message(message.payload);
    if (!parsed) {
      services_.metrics.malformed_messages.fetch_add(1, std::memory_order_relaxed);
      log::debug("client {}: bad message: {}", connection_->peer(), parsed.error().message);
      pacer_->answer(error_text(parsed.error().readable, parsed.error()));
      return true;
    }
    if (parsed->type == ClientMessage::Type::close) {
      subscriptions_.erase(key_of(*parsed));
      return true;
    }
    auto started = request(*parsed);
    if (!started) {
      services_.metrics.refused_requests.fetch_add(1, std::memory_order_relaxed);
      log::debug("client {}: {} on {} refused: {}", connection_->peer(), parsed->path, parsed->cluster_id,
                 started.error().message);
      pacer_->answer(error_text(*parsed, started.error()));
    }
    return true;
  }

  void end(const ClientMessage& request) { subscriptions_.erase(key_of(request)); }

 private:
  [[nodiscard]] result<void> request(const ClientMessage& message) {
    if (subscriptions_.contains(key_of(message))) return {};  // live already: no replay, no second COMPLETE
    auto path = api_path_of(message.path, services_.base_url);
    if (!path) return path.error();
    if (subscriptions_.size() >= services_.limits.max_subscriptions) {
      return Error{Errc::throttled, "too many subscriptions on one connection", 429, "TooManyRequests"};
    }
    auto context = resolve_(message.cluster_id);
    if (!context) return context.error();
    const auto query = hub::parse_watch_query(message.query);
    const std::string accept = message.accept.empty() ? std::string(kube::kJson) : message.accept;
    hub::StreamSource source{{context->name, context->credential.identity(), *std::move(path), accept, query.selectors},
                             *context};
    hub::JoinOptions join{
        .resource_version = query.resource_version, .bookmarks = query.bookmarks, .deflated = pacer_->deflates()};
    auto subscription = std::make_shared<MultiplexerSubscription>(*this, pacer_, message, services_.metrics);
    subscription->hold(services_.hub.subscribe(std::move(source), services_.thread, subscription, std::move(join)));
    subscriptions_.emplace(key_of(message), std::move(subscription));
    return {};
  }

  std::shared_ptr<net::WebSocketConnection> connection_;
  SessionServices services_;
  ClusterResolver resolve_;
  std::shared_ptr<PacedSender> pacer_;
  std::map<SubscriptionKey, std::shared_ptr<MultiplexerSubscription>> subscriptions_;
};

void MultiplexerSubscription::on_failed(const Error& error) {
  pacer_->answer(error_text(request_, error));
  session_.end(request_);
}

}  // namespace

awaitable<void> serve_multiplexer(std::shared_ptr<net::WebSocketConnection> connection, SessionServices services,
                                  ClusterResolver resolve) {
  MultiplexerSession session(connection, services, std::move(resolve));
  for (;;) {
    auto reading = connection->read();
    auto message = co_await std::move(reading);
    if (!message) {
      if (message.error().code == Errc::too_large) {
        services.metrics.oversized_messages.fetch_add(1, std::memory_order_relaxed);
      }
      log::debug("client {}: {}", connection->peer(), message.error().message);
      co_return;
    }
    if (!session.handle(*message)) {
      log::debug("client {}: closed, it sent a binary message", connection->peer());
      std::string reason = "only text messages are understood";
      co_await connection->close(1003, std::move(reason));
      co_return;
    }
  }
}

}  // namespace fresnel::session

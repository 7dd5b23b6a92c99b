#include "fresnel/session/multiplexer_session.hpp"

#include <functional>
#include <string>
#include <string_view>
#include <unordered_set>
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

std::string prefix_of(const ClientMessage& request) {
  return std::string(wire::DataPrefix(request.cluster_id, request.path, request.query, request.user_id).view());
}

ServerMessage message_to(wire::SubscriptionAddress address, ServerMessage::Type type) {
  return {.type = type,
          .cluster_id = std::move(address.cluster_id),
          .path = std::move(address.path),
          .query = std::move(address.query),
          .user_id = std::move(address.user_id)};
}

std::string error_text(wire::SubscriptionAddress address, const Error& error) {
  auto message = message_to(std::move(address), ServerMessage::Type::error);
  message.data = wire::encode_error_data(error);
  return encode(message);
}

wire::SubscriptionAddress address_of(const ClientMessage& message) {
  return {message.cluster_id, message.path, message.query, message.user_id};
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

// One REQUEST that is being served. A client may have thousands: what it asked for is kept in the prefix only.
class MultiplexerSubscription final : public hub::StreamSubscriber {
 public:
  MultiplexerSubscription(MultiplexerSession& session, std::shared_ptr<PacedSender> pacer, std::string_view prefix,
                          SessionMetrics& metrics)
      : session_(session), sender_(std::move(pacer), prefix, metrics) {}

  [[nodiscard]] std::string_view key() const noexcept { return wire::key_in(sender_.prefix()); }
  void hold(hub::StreamLease lease) { lease_ = std::move(lease); }

  void on_events(std::span<const hub::EventPtr> events) override { sender_.send(events); }

  void on_complete() override {
    sender_.send(hub::PendingEvents::Mark::complete, encode(message_to(address(), ServerMessage::Type::complete)));
  }

  void on_status(const kube::WatchStatus& status) override {
    const UpstreamStatus upstream{state_of(status.phase), status.error.message};
    const auto data = wire::encode_status_data(upstream);
    const auto told = std::hash<std::string>{}(data);
    if (std::exchange(told_, told) == told) return;
    auto message = message_to(address(), ServerMessage::Type::status);
    // query stays empty: unmodified frontends would hand it to the list's listeners as an event otherwise.
    message.request_query = std::exchange(message.query, {});
    message.user_id.clear();
    message.data = data;
    sender_.send(hub::PendingEvents::Mark::status, encode(message));
  }

  void on_failed(const Error& error) override;

 private:
  [[nodiscard]] wire::SubscriptionAddress address() const { return wire::address_in(sender_.prefix()); }

  MultiplexerSession& session_;
  EventSender sender_;
  std::size_t told_ = 0;  // the last STATUS, as a hash
  hub::StreamLease lease_;
};

// Subscriptions by wire::key_in() of their prefixes.
struct KeyHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view key) const noexcept { return std::hash<std::string_view>{}(key); }
  std::size_t operator()(const std::shared_ptr<MultiplexerSubscription>& one) const noexcept {
    return (*this)(one->key());
  }
};
struct KeyEqual {
  using is_transparent = void;
  using Ptr = std::shared_ptr<MultiplexerSubscription>;
  bool operator()(const Ptr& a, const Ptr& b) const noexcept { return a->key() == b->key(); }
  bool operator()(std::string_view a, const Ptr& b) const noexcept { return a == b->key(); }
  bool operator()(const Ptr& a, std::string_view b) const noexcept { return a->key() == b; }
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
      pacer_->answer(error_text(address_of(parsed.error().readable), parsed.error()));
      return true;
    }
    const auto prefix = prefix_of(*parsed);
    if (parsed->type == ClientMessage::Type::close) {
      end(wire::key_in(prefix));
      return true;
    }
    auto started = request(*parsed, prefix);
    if (!started) {
      services_.metrics.refused_requests.fetch_add(1, std::memory_order_relaxed);
      log::debug("client {}: {} on {} refused: {}", connection_->peer(), parsed->path, parsed->cluster_id,
                 started.error().message);
      pacer_->answer(error_text(address_of(*parsed), started.error()));
    }
    return true;
  }

  void answer(std::string text) { pacer_->answer(std::move(text)); }
  void end(std::string_view key) {
    if (const auto it = subscriptions_.find(key); it != subscriptions_.end()) subscriptions_.erase(it);
  }

 private:
  [[nodiscard]] result<void> request(const ClientMessage& message, std::string_view prefix) {
    if (subscriptions_.contains(wire::key_in(prefix))) return {};  // live already: no replay, no second COMPLETE
    auto path = api_path_of(message.path, services_.base_url);
    if (!path) return path.error();
    if (subscriptions_.size() >= services_.limits.max_subscriptions) {
      return Error{Errc::throttled, "too many subscriptions on one connection", 429, "TooManyRequests"};
    }
    auto context = resolve_(message.cluster_id);
    if (!context) return context.error();
    const auto query = hub::parse_watch_query(message.query);
    const std::string accept = message.accept.empty() ? std::string(kube::kJson) : message.accept;
    hub::StreamSource source{{context->name, context->identity(), *std::move(path), accept, query.selectors},
                             *context};
    hub::JoinOptions join{
        .resource_version = query.resource_version, .bookmarks = query.bookmarks, .deflated = pacer_->deflates()};
    auto subscription = std::make_shared<MultiplexerSubscription>(*this, pacer_, prefix, services_.metrics);
    subscription->hold(services_.hub.subscribe(std::move(source), services_.thread, subscription, std::move(join)));
    subscriptions_.insert(std::move(subscription));
    return {};
  }

  std::shared_ptr<net::WebSocketConnection> connection_;
  SessionServices services_;
  ClusterResolver resolve_;
  std::shared_ptr<PacedSender> pacer_;
  std::unordered_set<std::shared_ptr<MultiplexerSubscription>, KeyHash, KeyEqual> subscriptions_;
};

void MultiplexerSubscription::on_failed(const Error& error) {
  session_.answer(error_text(address(), error));
  session_.end(key());
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

#include "fresnel/session/multiplexer_session.hpp"

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "fresnel/base/log.hpp"
#include "fresnel/session/event_sender.hpp"
#include "fresnel/session/movable_subscription.hpp"
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
class MultiplexerSubscription final : public MovableSubscription {
 public:
  MultiplexerSubscription(MultiplexerSession& session, std::shared_ptr<PacedSender> pacer, std::string_view prefix,
                          std::string_view accept, SessionMetrics& metrics)
      : session_(session), sender_(std::move(pacer), prefix, metrics) {
    if (!accept.empty()) accept_ = std::make_unique<const std::string>(accept);
  }

  [[nodiscard]] std::string_view key() const noexcept { return wire::key_in(sender_.prefix()); }
  [[nodiscard]] wire::SubscriptionAddress address() const { return wire::address_in(sender_.prefix()); }
  [[nodiscard]] std::string accept() const { return accept_ ? *accept_ : std::string(kube::kJson); }
  // Tells the client and ends.
  void fail(const Error& error) { take_failure(error); }

 private:
  void take_events(std::span<const hub::EventPtr> events) override { sender_.send(events); }

  void take_complete() override {
    sender_.send(hub::PendingEvents::Mark::complete, encode(message_to(address(), ServerMessage::Type::complete)));
  }

  void take_status(const kube::WatchStatus& status) override {
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

  void take_failure(const Error& error) override;

  MultiplexerSession& session_;
  EventSender sender_;
  std::size_t told_ = 0;                       // the last STATUS, as a hash
  std::unique_ptr<const std::string> accept_;  // what the REQUEST said, null: nothing
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

class MultiplexerSession final : public LiveSession {
 public:
  MultiplexerSession(std::shared_ptr<net::WebSocketConnection> connection, SessionServices services,
                     ClusterAccess access)
      : connection_(std::move(connection)), services_(services), access_(std::move(access)) {
    services_.sessions.add(*this);
    pacer_ = std::make_shared<PacedSender>(connection_, services_.metrics, services_.limits.max_answers);
    pacer_->start();
  }

  ~MultiplexerSession() { services_.sessions.remove(*this); }
  MultiplexerSession(const MultiplexerSession&) = delete;
  MultiplexerSession& operator=(const MultiplexerSession&) = delete;

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

  void refresh(std::string_view cluster) override;
  void answer(std::string text) { pacer_->answer(std::move(text)); }
  void end(std::string_view key) {
    if (const auto it = subscriptions_.find(key); it != subscriptions_.end()) subscriptions_.erase(it);
  }

 private:
  [[nodiscard]] result<void> request(const ClientMessage& message, std::string_view prefix) {
    auto path = api_path_of(message.path, services_.base_url);
    if (!path) return path.error();
    if (!message.token.empty()) {
      const auto taken = access_.take_token(message.cluster_id, message.token);
      if (!taken) return taken.error();
      if (*taken) refresh(message.cluster_id);
    }
    if (subscriptions_.contains(wire::key_in(prefix))) return {};  // live already: no replay, no second COMPLETE
    if (subscriptions_.size() >= services_.limits.max_subscriptions) {
      return Error{Errc::throttled, "too many subscriptions on one connection", 429, "TooManyRequests"};
    }
    const auto context = access_.resolve(message.cluster_id, message.user_id);
    if (!context) return context.error();
    auto subscription =
        std::make_shared<MultiplexerSubscription>(*this, pacer_, prefix, message.accept, services_.metrics);
    join(*subscription, *context, message.query, *std::move(path), subscription);
    subscriptions_.insert(std::move(subscription));
    return {};
  }

  void join(MultiplexerSubscription& subscription, const kube::ClusterContext& context, std::string_view query_text,
            std::string path, std::shared_ptr<MovableSubscription> self) {
    auto query = hub::parse_watch_query(query_text);
    hub::StreamSource source{
        {context.name, context.identity(), std::move(path), subscription.accept(), std::move(query.selectors)},
        context};
    hub::JoinOptions options{.resource_version = std::move(query.resource_version),
                             .bookmarks = query.bookmarks,
                             .initial_events = query.initial_events,
                             .deflated = pacer_->deflates()};
    subscription.join(services_, std::move(source), std::move(options), std::move(self));
  }

  std::shared_ptr<net::WebSocketConnection> connection_;
  SessionServices services_;
  ClusterAccess access_;
  std::shared_ptr<PacedSender> pacer_;
  std::unordered_set<std::shared_ptr<MultiplexerSubscription>, KeyHash, KeyEqual> subscriptions_;
};

void MultiplexerSession::refresh(std::string_view cluster) {
  const std::vector<std::shared_ptr<MultiplexerSubscription>> now(subscriptions_.begin(), subscriptions_.end());
  struct Answer {
    result<kube::ClusterContext> context;
    std::size_t hash;
  };
  std::map<std::pair<std::string, std::string>, Answer> answers;  // one a cluster and user, however many subscriptions
  for (const auto& subscription : now) {
    const auto address = subscription->address();
    if (!cluster.empty() && cluster != address.cluster_id) continue;
    const auto key = std::pair(address.cluster_id, address.user_id);
    auto known = answers.find(key);
    if (known == answers.end()) {
      auto asked = access_.resolve(address.cluster_id, address.user_id);
      const auto hash = asked ? MovableSubscription::hash_of(*asked) : 0;
      known = answers.emplace(key, Answer{std::move(asked), hash}).first;
    }
    const auto& context = known->second.context;
    // A cluster that its user brought is forgotten after a while; what is open goes on.
    if (!context && context.error().code == Errc::not_found && !address.user_id.empty()) continue;
    if (!context) {
      subscription->fail(context.error());
      continue;
    }
    if (subscription->is_at(known->second.hash)) continue;
    log::debug("client {}: {} on {} goes on with another credential or server", connection_->peer(), address.path,
               context->name);
    auto path = api_path_of(address.path, services_.base_url);  // valid: the REQUEST was granted
    join(*subscription, *context, address.query, path ? *std::move(path) : std::string(), subscription);
  }
}

void MultiplexerSubscription::take_failure(const Error& error) {
  session_.answer(error_text(address(), error));
  session_.end(key());
}

}  // namespace

awaitable<void> serve_multiplexer(std::shared_ptr<net::WebSocketConnection> connection, SessionServices services,
                                  ClusterAccess access) {
  MultiplexerSession session(connection, services, std::move(access));
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

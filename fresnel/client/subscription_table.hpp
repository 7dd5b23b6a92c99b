// SubscriptionTable: the multiplexer's keys, the REQUESTs under way for them, and which message belongs to whom.
//
// - A key with listeners has a REQUEST under way while there is a connection, unless it was refused and waits to be
//   retried. Without listeners it lives for the debounce; if nobody joins, CLOSE is sent.
// - Messages are found by cluster, path and the query of the REQUEST, which the gateway echoes. On one connection no
//   two REQUESTs that could be confused have the same query: what belongs to an older one finds no route and is
//   ignored.
//
// Thread safety: one thread, that of the executor. The clock must outlive the executor's context.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "fresnel/base/asio.hpp"
#include "fresnel/base/backoff.hpp"
#include "fresnel/client/gateway_link.hpp"
#include "fresnel/client/multiplexer_options.hpp"
#include "fresnel/client/shared_subscription.hpp"
#include "fresnel/client/subscription.hpp"
#include "fresnel/wire/multiplexer_message.hpp"

namespace fresnel::client {

class SubscriptionTable : public std::enable_shared_from_this<SubscriptionTable> {
 public:
  struct Options {
    TextSource user_id;
    std::function<std::string(std::string_view cluster)> cluster_token;
    Duration debounce;
    Duration slow_retry;
    BackoffOptions backoff;
  };

  SubscriptionTable(const Executor& executor, Clock& clock, Random random, Options options);

  [[nodiscard]] Subscription subscribe(const SubscriptionKey& key, SubscriptionHandlers handlers);

  // Sends every live REQUEST again with its cluster's token of now.
  void renew_tokens();
  // A connection: every key is requested.
  void attach(std::shared_ptr<GatewayLink> link);
  // It was lost: keys without listeners are forgotten, the others wait for the next.
  void detach(const Error& why);
  void on_message(net::Message message);
  void report_to_all(const Error& error);
  // No handler is called any more; later subscriptions fail.
  void shut(const Error& why);

  // Somebody needs a connection.
  [[nodiscard]] bool is_wanted() const noexcept { return !keys_.empty(); }
  [[nodiscard]] std::size_t active() const noexcept;
  [[nodiscard]] std::size_t pending() const noexcept { return keys_.size() - active(); }
  [[nodiscard]] bool completed(const SubscriptionKey& key) const;
  [[nodiscard]] MultiplexerCounters& counters() noexcept { return counters_; }

 private:
  using Listener = SharedSubscription::Listener;
  // One key. It needs at most one timer: the retry while it has listeners, the debounce while it has none.
  struct Key;
  using KeyPtr = std::shared_ptr<Key>;
  using Step = void (SubscriptionTable::*)(const KeyPtr&);
  class ListeningTo;

  KeyPtr find_or_add(const SubscriptionKey& key, WatchQuery query);
  void replay(const KeyPtr& key, const std::shared_ptr<Listener>& listener);
  void unsubscribe(const KeyPtr& key, const std::shared_ptr<Listener>& listener);
  void forget(const KeyPtr& key);
  void request(const KeyPtr& key);
  void cancel_request(const KeyPtr& key);
  void send(wire::ClientMessage::Type type, const KeyPtr& key);

  void on_server_message(wire::ServerMessage message);
  void on_status(const wire::ServerMessage& message);
  void on_refused(const KeyPtr& key, const wire::ServerMessage& message);
  [[nodiscard]] std::vector<KeyPtr> all_keys() const;

  void start_timer(const KeyPtr& key, Duration delay, Step then);
  static awaitable<void> wait_then(std::shared_ptr<SubscriptionTable> self, KeyPtr key, std::shared_ptr<Timer> timer,
                                   TimePoint due, Step then);

  Executor executor_;
  Clock& clock_;
  Random random_;
  Options options_;
  std::shared_ptr<GatewayLink> link_;       // null: not connected
  std::map<SubscriptionKey, KeyPtr> keys_;  // by their normal form
  std::map<std::tuple<std::string, std::string, std::string>, KeyPtr> routes_;
  bool closes_were_sent_ = false;  // on this connection
  std::uint64_t last_tag_ = 0;     // of this connection's wire queries
  std::optional<Error> shut_;
  MultiplexerCounters counters_;
};

}  // namespace fresnel::client

// Multiplexer: many watches of many clusters over one WebSocket to a gateway.
//
//   Multiplexer multiplexer(executor, clock, Random(seed), dialer, {.url = "http://127.0.0.1:4466"});
//   Subscription pods = multiplexer.subscribe({.cluster_id = "prod", .path = "/api/v1/pods"},
//                                             {.on_message = [](const kube::WatchEvent& event) { ... }});
//
// - The first subscription (or connect()) dials; one dial at a time, whoever waits gets its result. After a loss or a
//   failure it tries again with full jitter for as long as there are subscriptions.
// - Listeners of one key share one REQUEST; a later one is first given the state from the store. When the last one has
//   left, CLOSE is sent after the debounce unless somebody joined meanwhile.
// - After a reconnect every subscription resumes from its last resourceVersion; where that is impossible its store is
//   replaced and listeners are told the difference, deletions included.
// - A refused subscription (message ERROR) stays visible as failed and is retried: slowly when the answer will hardly
//   change by itself (400, 401, 403, 404), with backoff else.
//
// Thread safety: one thread, that of the executor. The clock must outlive the executor's context: coroutines that end
// after the multiplexer still know it. Destruction ends everything at once and calls no handler any more.
#pragma once

#include <cstddef>
#include <memory>

#include "fresnel/base/asio.hpp"
#include "fresnel/base/backoff.hpp"
#include "fresnel/base/clock.hpp"
#include "fresnel/base/error.hpp"
#include "fresnel/client/multiplexer_options.hpp"
#include "fresnel/client/subscription.hpp"
#include "fresnel/net/message_stream.hpp"

namespace fresnel::client {

class Multiplexer {
 public:
  Multiplexer(const Executor& executor, Clock& clock, Random random, std::shared_ptr<net::MessageDialer> dialer,
              MultiplexerOptions options);
  ~Multiplexer();
  Multiplexer(const Multiplexer&) = delete;
  Multiplexer& operator=(const Multiplexer&) = delete;

  // Never fails: what goes wrong comes to on_error and shows in the status. May outlive the multiplexer.
  [[nodiscard]] Subscription subscribe(const SubscriptionKey& key, SubscriptionHandlers handlers);

  // Completes when connected, or with the error of the attempt under way. Errors: those of the dialer, timeout,
  // invalid_argument (the URL), cancelled (closed).
  [[nodiscard]] awaitable<result<void>> connect();

  // Unsubscribes everyone without further calls of handlers, and closes the socket. For good.
  [[nodiscard]] awaitable<void> close();
  // The tokens of cluster_token are others now: every live REQUEST is sent again with its own. The gateway moves the
  // subscriptions without a gap.
  void renew_tokens();

  [[nodiscard]] ConnectionState state() const noexcept;
  // Keys with listeners.
  [[nodiscard]] std::size_t active_subscriptions() const noexcept;
  // Keys whose last listener has left and whose debounce runs.
  [[nodiscard]] std::size_t pending_unsubscribes() const noexcept;
  // The initial data of this key has been delivered. False when unknown, after unsubscribing and while disconnected.
  [[nodiscard]] bool completed(const SubscriptionKey& key) const;
  [[nodiscard]] const MultiplexerCounters& counters() const noexcept;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace fresnel::client

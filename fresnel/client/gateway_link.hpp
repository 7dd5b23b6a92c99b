// One WebSocket to a gateway as the Multiplexer uses it: dialled within a limit, written through a queue.
//
// Thread safety: one thread, that of the executor.
#pragma once

#include <boost/asio/cancellation_signal.hpp>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "fresnel/base/asio.hpp"
#include "fresnel/base/clock.hpp"
#include "fresnel/base/error.hpp"
#include "fresnel/net/message_stream.hpp"

namespace fresnel::client {

// The multiplexer's address on a gateway: http, https, ws or wss, a base path, with or without /wsMultiplexer.
// Error invalid_argument; it does not repeat the URL, which may hold a password.
[[nodiscard]] result<std::string> multiplexer_url(std::string_view gateway);

// One attempt to connect.
class DialAttempt {
 public:
  using Outcome = result<std::unique_ptr<net::MessageStream>>;

  DialAttempt(const Executor& executor, Clock& clock) : executor_(executor), done_(executor, clock) {}

  // The dialer's outcome, or timeout, or cancelled after abandon(). The dialer's own work is cancelled then.
  [[nodiscard]] static awaitable<Outcome> run(std::shared_ptr<DialAttempt> self,
                                              std::shared_ptr<net::MessageDialer> dialer, net::DialRequest request);
  void abandon();

 private:
  static awaitable<void> dial(std::shared_ptr<DialAttempt> self, std::shared_ptr<net::MessageDialer> dialer,
                              net::DialRequest request);

  Executor executor_;
  Timer done_;
  asio::cancellation_signal cancel_;
  std::optional<Outcome> outcome_;
  bool abandoned_ = false;
};

// A connection. Its writer ends with it; what is queued then is dropped.
class GatewayLink : public std::enable_shared_from_this<GatewayLink> {
 public:
  // Queued texts; a gateway that stops reading ends the connection beyond it.
  static constexpr std::size_t kMaxQueued = 100'000;

  GatewayLink(const Executor& executor, Clock& clock, std::unique_ptr<net::MessageStream> stream);

  // Starts the writer.
  void start();
  void send(std::string text);
  // The next message, or why there will be none.
  [[nodiscard]] static awaitable<result<net::Message>> read(std::shared_ptr<GatewayLink> self);
  // Sends Close and waits for the gateway's.
  [[nodiscard]] static awaitable<void> close(std::shared_ptr<GatewayLink> self);
  // Ends everything at once. The first error is what read() tells.
  void end(Error error) noexcept;

 private:
  static awaitable<void> write_all(std::shared_ptr<GatewayLink> self);

  Executor executor_;
  std::unique_ptr<net::MessageStream> stream_;
  std::deque<std::string> queue_;
  Timer queued_;
  std::optional<Error> ended_;
};

}  // namespace fresnel::client

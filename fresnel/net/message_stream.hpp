// A WebSocket's messages, as the layers above see them: the MessageStream seam. WebSocketClient is the real one;
// simulations bring their own.
//
// Thread safety: one thread; at most one read(), one write() and one ping() under way at a time.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "fresnel/base/asio.hpp"
#include "fresnel/base/clock.hpp"
#include "fresnel/base/error.hpp"
#include "fresnel/net/http.hpp"

namespace fresnel::net {

struct Message {
  std::string payload;
  bool binary = false;
};

class MessageStream {
 public:
  virtual ~MessageStream() = default;  // drops the connection when it is still open
  // Error closed when the peer closed (Error::status is the close code), timeout when its heartbeat stopped.
  [[nodiscard]] virtual awaitable<result<Message>> read() = 0;
  [[nodiscard]] virtual awaitable<result<void>> write(Message message) = 0;
  // Sends a ping and waits for the pong: how long that took. Only while a read() is under way are pongs noticed. Error
  // timeout beyond `limit`.
  [[nodiscard]] virtual awaitable<result<Duration>> ping(Duration limit) = 0;
  // Sends Close and waits for the peer's, within a limit. A pending read() ends with closed.
  [[nodiscard]] virtual awaitable<void> close(int code, std::string reason) = 0;
  // Ends a pending read() and write() at once, without a Close frame.
  virtual void abort() noexcept = 0;
  // The subprotocol that the server selected, empty when none.
  [[nodiscard]] virtual std::string_view protocol() const noexcept = 0;
};

struct DialRequest {
  std::string url;  // ws, wss, http or https
  Headers headers;
  std::vector<std::string> protocols;  // offered subprotocols
  std::string proxy_url;               // http, https or socks5; empty: as the environment says
  std::shared_ptr<const TlsOptions> tls;
  Duration timeout = seconds(10);       // DNS, TCP, TLS and the handshake
  std::size_t max_message = 64u << 20;  // bytes inbound
};

// Connects WebSockets.
class MessageDialer {
 public:
  virtual ~MessageDialer() = default;
  // Errors: connect_failed, tls_failed, timeout; a refused handshake carries the HTTP status and the start of the body.
  [[nodiscard]] virtual awaitable<result<std::unique_ptr<MessageStream>>> dial(DialRequest request) = 0;
};

}  // namespace fresnel::net

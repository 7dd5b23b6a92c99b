// WebSocket connections to a server: MessageDialer on Beast, over TCP or TLS, with heartbeats.
//
// Thread safety: one thread, that of the executor.
#pragma once

#include "fresnel/net/message_stream.hpp"

namespace fresnel::net {

struct WebSocketClientOptions {
  Duration heartbeat =
      seconds(30);  // silence after which a ping is sent; twice that without a byte ends the connection
};

class WebSocketDialer final : public MessageDialer {
 public:
  explicit WebSocketDialer(const Executor& executor, WebSocketClientOptions options = {})
      : executor_(executor), options_(options) {}

  [[nodiscard]] awaitable<result<std::unique_ptr<MessageStream>>> dial(DialRequest request) override;

 private:
  Executor executor_;
  WebSocketClientOptions options_;
};

}  // namespace fresnel::net

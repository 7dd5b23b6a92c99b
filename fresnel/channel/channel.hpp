// What a channel of a Broadcaster allows and keeps.
//
// Thread safety: values.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "fresnel/broker/broker.hpp"
#include "fresnel/websocket/socket.hpp"

namespace fresnel::channel {

using ConnectionContext = websocket::ConnectionContext;
using SocketPtr = std::shared_ptr<websocket::Socket>;

struct ChannelOptions {
  std::size_t history_size = 0;  // publications kept for those who come back; 0: none
  Duration history_lifetime = std::chrono::minutes(5);
  bool presence = false;  // who has subscribed is known
  websocket::SlowConsumer slow_consumer = websocket::SlowConsumer::drop_oldest;
  bool clients_publish = true;  // through sockets; false: only programs do, by broadcast()
  // User ids that may publish and subscribe through a socket; empty: everybody. A program's own broadcast() is never
  // asked.
  std::vector<std::string> publishers;
  std::vector<std::string> subscribers;

  [[nodiscard]] broker::HistoryLimits history() const noexcept { return {history_size, history_lifetime}; }
  friend bool operator==(const ChannelOptions&, const ChannelOptions&) = default;
};

// 1 to 128 of letters, digits and . _ - : / @; so that a name fits into a URL, a log and a broker's subject.
[[nodiscard]] bool is_channel_name(std::string_view name) noexcept;

// Whether a publication is for the socket of this context.
[[nodiscard]] bool selects(const broker::Selection& selection, const ConnectionContext& context);

}  // namespace fresnel::channel

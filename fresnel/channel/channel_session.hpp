// One client of channels on the server: reads its requests (channel_message.hpp) and answers them in their order.
//
//   BroadcasterOptions options;
//   speak_channel_protocol(options);
//   ...
//   co_await serve_channels(socket, broadcaster);       // until the connection is over
//   manager.on_open([&](const auto& socket) { co_spawn(io, serve_channels(socket, broadcaster), detached); });
//
// Who may publish and subscribe is the channels' to say (ChannelOptions). A request that cannot be understood is
// answered by an error, and the connection goes on.
//
// Bounds: the socket's max_message; one request at a time, the next is read when the last has been answered.
//
// Thread safety: one thread, the socket's. The Broadcaster must outlive the session.
#pragma once

#include <memory>

#include "fresnel/base/asio.hpp"
#include "fresnel/channel/broadcaster.hpp"

namespace fresnel::channel {

// What a Broadcaster's subscribers are sent is in the protocol's form.
void speak_channel_protocol(BroadcasterOptions& options);

[[nodiscard]] awaitable<void> serve_channels(SocketPtr socket, Broadcaster& broadcaster);

}  // namespace fresnel::channel

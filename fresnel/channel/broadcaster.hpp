// Publish and subscribe for WebSockets: what is broadcast to a channel reaches every socket that has subscribed to it,
// on this thread, the process's others, and through the broker every other gateway's.
//
//   broker::MemoryBroker broker(io.get_executor(), clock);
//   Broadcaster broadcaster(io.get_executor(), broker);
//   auto news = broadcaster.create_channel("news", {.history_size = 100, .presence = true});
//   auto joined = co_await broadcaster.subscribe(socket, "news", position_known_from_before);
//   auto delivery = co_await broadcaster.broadcast("news", net::OutboundMessage::json({{"title", "Hello"}}));
//
// A message is encoded once, and compressed once for a process. It is published even when nobody here has subscribed.
//
// History. A subscriber that brings its position gets what it missed before anything new, nothing twice; or, where the
// history no longer reaches so far back, nothing old and `recovered: false`.
//
// Each thread has a Broadcaster of its own on one broker, and creates the channels that it serves.
//
// Thread safety: one thread, that of the executor. The broker must outlive it. Its coroutines may outlive it.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fresnel/base/asio.hpp"
#include "fresnel/base/error.hpp"
#include "fresnel/broker/broker.hpp"
#include "fresnel/channel/channel.hpp"
#include "fresnel/websocket/socket.hpp"
#include "fresnel/websocket/websocket_manager.hpp"

namespace fresnel::channel {

struct BroadcasterOptions {
  std::size_t max_channels = 10'000;
  std::size_t max_channels_per_socket = 128;
  std::size_t max_message = 1u << 20;        // bytes of a broadcast
  std::size_t max_joining = 1024;            // publications that wait while a subscriber is given its history
  std::size_t max_replay_bytes = 16u << 20;  // of envelopes kept for replays, of all channels; then they are made anew
  // What subscribers are sent for a publication; null: its message as it is. Made once for this thread's subscribers.
  std::function<net::OutboundMessage(std::string_view channel, const broker::Publication&)> envelope;
  // What subscribers are sent when the broker is away and when it has come back, each socket once; null: nothing.
  std::function<net::OutboundMessage(bool connected)> status_message;
  // What a channel's subscribers are sent when publications up to `position` are lost to them; null: nothing.
  std::function<net::OutboundMessage(std::string_view channel, const broker::Position& position)> gap_message;
  // The options of a channel that nobody has created: it begins with its first subscriber here and ends with the last
  // one. Nothing, or no callback: there is no such channel.
  std::function<std::optional<ChannelOptions>(std::string_view channel)> on_demand;
  // What a publication has come to at this thread's sockets, for counters.
  std::function<void(const broker::Delivery&)> on_delivered;
  // This thread's sockets, for what concerns all of them or all of a user's; null: none. It must outlive the
  // Broadcaster.
  websocket::WebSocketManager* manager = nullptr;
};

// Of one call to broadcast(). The callables choose among this thread's sockets and keep the call here; `selection`
// means the same everywhere.
struct BroadcastOptions {
  std::function<bool(const ConnectionContext&)> exclude;  // true: not this one
  std::function<bool(const ConnectionContext&)> filter;   // false: not this one
  broker::Selection selection;

  [[nodiscard]] bool is_local() const noexcept { return exclude != nullptr || filter != nullptr; }
};

struct Subscribed {
  broker::Position position;  // from which on the subscriber gets everything; without a history: empty
  bool recovered = false;     // it brought a position, and has been given all since then that is for it
  std::size_t replayed = 0;   // messages of the history that it was given
};

class Broadcaster {
 private:
  class Core;
  struct State;

 public:
  // A handle: cheap to copy, valid for as long as its Broadcaster. After close() its calls give channel_not_found.
  class Channel {
   public:
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] const ChannelOptions& options() const noexcept { return *options_; }
    // On this thread.
    [[nodiscard]] std::size_t subscriber_count() const noexcept;
    // Everywhere. Error invalid_argument where the channel keeps none.
    [[nodiscard]] awaitable<result<std::vector<broker::Presence>>> presence() const;
    [[nodiscard]] awaitable<result<broker::History>> history(
        std::optional<broker::Position> since = std::nullopt) const;
    [[nodiscard]] awaitable<result<broker::Delivery>> broadcast(net::OutboundMessage message,
                                                                BroadcastOptions options) const;
    [[nodiscard]] awaitable<result<broker::Delivery>> broadcast(net::OutboundMessage message) const;
    // Ends it on this thread; its subscribers stay connected.
    void close() const;

   private:
    friend class Broadcaster;
    Channel(std::shared_ptr<Core> core, std::string name, std::shared_ptr<const ChannelOptions> options)
        : core_(std::move(core)), name_(std::move(name)), options_(std::move(options)) {}

    std::shared_ptr<Core> core_;
    std::string name_;
    std::shared_ptr<const ChannelOptions> options_;
  };

  Broadcaster(const Executor& executor, broker::Broker& broker, BroadcasterOptions options = {});
  ~Broadcaster();
  Broadcaster(const Broadcaster&) = delete;
  Broadcaster& operator=(const Broadcaster&) = delete;

  // The same name with equal options gives the same channel. Errors: conflict (other options), invalid_argument (the
  // name), throttled (max_channels).
  [[nodiscard]] result<Channel> create_channel(std::string name, ChannelOptions options = {});
  [[nodiscard]] result<Channel> find_channel(std::string_view name) const;
  // Those created, and those on demand that have subscribers here.
  [[nodiscard]] std::vector<std::string> channels() const;

  // A second subscription of a socket to a channel replaces the first. Errors: not_found with reason channel_not_found,
  // forbidden (it is not among the subscribers allowed), throttled (max_channels_per_socket), closed (the socket is
  // over).
  [[nodiscard]] awaitable<result<Subscribed>> subscribe(SocketPtr socket, std::string channel,
                                                        std::optional<broker::Position> since = std::nullopt);
  // Whether the broker can be reached.
  [[nodiscard]] bool is_connected() const noexcept;
  // Whether it had subscribed.
  bool unsubscribe(const SocketPtr& socket, std::string_view channel);
  // Whether this user may publish, and read, through a socket.
  [[nodiscard]] bool may_publish(const ConnectionContext& context, std::string_view channel) const;
  [[nodiscard]] bool may_subscribe(const ConnectionContext& context, std::string_view channel) const;

  // Errors: not_found with reason channel_not_found, too_large (max_message), and the broker's.
  // (GCC 12 destroys an aggregate twice that is made in the expression which is awaited: give BroadcastOptions a name.)
  [[nodiscard]] awaitable<result<broker::Delivery>> broadcast(std::string channel, net::OutboundMessage message,
                                                              BroadcastOptions options);
  [[nodiscard]] awaitable<result<broker::Delivery>> broadcast(std::string channel, net::OutboundMessage message);

  // On every node with a manager: closes a user's connections (Delivery::queued of this process), or sends to all that
  // are selected, whatever they have subscribed to.
  [[nodiscard]] awaitable<result<broker::Delivery>> close_user(std::string user_id, int code, std::string reason);
  [[nodiscard]] awaitable<result<broker::Delivery>> broadcast_to_all(net::OutboundMessage message,
                                                                     broker::Selection selection);

 private:
  std::shared_ptr<Core> core_;
};

}  // namespace fresnel::channel

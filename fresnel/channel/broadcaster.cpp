#include "fresnel/channel/broadcaster.hpp"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>

namespace fresnel::channel {
namespace {

using broker::Delivery;
using broker::PublicationPtr;
using net::OutboundMessage;

Error no_channel(std::string_view name) {
  return {Errc::not_found, "there is no channel \"" + std::string(name) + "\"", 404, "channel_not_found"};
}

bool is_among(const std::vector<std::string>& users, const ConnectionContext& context) {
  if (users.empty()) return true;
  return !context.user_id.empty() && std::find(users.begin(), users.end(), context.user_id) != users.end();
}

}  // namespace

// Shared, as each publication asks for them.
using OptionsPtr = std::shared_ptr<const ChannelOptions>;

// A channel on this thread.
struct Broadcaster::State {
  struct Member {
    std::weak_ptr<websocket::Socket> socket;
    std::uint64_t joined = 0;  // which of its subscriptions
    // While it is given its history: what has been published since, to follow it. Then null.
    std::unique_ptr<std::vector<PublicationPtr>> joining;
    broker::Position known;  // what it has been given, or told that it knows: the history may be ahead of its delivery
  };

  OptionsPtr options;
  bool on_demand = false;                 // it ends with its last member
  std::map<std::string, Member> members;  // by connection id
  // Envelopes of what was replayed, by offset: many come back at once after an outage. No more than the history has.
  std::map<std::uint64_t, OutboundMessage> replays;
  std::string replays_epoch;
};

class Broadcaster::Core : public std::enable_shared_from_this<Core> {
 public:
  Core(const Executor& executor, BroadcasterOptions options) : executor_(executor), options_(std::move(options)) {}

  void join(broker::Broker& broker);
  // What still runs finds no channel from now on.
  void leave() {
    node_.reset();
    channels_.clear();
    of_socket_.clear();
  }
  result<void> create(const std::string& name, const ChannelOptions& options);
  void close(const std::string& name);
  [[nodiscard]] const State* find(std::string_view name) const;
  // Of a channel that is there, or that may be made on demand.
  [[nodiscard]] OptionsPtr options_of(std::string_view name) const;
  [[nodiscard]] std::vector<std::string> names() const;
  [[nodiscard]] bool is_connected() const noexcept { return connected_; }
  static awaitable<result<Subscribed>> subscribe(std::shared_ptr<Core> self, SocketPtr socket, std::string name,
                                                 std::optional<broker::Position> since);
  bool unsubscribe(const std::string& connection_id, std::string_view name);
  static awaitable<result<Delivery>> broadcast(std::shared_ptr<Core> self, std::string name, OutboundMessage message,
                                               BroadcastOptions options);
  static awaitable<result<Delivery>> control(std::shared_ptr<Core> self, broker::Control control);
  static awaitable<result<std::vector<broker::Presence>>> presence(std::shared_ptr<Core> self, std::string name);
  static awaitable<result<broker::History>> history(std::shared_ptr<Core> self, std::string name,
                                                    std::optional<broker::Position> since);

 private:
  using Channels = std::map<std::string, State, std::less<>>;

  [[nodiscard]] result<void> check(const SocketPtr& socket, const std::string& name, const OptionsPtr& options) const;
  [[nodiscard]] static Error too_many() { return {Errc::throttled, "there are too many channels", 429}; }
  State::Member& add(State& channel, const SocketPtr& socket, const std::string& name);
  void watch(const SocketPtr& socket);
  void forget(const std::string& connection_id);
  [[nodiscard]] result<Subscribed> admit(const SocketPtr& socket, const std::string& name, std::uint64_t joined,
                                         const broker::History& history, bool asked);
  [[nodiscard]] static bool is_new_to(const State::Member& member, const broker::Publication& publication);
  Delivery deliver(std::string_view name, const PublicationPtr& publication);
  Delivery deliver_here(std::string_view name, const OutboundMessage& message, const BroadcastOptions& options);
  Delivery on_control(const broker::Control& control);
  void on_status(bool connected);
  void on_gap(const std::string& name, const broker::Position& position);
  [[nodiscard]] OutboundMessage replayed(State& channel, std::string_view name, const broker::Publication& publication);
  [[nodiscard]] Error too_large() const;
  [[nodiscard]] OutboundMessage enveloped(std::string_view name, const broker::Publication& publication) const {
    return options_.envelope ? options_.envelope(name, publication) : publication.message;
  }

  Executor executor_;
  const BroadcasterOptions options_;
  std::unique_ptr<broker::Node> node_;
  Channels channels_;
  std::unordered_map<std::string, std::set<std::string, std::less<>>> of_socket_;  // connection id -> channels
  std::uint64_t joins_ = 0;
  bool connected_ = true;
  std::size_t replay_bytes_ = 0;  // made since all of them were forgotten
};

void Broadcaster::Core::join(broker::Broker& broker) {
  broker::Handlers handlers;
  handlers.on_publication = [this](const std::string& name, const PublicationPtr& publication) {
    return deliver(name, publication);
  };
  handlers.on_control = [this](const broker::Control& control) { return on_control(control); };
  handlers.on_status = [this](bool connected) { on_status(connected); };
  handlers.on_gap = [this](const std::string& name, const broker::Position& position) { on_gap(name, position); };
  node_ = broker.join(executor_, std::move(handlers));
}

result<void> Broadcaster::Core::create(const std::string& name, const ChannelOptions& options) {
  if (!is_channel_name(name)) {
    return Error{Errc::invalid_argument,
                 "a channel's name has 1 to 128 letters, digits and . _ - : / @, got \"" + name.substr(0, 128) + "\""};
  }
  const auto found = channels_.find(name);
  if (found != channels_.end()) {
    if (*found->second.options == options) {
      found->second.on_demand = false;
      return {};
    }
    return Error{Errc::conflict, "the channel \"" + name + "\" exists with other options", 409, "Conflict"};
  }
  if (channels_.size() >= options_.max_channels) return too_many();
  channels_[name].options = std::make_shared<const ChannelOptions>(options);
  return {};
}

const Broadcaster::State* Broadcaster::Core::find(std::string_view name) const {
  const auto found = channels_.find(name);
  return found == channels_.end() ? nullptr : &found->second;
}

OptionsPtr Broadcaster::Core::options_of(std::string_view name) const {
  if (const auto* channel = find(name)) return channel->options;
  if (!options_.on_demand || !is_channel_name(name)) return nullptr;
  auto made = options_.on_demand(name);
  return made ? std::make_shared<const ChannelOptions>(*std::move(made)) : nullptr;
}

std::vector<std::string> Broadcaster::Core::names() const {
  std::vector<std::string> names;
  for (const auto& [name, channel] : channels_) names.push_back(name);
  return names;
}

void Broadcaster::Core::close(const std::string& name) {
  const auto found = channels_.find(name);
  if (found == channels_.end()) return;
  std::vector<std::string> members;
  for (const auto& [id, member] : found->second.members) members.push_back(id);
  for (const auto& id : members) unsubscribe(id, name);
  channels_.erase(name);
}

result<void> Broadcaster::Core::check(const SocketPtr& socket, const std::string& name,
                                      const OptionsPtr& options) const {
  if (!options) return no_channel(name);
  if (find(name) == nullptr && channels_.size() >= options_.max_channels) return too_many();
  if (!is_among(options->subscribers, socket->context())) {
    return Error{Errc::forbidden, "this user may not subscribe to the channel \"" + name + "\"", 403, "Forbidden"};
  }
  const auto known = of_socket_.find(socket->id());
  if (known != of_socket_.end() && known->second.size() >= options_.max_channels_per_socket &&
      !known->second.contains(name)) {
    return Error{Errc::throttled, "this connection has subscribed to too many channels", 429};
  }
  if (!socket->is_open()) return Error{Errc::closed, "the connection is over"};
  return {};
}

Broadcaster::State::Member& Broadcaster::Core::add(State& channel, const SocketPtr& socket, const std::string& name) {
  if (channel.members.empty()) node_->subscribe(name, channel.options->history());
  auto& member = channel.members[socket->id()];
  member.socket = socket;
  member.joined = ++joins_;
  member.joining = std::make_unique<std::vector<PublicationPtr>>();
  if (!of_socket_.contains(socket->id())) watch(socket);
  of_socket_[socket->id()].insert(name);
  return member;
}

// Its death removes it everywhere.
void Broadcaster::Core::watch(const SocketPtr& socket) {
  socket->connection()->on_closed([weak = weak_from_this(), id = socket->id()] {
    if (const auto self = weak.lock()) self->forget(id);
  });
}

void Broadcaster::Core::forget(const std::string& connection_id) {
  const auto found = of_socket_.find(connection_id);
  if (found == of_socket_.end()) return;
  const auto names = found->second;
  for (const auto& name : names) unsubscribe(connection_id, name);
  of_socket_.erase(connection_id);
}

bool Broadcaster::Core::unsubscribe(const std::string& connection_id, std::string_view name) {
  const auto found = channels_.find(name);
  if (found == channels_.end() || found->second.members.erase(connection_id) == 0) return false;
  const auto known = of_socket_.find(connection_id);
  if (known != of_socket_.end()) known->second.erase(found->first);
  if (found->second.options->presence) node_->remove_presence(found->first, connection_id);
  if (found->second.members.empty()) {
    node_->unsubscribe(found->first);
    if (found->second.on_demand) channels_.erase(found);
  }
  return true;
}

awaitable<result<Subscribed>> Broadcaster::Core::subscribe(std::shared_ptr<Core> self, SocketPtr socket,
                                                           std::string name, std::optional<broker::Position> since) {
  const auto given = self->options_of(name);
  if (const auto allowed = self->check(socket, name, given); !allowed) co_return allowed.error();
  const auto& options = *given;
  const auto [at, is_new] = self->channels_.try_emplace(name);
  auto& channel = at->second;
  if (is_new) {
    channel.options = given;
    channel.on_demand = true;
  }
  const auto joined = self->add(channel, socket, name).joined;
  if (options.presence) self->node_->add_presence(name, {socket->id(), socket->context().user_id});
  broker::History history;
  if (options.history_size > 0) {
    auto asking = self->node_->history(name, since, options.history());
    auto had = co_await std::move(asking);
    if (!had) {
      const auto left = self->channels_.find(name);
      const auto* members = left == self->channels_.end() ? nullptr : &left->second.members;
      const auto member = members == nullptr ? decltype(members->end())() : members->find(socket->id());
      if (members != nullptr && member != members->end() && member->second.joined == joined) {
        self->unsubscribe(socket->id(), name);
      }
      co_return had.error();
    }
    history = *std::move(had);
  }
  co_return self->admit(socket, name, joined, history, since.has_value());
}

// The history, then what has been published while it was fetched, as far as that is newer.
result<Subscribed> Broadcaster::Core::admit(const SocketPtr& socket, const std::string& name, std::uint64_t joined,
                                            const broker::History& history, bool asked) {
  const auto channel = channels_.find(name);
  if (channel == channels_.end()) return no_channel(name);
  const auto found = channel->second.members.find(socket->id());
  if (found == channel->second.members.end() || found->second.joined != joined || !found->second.joining) {
    return Error{Errc::closed, "the subscription ended before it was complete"};
  }
  Subscribed subscribed{.position = history.position};
  if (asked && history.recovered) {
    std::vector<OutboundMessage> missed;
    for (const auto& publication : history.publications) {
      if (!selects(publication->selection, socket->context())) continue;
      missed.push_back(replayed(channel->second, name, *publication));
    }
    // All of it or nothing: a peer that lags already, or that would need more room than there is, must load anew.
    subscribed.recovered = socket->send_all(missed);
    if (subscribed.recovered) subscribed.replayed = missed.size();
  }
  auto& member = found->second;
  member.known = history.position;
  const auto waiting = std::exchange(member.joining, nullptr);
  const auto policy = channel->second.options->slow_consumer;
  for (const auto& publication : *waiting) {
    if (!is_new_to(member, *publication) || !selects(publication->selection, socket->context())) continue;
    socket->send(enveloped(name, *publication), policy);
  }
  return subscribed;
}

OutboundMessage Broadcaster::Core::replayed(State& channel, std::string_view name,
                                            const broker::Publication& publication) {
  auto& replays = channel.replays;
  if (channel.replays_epoch != publication.epoch) replays.clear();
  channel.replays_epoch = publication.epoch;
  const auto found = replays.find(publication.offset);
  if (found != replays.end()) return found->second;
  auto made = enveloped(name, publication);
  replay_bytes_ += made.payload().size();
  if (replay_bytes_ > options_.max_replay_bytes) {
    for (auto& [other, state] : channels_) state.replays.clear();
    replay_bytes_ = made.payload().size();
  }
  replays.emplace(publication.offset, made);
  // A history's replay begins with its oldest: what is older than that is asked for no more.
  while (replays.size() > channel.options->history_size) replays.erase(replays.begin());
  return made;
}

bool Broadcaster::Core::is_new_to(const State::Member& member, const broker::Publication& publication) {
  return publication.offset == 0 || publication.epoch != member.known.epoch || publication.offset > member.known.offset;
}

Delivery Broadcaster::Core::deliver(std::string_view name, const PublicationPtr& publication) {
  Delivery delivery;
  const auto channel = channels_.find(name);
  if (channel == channels_.end()) return delivery;
  const auto policy = channel->second.options->slow_consumer;
  const auto message = enveloped(name, *publication);
  std::vector<std::string> lost;
  for (auto& [id, member] : channel->second.members) {
    const auto socket = member.socket.lock();
    if (!socket || !selects(publication->selection, socket->context())) {
      ++delivery.skipped;
      continue;
    }
    if (member.joining) {
      member.joining->push_back(publication);
      ++delivery.queued;
      if (member.joining->size() > options_.max_joining) lost.push_back(id);
      continue;
    }
    if (!is_new_to(member, *publication)) {  // it came with the history
      ++delivery.queued;
      continue;
    }
    const auto sent = socket->send(message, policy);
    ++(sent == websocket::Sent::closed ? delivery.skipped : delivery.queued);
    if (sent == websocket::Sent::slow) ++delivery.slow;
  }
  for (const auto& id : lost) unsubscribe(id, name);  // its subscribe() says so
  if (options_.on_delivered) options_.on_delivered(delivery);
  return delivery;
}

Delivery Broadcaster::Core::deliver_here(std::string_view name, const OutboundMessage& message,
                                         const BroadcastOptions& options) {
  Delivery delivery;
  const auto found = channels_.find(name);
  if (found == channels_.end()) return delivery;
  const auto& channel = found->second;
  const broker::Publication publication{message, options.selection, 0, {}};
  const auto enveloped_once = enveloped(name, publication);
  for (auto& [id, member] : channel.members) {
    const auto socket = member.socket.lock();
    const bool wanted = socket && selects(options.selection, socket->context()) &&
                        !(options.exclude && options.exclude(socket->context())) &&
                        (!options.filter || options.filter(socket->context()));
    const auto sent = wanted ? socket->send(enveloped_once, channel.options->slow_consumer) : websocket::Sent::closed;
    ++(sent == websocket::Sent::closed ? delivery.skipped : delivery.queued);
    if (sent == websocket::Sent::slow) ++delivery.slow;
  }
  if (options_.on_delivered) options_.on_delivered(delivery);
  return delivery;
}

Delivery Broadcaster::Core::on_control(const broker::Control& control) {
  if (options_.manager == nullptr) return {};
  if (control.kind == broker::Control::Kind::broadcast) {
    const auto sent = options_.manager->broadcast(
        *control.message, [&](const ConnectionContext& context) { return selects(control.selection, context); });
    return {sent.queued, sent.skipped, sent.slow};
  }
  auto closing = options_.manager->close_user(control.user_id, control.code, control.reason);
  const auto sockets = options_.manager->get_user_sockets(control.user_id).size();
  asio::co_spawn(executor_, std::move(closing), asio::detached);
  return {.queued = sockets};
}

void Broadcaster::Core::on_status(bool connected) {
  if (std::exchange(connected_, connected) == connected || !options_.status_message) return;
  const auto message = options_.status_message(connected);
  std::map<std::string, SocketPtr> sockets;
  for (const auto& [name, channel] : channels_) {
    for (const auto& [id, member] : channel.members) sockets.try_emplace(id, member.socket.lock());
  }
  for (const auto& [id, socket] : sockets) {
    if (socket) socket->send(message);
  }
}

// Who is being given its history has not been told a position yet.
void Broadcaster::Core::on_gap(const std::string& name, const broker::Position& position) {
  const auto found = channels_.find(name);
  if (found == channels_.end()) return;
  std::optional<OutboundMessage> message;
  if (options_.gap_message) message = options_.gap_message(name, position);
  for (auto& [id, member] : found->second.members) {
    if (member.joining) continue;
    member.known = position;
    const auto socket = member.socket.lock();
    if (socket && message) socket->send(*message);
  }
}

awaitable<result<Delivery>> Broadcaster::Core::control(std::shared_ptr<Core> self, broker::Control control) {
  if (!self->node_) co_return Error{Errc::closed, "the broadcaster is gone"};
  if (control.message && control.message->payload().size() > self->options_.max_message) co_return self->too_large();
  auto asking = self->node_->control(std::move(control));
  co_return co_await std::move(asking);
}

Error Broadcaster::Core::too_large() const {
  return {Errc::too_large, "a message is larger than " + std::to_string(options_.max_message) + " bytes", 413};
}

awaitable<result<Delivery>> Broadcaster::Core::broadcast(std::shared_ptr<Core> self, std::string name,
                                                         OutboundMessage message, BroadcastOptions options) {
  const auto channel = self->options_of(name);
  if (!channel) co_return no_channel(name);
  if (message.payload().size() > self->options_.max_message) co_return self->too_large();
  if (options.is_local()) co_return self->deliver_here(name, message, options);
  broker::Publication publication{std::move(message), std::move(options.selection), 0, {}};
  auto publishing = self->node_->publish(name, std::move(publication), channel->history());
  const auto published = co_await std::move(publishing);
  if (!published) co_return published.error();
  co_return published->delivery;
}

awaitable<result<std::vector<broker::Presence>>> Broadcaster::Core::presence(std::shared_ptr<Core> self,
                                                                             std::string name) {
  const auto channel = self->options_of(name);
  if (!channel) co_return no_channel(name);
  if (!channel->presence) {
    co_return Error{Errc::invalid_argument, "the channel \"" + name + "\" keeps no presence", 400};
  }
  auto asking = self->node_->presence(name);
  co_return co_await std::move(asking);
}

awaitable<result<broker::History>> Broadcaster::Core::history(std::shared_ptr<Core> self, std::string name,
                                                              std::optional<broker::Position> since) {
  const auto channel = self->options_of(name);
  if (!channel) co_return no_channel(name);
  if (channel->history_size == 0) {
    co_return Error{Errc::invalid_argument, "the channel \"" + name + "\" keeps no history", 400};
  }
  auto asking = self->node_->history(name, std::move(since), channel->history());
  co_return co_await std::move(asking);
}

std::size_t Broadcaster::Channel::subscriber_count() const noexcept {
  const auto* channel = core_->find(name_);
  return channel == nullptr ? 0 : channel->members.size();
}
awaitable<result<std::vector<broker::Presence>>> Broadcaster::Channel::presence() const {
  return Core::presence(core_, name_);
}
awaitable<result<broker::History>> Broadcaster::Channel::history(std::optional<broker::Position> since) const {
  return Core::history(core_, name_, std::move(since));
}
awaitable<result<Delivery>> Broadcaster::Channel::broadcast(OutboundMessage message, BroadcastOptions options) const {
  return Core::broadcast(core_, name_, std::move(message), std::move(options));
}
awaitable<result<Delivery>> Broadcaster::Channel::broadcast(OutboundMessage message) const {
  return broadcast(std::move(message), BroadcastOptions());
}
void Broadcaster::Channel::close() const { core_->close(name_); }

Broadcaster::Broadcaster(const Executor& executor, broker::Broker& broker, BroadcasterOptions options)
    : core_(std::make_shared<Core>(executor, std::move(options))) {
  core_->join(broker);
}

Broadcaster::~Broadcaster() { core_->leave(); }

result<Broadcaster::Channel> Broadcaster::create_channel(std::string name, ChannelOptions options) {
  if (const auto made = core_->create(name, options); !made) return made.error();
  auto shared = core_->options_of(name);
  return Channel(core_, std::move(name), std::move(shared));
}

result<Broadcaster::Channel> Broadcaster::find_channel(std::string_view name) const {
  auto options = core_->options_of(name);
  if (!options) return no_channel(name);
  return Channel(core_, std::string(name), std::move(options));
}

std::vector<std::string> Broadcaster::channels() const { return core_->names(); }

bool Broadcaster::is_connected() const noexcept { return core_->is_connected(); }

awaitable<result<Subscribed>> Broadcaster::subscribe(SocketPtr socket, std::string channel,
                                                     std::optional<broker::Position> since) {
  return Core::subscribe(core_, std::move(socket), std::move(channel), std::move(since));
}

bool Broadcaster::unsubscribe(const SocketPtr& socket, std::string_view channel) {
  return core_->unsubscribe(socket->id(), channel);
}

bool Broadcaster::may_subscribe(const ConnectionContext& context, std::string_view channel) const {
  const auto options = core_->options_of(channel);
  return options && is_among(options->subscribers, context);
}

bool Broadcaster::may_publish(const ConnectionContext& context, std::string_view channel) const {
  const auto options = core_->options_of(channel);
  return options && options->clients_publish && is_among(options->publishers, context);
}

awaitable<result<Delivery>> Broadcaster::broadcast(std::string channel, OutboundMessage message,
                                                   BroadcastOptions options) {
  return Core::broadcast(core_, std::move(channel), std::move(message), std::move(options));
}

awaitable<result<Delivery>> Broadcaster::broadcast(std::string channel, OutboundMessage message) {
  return broadcast(std::move(channel), std::move(message), BroadcastOptions());
}

awaitable<result<Delivery>> Broadcaster::close_user(std::string user_id, int code, std::string reason) {
  broker::Control control;
  control.kind = broker::Control::Kind::close_user;
  control.user_id = std::move(user_id);
  control.code = code;
  control.reason = std::move(reason);
  return Core::control(core_, std::move(control));
}

awaitable<result<Delivery>> Broadcaster::broadcast_to_all(OutboundMessage message, broker::Selection selection) {
  broker::Control control;
  control.message = std::move(message);
  control.selection = std::move(selection);
  return Core::control(core_, std::move(control));
}

}  // namespace fresnel::channel

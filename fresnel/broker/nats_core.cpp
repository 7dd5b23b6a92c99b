#include "fresnel/broker/nats_core.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cctype>
#include <stdexcept>
#include <utility>

#include "fresnel/base/log.hpp"

namespace fresnel::broker {
namespace {

NatsConnectionOptions connection_options(const NatsBrokerOptions& options) {
  NatsConnectionOptions given;
  given.servers = options.servers;
  given.credentials_file = options.credentials_file;
  given.ca_file = options.ca_file;
  given.connect_timeout = options.connect_timeout;
  given.reconnect_wait = options.reconnect_wait;
  given.ping_interval = options.ping_interval;
  given.max_outgoing_bytes = options.max_outgoing_bytes;
  given.max_incoming_messages = options.max_incoming_messages;
  given.max_incoming_bytes = options.max_incoming_bytes;
  return given;
}

bool is_prefix(std::string_view text) {
  char before = '.';
  for (const char c : text) {
    const bool is_letter = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-';
    if (!is_letter && (c != '.' || before == '.')) return false;
    before = c;
  }
  return before != '.';
}

}  // namespace

NatsCore::NatsCore(const Executor& home, Clock& clock, NatsBrokerOptions options)
    : home_(home), clock_(clock), options_(std::move(options)) {
  if (options_.servers.empty()) throw std::runtime_error("NATS: no server is given");
  if (!is_prefix(options_.prefix)) {
    throw std::runtime_error("NATS: the prefix has letters, digits, _ and -, with dots between, got \"" +
                             options_.prefix + "\"");
  }
  nats_ = std::make_shared<NatsConnection>(home, clock, connection_options(options_));
  nats_wire::StreamOptions stream;
  stream.max_bytes = options_.max_stream_bytes;
  stream.replicas = options_.replicas;
  streams_ = std::make_shared<NatsStreams>(home, clock, nats_, options_.prefix, stream, options_.request_timeout);
  NatsPresenceOptions presence;
  presence.timeout = options_.presence_timeout;
  presence.alive_interval = options_.alive_interval;
  presence_ = std::make_shared<NatsPresence>(home, clock, nats_, options_.prefix, presence);
}

void NatsCore::start() {
  const auto weak = weak_from_this();
  presence_->start();
  (void)nats_->subscribe(options_.prefix + ".control", [weak](NatsMessage message) -> std::function<void()> {
    auto received = nats_wire::decode_control(std::move(message));
    if (!received) return nullptr;
    return [weak, received = *std::move(received)] {
      if (const auto self = weak.lock()) self->receive_control(received);
    };
  });
  // Last: from now on all of this belongs to the home executor.
  nats_->start(
      [weak](bool connected) {
        if (const auto self = weak.lock()) self->on_status(connected);
      },
      [weak](NatsConnection::SubscriptionId id) {
        if (const auto self = weak.lock()) self->on_lost(id);
      });
}

void NatsCore::stop() {
  nats_->stop(presence_->goodbye());
  asio::post(home_, [self = shared_from_this()] {
    self->stopped_ = true;
    self->presence_->stop();
    self->give_up_echoes();
    for (const auto& [name, channel] : self->channels_) {
      channel->retry = nullptr;
      channel->held = nullptr;
      for (const auto& [id, echo] : channel->echoes) echo->all.cancel();
      for (const auto& timer : channel->asked) timer->cancel();
    }
    for (const auto& timer : self->want_connection_) timer->cancel();
    self->to_sync_.clear();
  });
}

Error NatsCore::away() const { return {Errc::closed, "there is no connection to NATS"}; }

NatsCore::ChannelPtr NatsCore::find(const std::string& name) const {
  const auto found = channels_.find(name);
  return found == channels_.end() ? nullptr : found->second;
}

void NatsCore::join(NodeId id, const Executor& executor, const std::weak_ptr<Handlers>& handlers) {
  nodes_.emplace(id, Member{executor, handlers});
  if (told_connected_) return;
  asio::post(executor, [handlers] {
    const auto there = handlers.lock();
    if (there && there->on_status) there->on_status(false);
  });
}

void NatsCore::leave(NodeId id) {
  nodes_.erase(id);
  presence_->leave(id);
  std::vector<ChannelPtr> unused;
  for (const auto& [name, channel] : channels_) {
    if (channel->nodes.erase(id) > 0 && channel->nodes.empty()) unused.push_back(channel);
  }
  for (const auto& channel : unused) drop(channel);
}

void NatsCore::subscribe(NodeId id, const std::string& name, HistoryLimits limits) {
  if (!nodes_.contains(id)) return;
  auto channel = find(name);
  if (!channel) {
    channel = std::make_shared<Channel>(name);
    channels_.emplace(name, channel);
    const auto decode = [weak = weak_from_this(), name](NatsMessage message) -> std::function<void()> {
      const auto received = std::make_shared<nats_wire::Received>(nats_wire::decode_publication(std::move(message)));
      return [weak, name, received] {
        if (const auto self = weak.lock()) self->receive(name, std::move(*received));
      };
    };
    channel->subscription = nats_->subscribe(nats_wire::live_subject(options_.prefix, name), decode);
    by_subscription_.emplace(channel->subscription, name);
  }
  channel->nodes.insert(id);
  if (limits.size == 0 || channel->log) return;
  channel->log = std::make_unique<NatsLog>(limits);
  channel->stream = nats_wire::stream_name(options_.prefix, limits);
  start_sync(channel);
}

void NatsCore::unsubscribe(NodeId id, const std::string& name) {
  const auto channel = find(name);
  if (channel && channel->nodes.erase(id) > 0 && channel->nodes.empty()) drop(channel);
}

void NatsCore::drop(const ChannelPtr& channel) {
  nats_->unsubscribe(channel->subscription);
  by_subscription_.erase(channel->subscription);
  if (channel->log) log_bytes_ -= channel->log->bytes();
  channel->log = nullptr;
  channel->retry = nullptr;
  returning_.erase(channel);
  channel->held = nullptr;
  channel->waiting.clear();
  for (const auto& [id, echo] : channel->echoes) {  // nobody here is left to be given it
    echo->arrived = true;
    echo->all.cancel();
  }
  for (const auto& timer : channel->asked) timer->cancel();
  channels_.erase(channel->name);
}

void NatsCore::on_status(bool connected) {
  if (!connected) {
    returning_.clear();
    streams_->forget();
    const auto heard = nats_->last_heard();
    for (const auto& [name, channel] : channels_) {
      if (channel->log) fall_behind(*channel, heard);
    }
    give_up_echoes();
    tell_status(false);
  } else {
    const auto waiting = std::exchange(want_connection_, {});
    for (const auto& timer : waiting) timer->cancel();
    for (const auto& [name, channel] : channels_) {
      if (!channel->log) continue;
      returning_.insert(channel);
      start_sync(channel);
    }
    tell_if_back();
  }
  presence_->on_status(connected);
}

void NatsCore::tell_status(bool connected) {
  if (std::exchange(told_connected_, connected) == connected) return;
  log::info("NATS: {}", connected ? "connected" : "the connection is lost");
  for (const auto& [id, member] : nodes_) {
    asio::post(member.executor, [weak = member.handlers, connected] {
      const auto handlers = weak.lock();
      if (handlers && handlers->on_status) handlers->on_status(connected);
    });
  }
}

// First the gaps are closed, then it is back.
void NatsCore::tell_if_back() {
  if (nats_->is_connected() && returning_.empty()) tell_status(true);
}

void NatsCore::on_lost(NatsConnection::SubscriptionId id) {
  const auto found = by_subscription_.find(id);
  if (found == by_subscription_.end()) {
    log::warn("NATS: messages between the gateways came faster than they were taken; some are lost");
    return;
  }
  log::warn("NATS: messages of channel {} came faster than they were taken", found->second);
  const auto channel = find(found->second);
  if (!channel || !channel->log) return;
  fall_behind(*channel, clock_.now());
  start_sync(channel);
}

// What is not kept in a history will not be heard of again.
void NatsCore::give_up_echoes() {
  const auto give_up = [](std::map<std::string, EchoPtr>& echoes) {
    for (const auto& [id, echo] : echoes) {
      if (echo->is_kept || echo->arrived) continue;
      echo->gone = true;
      echo->all.cancel();
    }
  };
  give_up(control_echoes_);
  for (const auto& [name, channel] : channels_) give_up(channel->echoes);
}

void NatsCore::hand_out(const std::vector<NodeId>& nodes, const EchoPtr& echo,
                        const std::function<Delivery(const Handlers&)>& call) {
  if (echo) {
    echo->arrived = true;
    echo->missing = nodes.size();
    if (nodes.empty()) echo->all.cancel();
  }
  for (const auto id : nodes) {
    const auto& member = nodes_.at(id);
    asio::post(member.executor, [weak = member.handlers, call, echo = echo, home = home_]() mutable {
      const auto handlers = weak.lock();
      const auto delivery = handlers ? call(*handlers) : Delivery();
      if (!echo) return;
      asio::post(home, [echo = std::move(echo), delivery] {
        echo->sum += delivery;
        if (--echo->missing == 0) echo->all.cancel();
      });
    });
  }
}

void NatsCore::deliver(Channel& channel, const PublicationPtr& publication, const std::string& id) {
  const auto found = channel.echoes.find(id);
  const auto echo = found == channel.echoes.end() || found->second->arrived ? nullptr : found->second;
  if (echo) echo->sequence = publication->offset;
  const std::vector<NodeId> nodes(channel.nodes.begin(), channel.nodes.end());
  hand_out(nodes, echo, [name = channel.name, publication](const Handlers& handlers) {
    return handlers.on_publication(name, publication);
  });
}

void NatsCore::receive_control(const nats_wire::ReceivedControl& received) {
  const auto found = control_echoes_.find(received.id);
  std::vector<NodeId> nodes;
  for (const auto& [id, member] : nodes_) nodes.push_back(id);
  hand_out(nodes, found == control_echoes_.end() ? nullptr : found->second,
           [control = received.control](const Handlers& handlers) { return handlers.on_control(control); });
}

awaitable<result<std::vector<Presence>>> NatsCore::who(std::shared_ptr<NatsCore> self, std::string channel) {
  co_await asio::post(self->home_, asio::use_awaitable);  // behind what its node has asked for before
  auto asking = self->presence_->ask(std::move(channel));
  co_return co_await std::move(asking);
}

}  // namespace fresnel::broker

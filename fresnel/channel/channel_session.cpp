#include "fresnel/channel/channel_session.hpp"

#include <utility>

#include "fresnel/channel/channel_message.hpp"

namespace fresnel::channel {
namespace {

using Type = ChannelRequest::Type;

// What follows is awaited at once by serve_channels(), whose frame holds what it refers to.

awaitable<std::string> subscribe(const SocketPtr& socket, Broadcaster& broadcaster, const ChannelRequest& request) {
  auto subscribing = broadcaster.subscribe(socket, request.channel, request.position);
  const auto subscribed = co_await std::move(subscribing);
  if (!subscribed) co_return encode_error(request.id, subscribed.error());
  co_return encode_subscribed(request, subscribed->position, subscribed->recovered);
}

awaitable<std::string> publish(const SocketPtr& socket, Broadcaster& broadcaster, const ChannelRequest& request) {
  if (!broadcaster.find_channel(request.channel)) {
    co_return encode_error(request.id, broadcaster.find_channel(request.channel).error());
  }
  if (!broadcaster.may_publish(socket->context(), request.channel)) {
    co_return encode_error(request.id, Error{Errc::forbidden, "this user may not publish here", 403, "Forbidden"});
  }
  auto message = net::OutboundMessage::json(request.data);
  auto publishing = broadcaster.broadcast(request.channel, std::move(message));
  const auto delivery = co_await std::move(publishing);
  co_return delivery ? encode_published(request, *delivery) : encode_error(request.id, delivery.error());
}

// Of those who may subscribe, as they could see it by subscribing.
result<Broadcaster::Channel> readable(const SocketPtr& socket, Broadcaster& broadcaster, const std::string& name) {
  auto channel = broadcaster.find_channel(name);
  if (channel && !broadcaster.may_subscribe(socket->context(), name)) {
    return Error{Errc::forbidden, "this user may not read here", 403, "Forbidden"};
  }
  return channel;
}

awaitable<std::string> presence(const SocketPtr& socket, Broadcaster& broadcaster, const ChannelRequest& request) {
  const auto channel = readable(socket, broadcaster, request.channel);
  if (!channel) co_return encode_error(request.id, channel.error());
  auto asking = channel->presence();
  const auto present = co_await std::move(asking);
  co_return present ? encode_presence(request, *present) : encode_error(request.id, present.error());
}

awaitable<std::string> history(const SocketPtr& socket, Broadcaster& broadcaster, const ChannelRequest& request) {
  const auto channel = readable(socket, broadcaster, request.channel);
  if (!channel) co_return encode_error(request.id, channel.error());
  auto asking = channel->history(request.position);
  auto had = co_await std::move(asking);
  if (!had) co_return encode_error(request.id, had.error());
  std::erase_if(had->publications, [&](const auto& one) { return !selects(one->selection, socket->context()); });
  co_return encode_history(request, *had);
}

awaitable<std::string> renew(const SocketPtr& socket, const ChannelRequest& request) {
  auto renewing = socket->renew(request.token);
  const auto renewed = co_await std::move(renewing);
  co_return renewed ? encode_renewed(request) : encode_error(request.id, renewed.error());
}

awaitable<std::string> answer(const SocketPtr& socket, Broadcaster& broadcaster, const ChannelRequest& request) {
  switch (request.type) {
    case Type::subscribe: return subscribe(socket, broadcaster, request);
    case Type::publish: return publish(socket, broadcaster, request);
    case Type::presence: return presence(socket, broadcaster, request);
    case Type::history: return history(socket, broadcaster, request);
    default: return renew(socket, request);
  }
}

}  // namespace

void speak_channel_protocol(BroadcasterOptions& options) {
  options.envelope = encode_message;
  options.status_message = encode_status;
  options.gap_message = encode_gap;
}

awaitable<void> serve_channels(SocketPtr socket, Broadcaster& broadcaster) {
  for (;;) {
    auto reading = socket->read();
    const auto message = co_await std::move(reading);
    if (!message) co_return;
    const auto request = parse_channel_request(message->payload);
    std::string text;
    if (!request) {
      text = encode_error(request.error().id, request.error());
    } else if (request->type == Type::unsubscribe) {
      (void)broadcaster.unsubscribe(socket, request->channel);
      text = encode_unsubscribed(*request);
    } else {
      auto answering = answer(socket, broadcaster, *request);
      text = co_await std::move(answering);
    }
    socket->send(std::move(text));
    const bool subscribed = request && request->type == Type::subscribe;
    if (subscribed && !broadcaster.is_connected()) socket->send(encode_status(false));
  }
}

}  // namespace fresnel::channel

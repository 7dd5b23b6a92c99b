#include "fresnel/channel/channel_message.hpp"

#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <utility>

#include "fresnel/base/base64url.hpp"
#include "fresnel/json/escape.hpp"

namespace fresnel::channel {
namespace {

namespace json = boost::json;
using Type = ChannelRequest::Type;

constexpr std::array<std::pair<std::string_view, Type>, 6> kTypes{{{"subscribe", Type::subscribe},
                                                                   {"unsubscribe", Type::unsubscribe},
                                                                   {"publish", Type::publish},
                                                                   {"presence", Type::presence},
                                                                   {"history", Type::history},
                                                                   {"renew", Type::renew}}};
constexpr std::size_t kMaxId = 64;  // bytes

BadRequest bad(std::string message, const json::value& id) {
  BadRequest request;
  request.code = Errc::invalid_argument;
  request.message = std::move(message);
  request.status = 400;
  request.reason = "bad_request";
  request.id = id;
  return request;
}

const json::string* text_at(const json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  return value == nullptr ? nullptr : value->if_string();
}

// Only what can be an id is sent back.
json::value id_of(const json::object& object) {
  const auto* value = object.if_contains("id");
  if (value == nullptr) return nullptr;
  if (value->is_number()) return *value;
  const auto* text = value->if_string();
  return text != nullptr && text->size() <= kMaxId ? *value : json::value();
}

std::optional<broker::Position> position_of(const json::value& value) {
  const auto* object = value.if_object();
  const auto* epoch = object == nullptr ? nullptr : text_at(*object, "epoch");
  const auto* offset = object == nullptr ? nullptr : object->if_contains("offset");
  if (epoch == nullptr || epoch->size() > 256 || offset == nullptr) return std::nullopt;
  error_code error;
  const auto number = offset->is_number() ? offset->to_number<std::uint64_t>(error) : 0;
  if (error || !offset->is_number()) return std::nullopt;
  return broker::Position{std::string(*epoch), number};
}

json::object encoded(const broker::Position& position) {
  return {{"epoch", position.epoch}, {"offset", position.offset}};
}

json::object answer(std::string_view type, const ChannelRequest& request) {
  json::object object{{"type", type}};
  if (!request.id.is_null()) object["id"] = request.id;
  if (!request.channel.empty()) object["channel"] = request.channel;
  return object;
}

// The members "encoding" and "data" of a publication, behind what `out` has already.
void append_data(std::string& out, const net::OutboundMessage& message) {
  const auto payload = message.payload().view();
  switch (message.kind()) {
    case net::OutboundMessage::Kind::json: out.append(R"("data":)").append(payload); return;
    case net::OutboundMessage::Kind::text:
      out.append(R"("data":)");
      fresnel::json::append_quoted(out, payload);
      return;
    case net::OutboundMessage::Kind::binary:
      out.append(R"("encoding":"base64url","data":")").append(to_base64url(payload)).append("\"");
  }
}

}  // namespace

boost::system::result<ChannelRequest, BadRequest> parse_channel_request(std::string_view text) {
  error_code error;
  const auto value = json::parse(text, error);
  const auto* object = error ? nullptr : value.if_object();
  if (object == nullptr) return bad("expected a JSON object", nullptr);
  ChannelRequest request;
  request.id = id_of(*object);
  const auto* type = text_at(*object, "type");
  const auto* known = kTypes.begin();
  while (known != kTypes.end() && (type == nullptr || known->first != std::string_view(*type))) ++known;
  if (known == kTypes.end()) {
    return bad("field type: expected subscribe, unsubscribe, publish, presence, history or renew", request.id);
  }
  request.type = known->second;
  const bool has_channel = request.type != Type::renew;
  const auto* channel = text_at(*object, "channel");
  if (has_channel && channel == nullptr) return bad("field channel: expected a name", request.id);
  if (has_channel) request.channel = *channel;
  if (const auto* position = object->if_contains("position"); position != nullptr && !position->is_null()) {
    request.position = position_of(*position);
    if (!request.position) return bad("field position: expected {\"epoch\":text,\"offset\":number}", request.id);
  }
  if (request.type == Type::publish) {
    const auto* data = object->if_contains("data");
    if (data == nullptr) return bad("field data: expected what is to be published", request.id);
    request.data = *data;
  }
  if (request.type == Type::renew) {
    const auto* token = text_at(*object, "token");
    if (token == nullptr) return bad("field token: expected the new credential", request.id);
    request.token = *token;
  }
  return request;
}

std::string encode_subscribed(const ChannelRequest& request, const broker::Position& position, bool recovered) {
  auto object = answer("subscribed", request);
  object["recovered"] = recovered;
  if (!position.epoch.empty()) object["position"] = encoded(position);
  return json::serialize(object);
}

std::string encode_unsubscribed(const ChannelRequest& request) {
  return json::serialize(answer("unsubscribed", request));
}

std::string encode_published(const ChannelRequest& request, const broker::Delivery& delivery) {
  auto object = answer("published", request);
  object["queued"] = delivery.queued;
  object["skipped"] = delivery.skipped;
  object["slow"] = delivery.slow;
  return json::serialize(object);
}

std::string encode_presence(const ChannelRequest& request, const std::vector<broker::Presence>& present) {
  auto object = answer("presence", request);
  json::array all;
  for (const auto& one : present) all.push_back({{"connection", one.connection_id}, {"user", one.user_id}});
  object["present"] = std::move(all);
  return json::serialize(object);
}

std::string encode_history(const ChannelRequest& request, const broker::History& history) {
  auto object = answer("history", request);
  object["position"] = encoded(history.position);
  object["recovered"] = history.recovered;
  auto text = json::serialize(object);
  text.pop_back();
  text.append(R"(,"messages":[)");
  for (const auto& publication : history.publications) {
    if (text.back() != '[') text += ',';
    text.append(R"({"offset":)").append(std::to_string(publication->offset)).append(",");
    append_data(text, publication->message);
    text += '}';
  }
  return text.append("]}");
}

std::string encode_renewed(const ChannelRequest& request) { return json::serialize(answer("renewed", request)); }

std::string encode_error(const json::value& id, const Error& error) {
  json::object object{{"type", "error"}};
  if (!id.is_null()) object["id"] = id;
  // Kubernetes writes its reasons in capitals, this protocol its codes in lower case.
  const bool is_code = !error.reason.empty() && error.reason.front() >= 'a' && error.reason.front() <= 'z';
  object["code"] = is_code ? error.reason : std::string(to_string(error.code));
  object["message"] = error.message;
  return json::serialize(object);
}

net::OutboundMessage encode_message(std::string_view channel, const broker::Publication& publication) {
  std::string text = R"({"type":"message","channel":)";
  text.reserve(text.size() + channel.size() + publication.message.payload().size() + 64);
  fresnel::json::append_quoted(text, channel);
  if (publication.offset > 0) text.append(R"(,"offset":)").append(std::to_string(publication.offset));
  text += ',';
  append_data(text, publication.message);
  text += '}';
  return net::OutboundMessage::text(std::move(text)).with_key(publication.message.key());
}

net::OutboundMessage encode_broadcast(const json::value& data) {
  return net::OutboundMessage::json({{"type", "broadcast"}, {"data", data}});
}

net::OutboundMessage encode_status(bool connected) {
  return net::OutboundMessage::json({{"type", "status"}, {"connected", connected}});
}

net::OutboundMessage encode_gap(std::string_view channel, const broker::Position& position) {
  return net::OutboundMessage::json({{"type", "gap"}, {"channel", channel}, {"position", encoded(position)}});
}

}  // namespace fresnel::channel

#include "fresnel/broker/nats_wire.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cctype>
#include <charconv>
#include <ctime>

#include "fresnel/base/base64url.hpp"
#include "fresnel/json/utf8.hpp"

namespace fresnel::broker::nats_wire {
namespace {

namespace json = boost::json;
using net::OutboundMessage;

constexpr std::string_view kId = "Nats-Msg-Id";
constexpr std::string_view kKind = "Fresnel-Kind";
constexpr std::string_view kMeta = "Fresnel-Meta";

std::int64_t lifetime_ms(HistoryLimits limits) {
  return std::max<std::int64_t>(100, std::chrono::duration_cast<milliseconds>(limits.lifetime).count());
}

json::value parse(std::string_view text) {
  error_code error;
  json::parse_options options;
  options.allow_invalid_utf8 = true;  // attributes may come from anywhere
  auto value = json::parse(text, error, {}, options);
  return error ? json::value() : value;
}

const json::value* member(const json::value& value, std::string_view name) {
  const auto* object = value.if_object();
  return object == nullptr ? nullptr : object->if_contains(name);
}

std::string text_of(const json::value& value, std::string_view name) {
  const auto* found = member(value, name);
  const auto* text = found == nullptr ? nullptr : found->if_string();
  return text == nullptr ? std::string() : std::string(*text);
}

std::uint64_t number_of(const json::value& value, std::string_view name) {
  const auto* found = member(value, name);
  if (found == nullptr) return 0;
  error_code error;
  const auto number = found->to_number<std::uint64_t>(error);
  return error ? 0 : number;
}

bool bool_of(const json::value& value, std::string_view name) {
  const auto* found = member(value, name);
  return found != nullptr && found->is_bool() && found->get_bool();
}

std::uint64_t number_from(std::string_view text) {
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

void put_selection(json::object& meta, const Selection& selection) {
  if (!selection.user_ids.empty()) meta["users"] = json::array(selection.user_ids.begin(), selection.user_ids.end());
  if (!selection.attributes.empty()) {
    json::object attributes;
    for (const auto& [name, value] : selection.attributes) attributes[name] = value;
    meta["attributes"] = std::move(attributes);
  }
  if (!selection.exclude_connection_id.empty()) meta["exclude"] = selection.exclude_connection_id;
}

Selection selection_of(const json::value& meta) {
  Selection selection;
  if (const auto* users = member(meta, "users"); users != nullptr && users->is_array()) {
    for (const auto& user : users->get_array()) {
      if (user.is_string()) selection.user_ids.emplace_back(user.get_string());
    }
  }
  if (const auto* attributes = member(meta, "attributes"); attributes != nullptr && attributes->is_object()) {
    for (const auto& [name, value] : attributes->get_object()) {
      if (value.is_string()) selection.attributes.emplace(name, value.get_string());
    }
  }
  selection.exclude_connection_id = text_of(meta, "exclude");
  return selection;
}

void put_message(NatsHeaders& headers, json::object& meta, const OutboundMessage& message) {
  if (message.kind() == OutboundMessage::Kind::binary) headers.emplace_back(kKind, "binary");
  if (message.kind() == OutboundMessage::Kind::json) headers.emplace_back(kKind, "json");
  if (!message.key().empty()) meta["key"] = message.key();
}

OutboundMessage message_of(std::string_view kind, std::string payload, const json::value& meta) {
  const auto made = [&]() -> OutboundMessage {
    if (kind != "binary" && fresnel::json::is_valid_utf8(payload)) {
      if (kind != "json") return OutboundMessage::text(std::move(payload));
      error_code error;
      json::parse_options limits;
      limits.max_depth = 128;  // publishers have their own, below that
      (void)json::parse(payload, error, {}, limits);
      if (!error) return OutboundMessage::serialized_json(std::move(payload));
    }
    return OutboundMessage::binary(std::move(payload));
  };
  auto message = made();
  auto key = text_of(meta, "key");
  return key.empty() ? message : message.with_key(std::move(key));
}

std::string from_base64(std::string text) {
  std::replace(text.begin(), text.end(), '+', '-');
  std::replace(text.begin(), text.end(), '/', '_');
  text.erase(std::find(text.begin(), text.end(), '='), text.end());
  return from_base64url(text).value_or(std::string());
}

// RFC 3339 in UTC, to the second: "2026-11-21T23:20:42.102590994Z".
std::optional<WallTime> time_from(const std::string& text) {
  std::tm fields{};
  if (strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &fields) == nullptr) return std::nullopt;
  return std::chrono::system_clock::from_time_t(timegm(&fields));
}

// "NATS/1.0", then a line each.
NatsHeaders headers_from(std::string_view block) {
  NatsHeaders headers;
  bool is_first = true;
  while (!block.empty()) {
    const auto end = block.find("\r\n");
    const auto line = block.substr(0, end);
    block.remove_prefix(end == std::string_view::npos ? block.size() : end + 2);
    const auto colon = line.find(':');
    if (std::exchange(is_first, false) || colon == std::string_view::npos) continue;
    auto value = line.substr(colon + 1);
    while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
    headers.emplace_back(line.substr(0, colon), value);
  }
  return headers;
}

}  // namespace

std::string channel_token(std::string_view channel) {
  std::string token;
  for (const char c : channel) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || std::string_view("_:/@-").find(c) != std::string_view::npos) {
      token += c;
    } else {
      fmt::format_to(std::back_inserter(token), "%{:02X}", byte);
    }
  }
  return token;
}

std::string live_subject(std::string_view prefix, std::string_view channel) {
  return fmt::format("{}.m.{}", prefix, channel_token(channel));
}

std::string history_subject(std::string_view prefix, HistoryLimits limits, std::string_view channel) {
  return fmt::format("{}.h.{}.{}.{}", prefix, limits.size, lifetime_ms(limits), channel_token(channel));
}

std::string stream_name(std::string_view prefix, HistoryLimits limits) {
  auto name = fmt::format("{}_h_{}_{}", prefix, limits.size, lifetime_ms(limits));
  std::replace(name.begin(), name.end(), '.', '=');  // a stream's name has none
  return name;
}

Duration duplicate_window(HistoryLimits limits) {
  constexpr Duration kTwoMinutes = std::chrono::minutes(2);
  return std::min<Duration>(limits.lifetime, kTwoMinutes);
}

std::string stream_config(std::string_view prefix, HistoryLimits limits, StreamOptions options) {
  const auto subjects = fmt::format("{}.h.{}.{}.>", prefix, limits.size, lifetime_ms(limits));
  const auto max_age = lifetime_ms(limits) * 1'000'000;
  const json::object republish{{"src", subjects}, {"dest", fmt::format("{}.m.>", prefix)}};
  // One message more than the history has: whether the one before the oldest is still there tells how far it reaches.
  const json::object config{
      {"name", stream_name(prefix, limits)},
      {"subjects", json::array{json::value(subjects)}},
      {"retention", "limits"},
      {"storage", "file"},
      {"discard", "old"},
      {"max_consumers", -1},
      {"max_msgs", -1},
      {"max_msg_size", -1},
      {"max_msgs_per_subject", limits.size + 1},
      {"max_bytes", options.max_bytes},
      {"max_age", max_age},
      {"duplicate_window", std::chrono::duration_cast<std::chrono::nanoseconds>(duplicate_window(limits)).count()},
      {"num_replicas", options.replicas},
      {"republish", republish}};
  return json::serialize(config);
}

result<json::value> parse_answer(const NatsMessage& answer) {
  if (answer.nobody_there) {
    return Error{Errc::api, "the NATS server has no JetStream (nats-server -js), which channels with a history need",
                 503, "no_jetstream"};
  }
  auto value = parse(answer.payload);
  if (!value.is_object()) return Error{Errc::protocol, "JetStream's answer is no JSON object"};
  const auto* error = member(value, "error");
  if (error == nullptr) return value;
  const auto code = static_cast<int>(number_of(*error, "code"));
  return Error{code_of_http_status(code), "JetStream: " + text_of(*error, "description"), code,
               std::to_string(number_of(*error, "err_code"))};
}

result<StreamInfo> parse_stream_info(const NatsMessage& answer) {
  const auto parsed = parse_answer(answer);
  if (!parsed) return parsed.error();
  const auto* state = member(*parsed, "state");
  const auto* config = member(*parsed, "config");
  if (state == nullptr || config == nullptr) return Error{Errc::protocol, "JetStream did not describe the stream"};
  StreamInfo info;
  for (const char c : text_of(*parsed, "created")) {
    if (std::isdigit(static_cast<unsigned char>(c)) != 0) info.epoch += c;
  }
  info.first = number_of(*state, "first_seq");
  info.last = number_of(*state, "last_seq");
  info.bytes = number_of(*state, "bytes");
  if (info.first == 0) info.first = 1;  // it has never had one
  info.republishes = member(*config, "republish") != nullptr;
  return info;
}

result<std::uint64_t> parse_ack(const NatsMessage& answer) {
  const auto parsed = parse_answer(answer);
  if (!parsed) return parsed.error();
  const auto sequence = number_of(*parsed, "seq");
  if (sequence == 0) return Error{Errc::protocol, "JetStream's answer to a publication has no sequence"};
  return sequence;
}

NatsHeaders publication_headers(const Publication& publication, std::string_view id) {
  NatsHeaders headers;
  json::object meta;
  headers.emplace_back(kId, id);
  put_message(headers, meta, publication.message);
  put_selection(meta, publication.selection);
  if (!meta.empty()) headers.emplace_back(kMeta, json::serialize(meta));
  return headers;
}

Received decode_publication(NatsMessage message) {
  Received received;
  received.id = message.header(kId);
  received.stream = message.header("Nats-Stream");
  received.sequence = number_from(message.header("Nats-Sequence"));
  received.previous = number_from(message.header("Nats-Last-Sequence"));
  const auto text = message.header(kMeta);
  const auto meta = text.empty() ? json::value() : parse(text);
  received.publication.message = message_of(message.header(kKind), std::move(message.payload), meta);
  received.publication.selection = selection_of(meta);
  received.publication.offset = received.sequence;
  return received;
}

result<Received> parse_stored(const NatsMessage& answer) {
  const auto parsed = parse_answer(answer);
  if (!parsed) return parsed.error();
  const auto* stored = member(*parsed, "message");
  if (stored == nullptr) return Error{Errc::protocol, "JetStream's answer has no message"};
  NatsMessage message;
  message.headers = headers_from(from_base64(text_of(*stored, "hdrs")));
  message.payload = from_base64(text_of(*stored, "data"));
  auto received = decode_publication(std::move(message));
  received.sequence = number_of(*stored, "seq");
  received.publication.offset = received.sequence;
  received.stored_at = time_from(text_of(*stored, "time"));
  if (received.sequence == 0) return Error{Errc::protocol, "JetStream's message has no sequence"};
  return received;
}

NatsOutgoing encode_control(std::string_view prefix, const Control& control, std::string_view id) {
  NatsOutgoing message;
  message.subject = fmt::format("{}.control", prefix);
  message.headers.emplace_back(kId, id);
  json::object meta;
  if (control.kind == Control::Kind::close_user) {
    meta["close_user"] = control.user_id;
    meta["code"] = control.code;
    meta["reason"] = control.reason;
  } else if (control.message) {
    put_message(message.headers, meta, *control.message);
    put_selection(meta, control.selection);
    message.payload = control.message->payload();
  }
  if (!meta.empty()) message.headers.emplace_back(kMeta, json::serialize(meta));
  return message;
}

std::optional<ReceivedControl> decode_control(NatsMessage message) {
  ReceivedControl received;
  received.id = message.header(kId);
  const auto meta = parse(message.header(kMeta));
  auto& control = received.control;
  if (const auto* user = member(meta, "close_user"); user != nullptr) {
    if (!user->is_string()) return std::nullopt;
    control.kind = Control::Kind::close_user;
    control.user_id = std::string(user->get_string());
    control.code = static_cast<int>(number_of(meta, "code"));
    control.reason = text_of(meta, "reason");
  } else {
    control.message = message_of(message.header(kKind), std::move(message.payload), meta);
    control.selection = selection_of(meta);
  }
  return received;
}

std::string encode_presence(const PresenceAnswer& answer) {
  json::array present;
  for (const auto& one : answer.present) {
    present.push_back(json::array{json::value(one.connection_id), json::value(one.user_id)});
  }
  return json::serialize(
      json::object{{"gateway", answer.gateway}, {"last", answer.is_last}, {"present", std::move(present)}});
}

std::optional<PresenceAnswer> decode_presence(std::string_view payload) {
  const auto value = parse(payload);
  const auto* present = member(value, "present");
  if (present == nullptr || !present->is_array()) return std::nullopt;
  PresenceAnswer answer{text_of(value, "gateway"), bool_of(value, "last"), {}};
  for (const auto& one : present->get_array()) {
    const auto* pair = one.if_array();
    if (pair == nullptr || pair->size() != 2 || !(*pair)[0].is_string() || !(*pair)[1].is_string()) return std::nullopt;
    answer.present.push_back({std::string((*pair)[0].get_string()), std::string((*pair)[1].get_string())});
  }
  return answer;
}

std::string encode_alive(const Alive& alive) {
  return json::serialize(json::object{{"gateway", alive.gateway}, {"new", alive.is_new}, {"last", alive.is_last}});
}

std::optional<Alive> decode_alive(std::string_view payload) {
  const auto value = parse(payload);
  Alive alive{text_of(value, "gateway"), bool_of(value, "new"), bool_of(value, "last")};
  if (alive.gateway.empty()) return std::nullopt;
  return alive;
}

}  // namespace fresnel::broker::nats_wire

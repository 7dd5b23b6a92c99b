#include "fresnel/gateway/api_request.hpp"

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <initializer_list>

namespace fresnel::gateway {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxReason = 123;  // bytes: RFC 6455 section 5.5

Error bad(std::string message) { return {Errc::invalid_argument, std::move(message), 400, "BadRequest"}; }

result<json::object> parse_object(std::string_view text, std::initializer_list<std::string_view> fields) {
  json::error_code ec;
  json::parse_options limits;
  limits.max_depth = 64;
  auto value = json::parse(json::string_view(text.data(), text.size()), ec, {}, limits);
  if (ec || !value.is_object()) return bad("expected a JSON object");
  for (const auto& field : value.get_object()) {
    const std::string_view key(field.key().data(), field.key().size());
    if (std::find(fields.begin(), fields.end(), key) != fields.end()) continue;
    std::string known;
    for (const auto& name : fields) known.append(known.empty() ? "" : ", ").append(name);
    return bad("field " + std::string(key.substr(0, 64)) + ": expected one of " + known);
  }
  return std::move(value.get_object());
}

// Leaves `out` as it is where there is no such field.
result<void> read_text(const json::object& object, std::string_view name, std::string& out) {
  const auto* value = object.if_contains(json::string_view(name.data(), name.size()));
  if (value == nullptr) return {};
  if (!value->is_string()) return bad("field " + std::string(name) + ": expected a text");
  out = std::string(value->get_string());
  return {};
}

result<broker::Selection> read_selection(const json::value& value) {
  broker::Selection selection;
  const auto* object = value.if_object();
  if (object == nullptr) return bad("field selection: expected an object");
  for (const auto& field : *object) {
    if (field.key() == "user_ids" && field.value().is_array()) {
      for (const auto& user : field.value().get_array()) {
        if (!user.is_string()) return bad("field selection.user_ids: expected a list of texts");
        selection.user_ids.emplace_back(user.get_string());
      }
      // Nobody is not everybody.
      if (selection.user_ids.empty()) return bad("field selection.user_ids: expected at least one");
    } else if (field.key() == "attributes" && field.value().is_object()) {
      for (const auto& attribute : field.value().get_object()) {
        if (!attribute.value().is_string()) return bad("field selection.attributes: expected texts");
        selection.attributes.emplace(attribute.key(), attribute.value().get_string());
      }
    } else if (field.key() == "exclude_connection_id" && field.value().is_string()) {
      selection.exclude_connection_id = std::string(field.value().get_string());
    } else {
      return bad("field selection: expected user_ids (a list), attributes (an object), exclude_connection_id (a text)");
    }
  }
  return selection;
}

}  // namespace

result<BroadcastRequest> parse_broadcast_request(std::string_view body) {
  const auto object = parse_object(body, {"channel", "data", "selection"});
  if (!object) return object.error();
  BroadcastRequest request;
  if (const auto read = read_text(*object, "channel", request.channel); !read) return read.error();
  if (object->contains("channel") && request.channel.empty()) return bad("field channel: expected a name");
  const auto* data = object->if_contains("data");
  if (data == nullptr) return bad("field data: expected what is to be sent");
  request.data = *data;
  if (const auto* selection = object->if_contains("selection")) {
    auto read = read_selection(*selection);
    if (!read) return read.error();
    request.selection = *std::move(read);
  }
  return request;
}

result<CloseRequest> parse_close_request(std::string_view body) {
  CloseRequest request;
  if (body.empty()) return request;
  const auto object = parse_object(body, {"code", "reason"});
  if (!object) return object.error();
  if (const auto* code = object->if_contains("code")) {
    const auto* number = code->if_int64();
    const bool usable = number != nullptr &&
                        (*number == 1000 || *number == 1001 || *number == 1008 || (*number >= 3000 && *number <= 4999));
    if (!usable) return bad("field code: expected 1000, 1001, 1008, or 3000 to 4999");
    request.code = static_cast<int>(*number);
  }
  if (const auto read = read_text(*object, "reason", request.reason); !read) return read.error();
  if (request.reason.size() > kMaxReason) return bad("field reason: expected at most 123 bytes");
  return request;
}

}  // namespace fresnel::gateway

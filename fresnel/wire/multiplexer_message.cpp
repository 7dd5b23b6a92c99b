#include "fresnel/wire/multiplexer_message.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <simdjson.h>

#include <limits>
#include <utility>

#include "fresnel/json/escape.hpp"
#include "fresnel/net/digest.hpp"

namespace fresnel::wire {
namespace {

namespace dom = simdjson::dom;

constexpr std::size_t kKeptCapacity = 1u << 20;

Error bad(std::string message) {
  return Error{.code = Errc::invalid_argument, .message = std::move(message), .status = 400};
}

// Parses with a parser kept by the thread, whose buffers are reused; a rare large message does not keep its memory.
class Document {
 public:
  Document() = default;
  Document(const Document&) = delete;
  Document& operator=(const Document&) = delete;
  ~Document() {
    if (parser().capacity() > kKeptCapacity) parser() = dom::parser();
  }

  result<dom::object> parse(std::string_view json) {
    dom::element root;
    const auto failed = parser().parse(json.data(), json.size()).get(root);
    if (failed == simdjson::UTF8_ERROR) return bad("message: expected UTF-8 text");
    if (failed) return bad(fmt::format("message: expected JSON: {}", simdjson::error_message(failed)));
    dom::object object;
    if (root.get(object)) return bad(fmt::format("message: expected a JSON object, got {}", kind_of(root)));
    return object;
  }

  static std::string_view kind_of(const dom::element& value) {
    switch (value.type()) {
      case dom::element_type::ARRAY: return "an array";
      case dom::element_type::OBJECT: return "an object";
      case dom::element_type::STRING: return "a string";
      case dom::element_type::BOOL: return "a boolean";
      case dom::element_type::NULL_VALUE: return "null";
      default: return "a number";
    }
  }

 private:
  static dom::parser& parser() {
    thread_local dom::parser instance;
    return instance;
  }
};

enum class Presence { required, not_empty, optional };

// Reads members of one object; the first fault is kept, reading goes on.
class Fields {
 public:
  explicit Fields(dom::object object) : object_(object) {}

  void read(std::string_view name, std::string& into, Presence presence) {
    dom::element value;
    if (object_.at_key(name).get(value)) {
      if (presence != Presence::optional) fail(fmt::format("field {} is missing: expected a string", name));
      return;
    }
    std::string_view text;
    if (value.get(text)) {
      fail(fmt::format("field {}: expected a string, got {}", name, Document::kind_of(value)));
      return;
    }
    if (presence == Presence::not_empty && text.empty()) {
      fail(fmt::format("field {} is empty: expected {}", name, name == "path" ? "an API path" : "a cluster's name"));
      return;
    }
    into = text;
  }

  void read(std::string_view name, bool& into) {
    dom::element value;
    if (object_.at_key(name).get(value)) return;
    if (value.get(into)) fail(fmt::format("field {}: expected a boolean, got {}", name, Document::kind_of(value)));
  }

  void fail(std::string what) {
    if (!error_) error_ = bad("message: " + std::move(what));
  }

  [[nodiscard]] const std::optional<Error>& error() const noexcept { return error_; }

 private:
  dom::object object_;
  std::optional<Error> error_;
};

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out += out.empty() ? "{\"" : ",\"";
  out += name;
  out += "\":";
  json::append_quoted(out, value);
}

// RFC 4648 section 4, with padding.
std::optional<std::string> decode_base64(std::string_view text) {
  if (text.size() % 4 != 0 || text.size() > std::numeric_limits<int>::max()) return std::nullopt;
  std::string out(text.size() / 4 * 3, '\0');
  const int length =
      EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()), reinterpret_cast<const unsigned char*>(text.data()),
                      static_cast<int>(text.size()));
  if (length < 0) return std::nullopt;
  // EVP_DecodeBlock counts padding as zero bytes.
  auto size = static_cast<std::size_t>(length);
  if (text.ends_with("==")) {
    size -= 2;
  } else if (text.ends_with('=')) {
    size -= 1;
  }
  out.resize(size);
  return out;
}

std::string_view name_of(ClientMessage::Type type) noexcept {
  return type == ClientMessage::Type::request ? "REQUEST" : "CLOSE";
}

std::string_view name_of(ServerMessage::Type type) noexcept {
  switch (type) {
    case ServerMessage::Type::data: return "DATA";
    case ServerMessage::Type::complete: return "COMPLETE";
    case ServerMessage::Type::status: return "STATUS";
    case ServerMessage::Type::error: return "ERROR";
  }
  return "";
}

std::optional<ServerMessage::Type> server_type(std::string_view name) noexcept {
  using Type = ServerMessage::Type;
  for (const auto type : {Type::data, Type::complete, Type::status, Type::error}) {
    if (name == name_of(type)) return type;
  }
  return std::nullopt;
}

std::string_view name_of(UpstreamStatus::State state) noexcept {
  switch (state) {
    case UpstreamStatus::State::connecting: return "connecting";
    case UpstreamStatus::State::connected: return "connected";
    case UpstreamStatus::State::error: return "error";
    case UpstreamStatus::State::closed: return "closed";
  }
  return "";
}

// The HTTP code of an error, also of one that never was an HTTP response; 0 when there is none.
int http_code(const Error& error) noexcept {
  if (error.status >= 400 && error.status <= 599) return error.status;
  for (const int code : {400, 401, 403, 404, 409, 410, 413, 429, 504}) {
    if (code_of_http_status(code) == error.code) return code;
  }
  return 0;
}

}  // namespace

boost::system::result<ClientMessage, RejectedMessage> parse_client_message(std::string_view json) {
  Document document;
  const auto object = document.parse(json);
  if (!object) return RejectedMessage{object.error(), {}};
  Fields fields(*object);
  ClientMessage message;
  fields.read("clusterId", message.cluster_id, Presence::not_empty);
  fields.read("path", message.path, Presence::not_empty);
  fields.read("query", message.query, Presence::required);
  fields.read("userId", message.user_id, Presence::required);
  fields.read("accept", message.accept, Presence::optional);
  fields.read("token", message.token, Presence::optional);
  std::string type;
  fields.read("type", type, Presence::required);
  if (type == name_of(ClientMessage::Type::close)) {
    message.type = ClientMessage::Type::close;
  } else if (type != name_of(ClientMessage::Type::request)) {
    // A type that comes from outside is not repeated: it may be long, or meant for a log.
    fields.fail("field type: expected REQUEST or CLOSE");
  }
  if (fields.error()) return RejectedMessage{*fields.error(), std::move(message)};
  return message;
}

result<ServerMessage> parse_server_message(std::string_view json) {
  Document document;
  const auto object = document.parse(json);
  if (!object) return object.error();
  Fields fields(*object);
  ServerMessage message;
  std::string type;
  fields.read("type", type, Presence::required);
  const auto known = server_type(type);
  if (!known) fields.fail("field type: expected DATA, COMPLETE, STATUS or ERROR");
  message.type = known.value_or(ServerMessage::Type::error);
  // The answer to a message that could not be routed is an ERROR with these two empty.
  const auto presence = message.type == ServerMessage::Type::error ? Presence::required : Presence::not_empty;
  fields.read("clusterId", message.cluster_id, presence);
  fields.read("path", message.path, presence);
  fields.read("query", message.query, Presence::optional);
  fields.read("userId", message.user_id, Presence::optional);
  if (message.type != ServerMessage::Type::complete) fields.read("data", message.data, Presence::required);
  if (message.type == ServerMessage::Type::status) {
    fields.read("requestQuery", message.request_query, Presence::optional);
  }
  if (message.type == ServerMessage::Type::data) fields.read("binary", message.binary);
  if (message.binary) {
    auto decoded = decode_base64(message.data);
    if (decoded) {
      message.data = std::move(*decoded);
    } else {
      fields.fail("field data: expected base64");
    }
  }
  if (fields.error()) return *fields.error();
  return message;
}

std::string encode(const ClientMessage& message) {
  std::string out;
  append_field(out, "clusterId", message.cluster_id);
  append_field(out, "path", message.path);
  append_field(out, "query", message.query);
  append_field(out, "userId", message.user_id);
  append_field(out, "type", name_of(message.type));
  if (!message.accept.empty()) append_field(out, "accept", message.accept);
  if (!message.token.empty()) append_field(out, "token", message.token);
  out += '}';
  return out;
}

std::string encode(const ServerMessage& message) {
  std::string out;
  append_field(out, "clusterId", message.cluster_id);
  append_field(out, "path", message.path);
  append_field(out, "query", message.query);
  append_field(out, "userId", message.user_id);
  if (message.type != ServerMessage::Type::complete) {
    append_field(out, "data", message.binary ? net::to_base64(message.data) : message.data);
  }
  if (message.binary) out += R"(,"binary":true)";
  append_field(out, "type", name_of(message.type));
  if (!message.request_query.empty()) append_field(out, "requestQuery", message.request_query);
  out += '}';
  return out;
}

std::string encode_error_data(const Error& error) {
  std::string out;
  append_field(out, "error", error.message);
  if (const int code = http_code(error); code != 0) out += fmt::format(",\"code\":{}", code);
  if (!error.reason.empty()) append_field(out, "reason", error.reason);
  out += '}';
  return out;
}

Error parse_error_data(std::string_view data) {
  Document document;
  const auto object = document.parse(data);
  if (!object) return Error{.code = Errc::api, .message = std::string(data)};
  Fields fields(*object);
  Error error{.code = Errc::api, .message = {}};
  fields.read("error", error.message, Presence::optional);
  fields.read("reason", error.reason, Presence::optional);
  std::int64_t code = 0;
  if (!object->at_key("code").get(code) && code >= 400 && code <= 599) {
    error.status = static_cast<int>(code);
    error.code = code_of_http_status(error.status);
  }
  if (error.message.empty()) error.message = error.reason.empty() ? std::string(data) : error.reason;
  return error;
}

std::string encode_status_data(const UpstreamStatus& status) {
  std::string out;
  append_field(out, "state", name_of(status.state));
  append_field(out, "error", status.error);
  out += '}';
  return out;
}

result<UpstreamStatus> parse_status_data(std::string_view data) {
  Document document;
  const auto object = document.parse(data);
  if (!object) return object.error();
  Fields fields(*object);
  UpstreamStatus status;
  std::string name;
  fields.read("state", name, Presence::required);
  fields.read("error", status.error, Presence::optional);
  using State = UpstreamStatus::State;
  bool known = false;
  for (const auto state : {State::connecting, State::connected, State::error, State::closed}) {
    if (name != name_of(state)) continue;
    status.state = state;
    known = true;
  }
  if (!known) fields.fail("field state: expected connecting, connected, error or closed");
  if (fields.error()) return *fields.error();
  return status;
}

}  // namespace fresnel::wire

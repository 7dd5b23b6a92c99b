#include "fresnel/websocket/handshake.hpp"

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <utility>

namespace fresnel::websocket {
namespace {

constexpr std::string_view kSpace = " \t";

bool lists(const net::Headers& headers, std::string_view name, std::string_view wanted) {
  const auto elements = list_elements(headers, name);
  return std::any_of(elements.begin(), elements.end(),
                     [&](std::string_view element) { return net::equal_ignoring_case(element, wanted); });
}

void skip_space(std::string_view& rest) { rest.remove_prefix(std::min(rest.find_first_not_of(kSpace), rest.size())); }

bool take(std::string_view& rest, char wanted) {
  skip_space(rest);
  if (!rest.starts_with(wanted)) return false;
  rest.remove_prefix(1);
  return true;
}

bool take_token(std::string_view& rest) {
  constexpr std::string_view kToken =
      "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";  // RFC 9110 section 5.6.2
  skip_space(rest);
  const auto size = std::min(rest.find_first_not_of(kToken), rest.size());
  rest.remove_prefix(size);
  return size > 0;
}

// A token, or a quoted text that is one once its escapes are undone.
bool take_value(std::string_view& rest) {
  if (!take(rest, '"')) return take_token(rest);
  std::string value;
  while (!rest.empty() && rest.front() != '"') {
    if (rest.front() == '\\') rest.remove_prefix(1);
    if (rest.empty()) return false;
    value += rest.front();
    rest.remove_prefix(1);
  }
  std::string_view text = value;
  return take(rest, '"') && take_token(text) && text.empty();
}

// Sec-WebSocket-Extensions (RFC 6455 section 9.1): extensions with parameters. Empty elements are allowed, as in every
// list (RFC 9110 section 5.6.1.2).
bool is_extension_list(std::string_view rest) {
  for (;;) {
    skip_space(rest);
    if (!rest.empty() && rest.front() != ',') {
      if (!take_token(rest)) return false;
      while (take(rest, ';')) {
        if (!take_token(rest)) return false;
        if (take(rest, '=') && !take_value(rest)) return false;
      }
    }
    skip_space(rest);
    if (rest.empty()) return true;
    if (!take(rest, ',')) return false;
  }
}

// 16 bytes in base64 (RFC 6455 section 4.1).
bool is_key(std::string_view key) {
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  return key.size() == 24 && key.ends_with("==") &&
         key.substr(0, 22).find_first_not_of(kAlphabet) == std::string_view::npos;
}

std::string_view reason_of(int status) {
  switch (status) {
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 426: return "UpgradeRequired";
    case 503: return "ServiceUnavailable";
    default: return "BadRequest";
  }
}

Errc code_of(int status) {
  switch (status) {
    case 401: return Errc::unauthorized;
    case 403: return Errc::forbidden;
    case 503: return Errc::throttled;
    default: return Errc::invalid_argument;
  }
}

}  // namespace

std::vector<std::string_view> list_elements(const net::Headers& headers, std::string_view name) {
  std::vector<std::string_view> elements;
  for (const auto& [field, value] : headers) {
    if (!net::equal_ignoring_case(field, name)) continue;
    std::string_view rest = value;
    while (!rest.empty()) {
      const auto comma = std::min(rest.find(','), rest.size());
      auto element = rest.substr(0, comma);
      rest.remove_prefix(std::min(comma + 1, rest.size()));
      element.remove_prefix(std::min(element.find_first_not_of(kSpace), element.size()));
      element = element.substr(0, element.find_last_not_of(kSpace) + 1);
      if (!element.empty()) elements.push_back(element);
    }
  }
  return elements;
}

std::size_t count_fields(const net::Headers& headers, std::string_view name) {
  return static_cast<std::size_t>(std::count_if(
      headers.begin(), headers.end(), [&](const auto& field) { return net::equal_ignoring_case(field.first, name); }));
}

Error handshake_refusal(int status, std::string message) {
  return {code_of(status), std::move(message), status, std::string(reason_of(status))};
}

std::optional<Error> check_handshake(const net::ServerRequest& request) {
  const auto& headers = request.headers;
  if (request.method != "GET") return handshake_refusal(400, "a WebSocket is opened by GET");
  if (!headers.has("host")) return handshake_refusal(400, "the request names no host");
  if (!request.upgrade || !lists(headers, "upgrade", "websocket") || !lists(headers, "connection", "upgrade")) {
    return handshake_refusal(426, "this address speaks WebSocket only");
  }
  if (headers.get("sec-websocket-version") != "13") {
    return handshake_refusal(426, "only version 13 of WebSocket is spoken here");
  }
  if (!is_key(headers.get("sec-websocket-key")) || count_fields(headers, "sec-websocket-key") > 1) {
    return handshake_refusal(400, "Sec-WebSocket-Key is missing, malformed or given twice");
  }
  if (count_fields(headers, "sec-websocket-version") > 1) {
    return handshake_refusal(400, "Sec-WebSocket-Version is given twice");
  }
  for (const auto& [name, value] : headers) {
    if (net::equal_ignoring_case(name, "sec-websocket-extensions") && !is_extension_list(value)) {
      return handshake_refusal(400, "Sec-WebSocket-Extensions is malformed");
    }
  }
  return std::nullopt;
}

std::string select_protocol(const net::Headers& headers, const std::vector<std::string>& served) {
  const auto offered = list_elements(headers, "sec-websocket-protocol");
  for (const auto& protocol : served) {
    if (protocol.starts_with("base64url.")) continue;
    if (std::find(offered.begin(), offered.end(), protocol) != offered.end()) return protocol;
  }
  return {};
}

RefusalResponse refusal_response(const Error& refusal) {
  RefusalResponse response{refusal.status, {}, {}};
  response.headers.add("content-type", "application/json");
  if (refusal.status == 401) response.headers.add("www-authenticate", "Bearer");
  if (refusal.status == 426) {
    response.headers.add("upgrade", "websocket");
    response.headers.add("sec-websocket-version", "13");
  }
  if (refusal.retry_after_ms > 0) {
    response.headers.add("retry-after", std::to_string((refusal.retry_after_ms + 999) / 1000));
  }
  const boost::json::object object{{"error", refusal.message}, {"code", refusal.status}, {"reason", refusal.reason}};
  response.body = boost::json::serialize(object);
  return response;
}

}  // namespace fresnel::websocket

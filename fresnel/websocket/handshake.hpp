// What a server looks at in a WebSocket's opening handshake (RFC 6455 section 4.2.1), and how it refuses one.
//
// Thread safety: values and pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fresnel/base/clock.hpp"
#include "fresnel/base/error.hpp"
#include "fresnel/net/http_server.hpp"

namespace fresnel::websocket {

// An Error that is a handshake's refusal: status 400, 401, 403, 426 or 503 with the reason that goes with it.
[[nodiscard]] Error handshake_refusal(int status, std::string message);

// Nothing when the request is a valid handshake for version 13.
[[nodiscard]] std::optional<Error> check_handshake(const net::ServerRequest& request);

// The elements of the comma-separated lists in all fields of a name, without the empty ones (RFC 9110 section 5.6.1).
[[nodiscard]] std::vector<std::string_view> list_elements(const net::Headers& headers, std::string_view name);
// How many fields of a name there are.
[[nodiscard]] std::size_t count_fields(const net::Headers& headers, std::string_view name);

// The first of `served` that the client offers in its Sec-WebSocket-Protocol fields, empty when there is none. A
// protocol that carries a credential (base64url.*) is never selected: the response would echo it.
[[nodiscard]] std::string select_protocol(const net::Headers& headers, const std::vector<std::string>& served);

struct RefusalResponse {
  int status;
  net::Headers headers;
  std::string body;  // {"error":"a sentence","code":403,"reason":"Forbidden"}
};
[[nodiscard]] RefusalResponse refusal_response(const Error& refusal);

}  // namespace fresnel::websocket

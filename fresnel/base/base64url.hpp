// base64url without padding (RFC 4648 section 5): JSON Web Tokens, continue tokens, tokens in WebSocket subprotocols.
//
// Thread safety: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace fresnel {

[[nodiscard]] std::string to_base64url(std::string_view bytes);
// nullopt for anything else, padding included.
[[nodiscard]] std::optional<std::string> from_base64url(std::string_view text);

}  // namespace fresnel

// Digests and base64 on OpenSSL.
//
// Thread safety: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace fresnel::net {

// In lower-case hex, 64 characters.
[[nodiscard]] std::string sha256_hex(std::string_view bytes);

// base64 with padding (RFC 4648 section 4), on one line.
[[nodiscard]] std::string to_base64(std::string_view bytes);
// Line breaks and spaces in the text are skipped; nullopt for what is no base64.
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

}  // namespace fresnel::net

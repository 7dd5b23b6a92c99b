// UTF-8 validation (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF.
//
// Thread safety: a pure function.
#pragma once

#include <string_view>

namespace fresnel::json {

[[nodiscard]] bool is_valid_utf8(std::string_view text) noexcept;

}  // namespace fresnel::json

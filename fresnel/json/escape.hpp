// JSON string escaping (RFC 8259 section 7): quotation mark, backslash and U+0000 to U+001F are escaped, the short
// forms \b \f \n \r \t where they exist, \u00XX otherwise. Every other byte passes unchanged: the text is expected to
// be UTF-8, and the result is valid JSON only if it is (json/utf8.hpp).
//
// Every watch event passes here once, so clean runs are found and copied 16 bytes at a time where SSE2 exists.
//
// Thread safety: pure functions. `text` must not point into `out`.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace fresnel::json {

// The length in bytes that append_escaped() adds for `text`.
[[nodiscard]] std::size_t escaped_size(std::string_view text) noexcept;

// Appends the content of a JSON string, without its quotation marks.
void append_escaped(std::string& out, std::string_view text);

// Appends a JSON string with its quotation marks.
void append_quoted(std::string& out, std::string_view text);

}  // namespace fresnel::json

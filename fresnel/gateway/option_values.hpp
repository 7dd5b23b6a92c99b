// Values of options as people write them: 64KiB, 5s, true; and files that they name.
//
// Thread safety: pure functions; one reads a file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "fresnel/base/clock.hpp"
#include "fresnel/base/error.hpp"

namespace fresnel::gateway {

// What was expected where a value could not be read; nothing when it was taken.
using Expectation = std::optional<std::string>;

// A file that an option names, of 1 MiB at most. Errors (not_found, invalid_argument) name it.
[[nodiscard]] result<std::string> read_option_file(const std::string& path);

[[nodiscard]] std::optional<std::uint64_t> parse_number(std::string_view text);
// Each leaves `out` as it was when it cannot read the text.
[[nodiscard]] Expectation apply_size(std::string_view text, std::size_t& out);
[[nodiscard]] Expectation apply_duration(std::string_view text, Duration& out);
[[nodiscard]] Expectation apply_bool(std::string_view text, bool& out);

}  // namespace fresnel::gateway

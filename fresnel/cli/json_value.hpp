// Reading JSON that comes from a server into Boost.JSON values.
//
// Thread safety: pure functions.
#pragma once

#include <boost/json/value.hpp>
#include <string>
#include <string_view>

#include "fresnel/base/error.hpp"

namespace fresnel::cli {

// Error protocol when the text is no JSON. Objects nest deeply (managedFields, a CRD's schema): up to 1,000 levels.
[[nodiscard]] result<boost::json::value> parse_json(std::string_view text);

// The value under `key`; null when `value` is no object or has none.
[[nodiscard]] const boost::json::value* member(const boost::json::value& value, std::string_view key) noexcept;

// The array under `key`; null when there is none.
[[nodiscard]] const boost::json::array* array_member(const boost::json::value& value, std::string_view key) noexcept;

// The string under `key`, empty when there is none.
[[nodiscard]] std::string text_member(const boost::json::value& value, std::string_view key);

}  // namespace fresnel::cli

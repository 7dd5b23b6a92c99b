#include "fresnel/json/utf8.hpp"

#include <simdjson.h>

namespace fresnel::json {

bool is_valid_utf8(std::string_view text) noexcept { return simdjson::validate_utf8(text.data(), text.size()); }

}  // namespace fresnel::json

#include "fresnel/cli/json_value.hpp"

#include <boost/json/parse.hpp>

namespace fresnel::cli {

namespace json = boost::json;

result<json::value> parse_json(std::string_view text) {
  json::parse_options options;
  options.max_depth = 1000;
  boost::system::error_code failed;
  auto value = json::parse(json::string_view(text.data(), text.size()), failed, {}, options);
  if (failed) return Error{Errc::protocol, "the server sent no JSON: " + failed.message()};
  return value;
}

const json::value* member(const json::value& value, std::string_view key) noexcept {
  const auto* object = value.if_object();
  return object != nullptr ? object->if_contains(json::string_view(key.data(), key.size())) : nullptr;
}

const json::array* array_member(const json::value& value, std::string_view key) noexcept {
  const auto* found = member(value, key);
  return found != nullptr ? found->if_array() : nullptr;
}

std::string text_member(const json::value& value, std::string_view key) {
  const auto* found = member(value, key);
  return found != nullptr && found->is_string() ? std::string(found->get_string()) : std::string();
}

}  // namespace fresnel::cli

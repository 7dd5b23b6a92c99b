#include "fresnel/sim/names.hpp"

#include <algorithm>

namespace fresnel::sim {
namespace {

bool is_digit_or_lower(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_alphanumeric(char c) { return is_digit_or_lower(c) || (c >= 'A' && c <= 'Z'); }

bool is_dns_label(std::string_view text) {
  return !text.empty() && is_digit_or_lower(text.front()) && is_digit_or_lower(text.back()) &&
         std::all_of(text.begin(), text.end(), [](char c) { return is_digit_or_lower(c) || c == '-'; });
}

bool is_qualified_part(std::string_view text) {
  return !text.empty() && is_alphanumeric(text.front()) && is_alphanumeric(text.back()) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return is_alphanumeric(c) || c == '-' || c == '_' || c == '.'; });
}

}  // namespace

std::optional<std::string> check_dns_subdomain(std::string_view name) {
  if (name.size() > 253) return "must be no more than 253 characters";
  std::string_view rest = name;
  for (;;) {
    const auto dot = rest.find('.');
    if (!is_dns_label(rest.substr(0, dot))) break;
    if (dot == std::string_view::npos) return std::nullopt;
    rest.remove_prefix(dot + 1);
  }
  return "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
         "start "
         "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
         "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
}

std::optional<std::string> check_dns_label(std::string_view name) {
  if (name.size() > 63) return "must be no more than 63 characters";
  if (is_dns_label(name)) return std::nullopt;
  return "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
         "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
         "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
}

std::optional<std::string> check_label_key(std::string_view key) {
  auto name = key;
  if (const auto slash = key.find('/'); slash != std::string_view::npos) {
    const auto prefix = key.substr(0, slash);
    name = key.substr(slash + 1);
    if (prefix.empty()) return "prefix part must be non-empty";
    if (const auto wrong = check_dns_subdomain(prefix)) return "prefix part " + *wrong;
  }
  if (name.empty()) return "name part must be non-empty";
  if (name.size() > 63) return "name part must be no more than 63 characters";
  if (is_qualified_part(name)) return std::nullopt;
  return "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
         "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
         "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
}

std::optional<std::string> check_label_value(std::string_view value) {
  if (value.size() > 63) return "must be no more than 63 characters";
  if (value.empty() || is_qualified_part(value)) return std::nullopt;
  return "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start "
         "and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for "
         "validation "
         "is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
}

}  // namespace fresnel::sim

#include "fresnel/net/http.hpp"

#include <algorithm>

namespace fresnel::net {

bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}

void Headers::set(std::string name, std::string value) {
  remove(name);
  add(std::move(name), std::move(value));
}

void Headers::remove(std::string_view name) {
  std::erase_if(fields_, [&](const Field& field) { return equal_ignoring_case(field.first, name); });
}

std::string_view Headers::get(std::string_view name) const noexcept {
  for (const auto& [key, value] : fields_) {
    if (equal_ignoring_case(key, name)) return value;
  }
  return {};
}

bool Headers::has(std::string_view name) const noexcept {
  return std::any_of(fields_.begin(), fields_.end(),
                     [&](const Field& field) { return equal_ignoring_case(field.first, name); });
}

awaitable<result<std::string>> read_all(HttpResponse& response, std::size_t limit) {
  std::string body;
  for (;;) {
    auto part = co_await response.read();
    if (!part) co_return part.error();
    if (part->empty()) co_return body;
    if (body.size() + part->size() > limit) {
      co_return Error{Errc::too_large, "the response is larger than " + std::to_string(limit) + " bytes"};
    }
    body += *part;
  }
}

}  // namespace fresnel::net

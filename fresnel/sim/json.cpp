#include "fresnel/sim/json.hpp"

namespace fresnel::sim {

const json::value* find(const json::object& root, JsonPath path) noexcept {
  const json::object* object = &root;
  const json::value* found = nullptr;
  for (const auto name : path) {
    if (object == nullptr) return nullptr;
    found = object->if_contains(name);
    if (found == nullptr) return nullptr;
    object = found->if_object();
  }
  return found;
}

const json::value* find(const json::value& root, JsonPath path) noexcept {
  const auto* object = root.if_object();
  return object == nullptr ? nullptr : find(*object, path);
}

std::string_view string_at(const json::object& root, JsonPath path) noexcept {
  const auto* found = find(root, path);
  return found != nullptr && found->is_string() ? view(found->get_string()) : std::string_view();
}

std::string_view string_at(const json::value& root, JsonPath path) noexcept {
  const auto* object = root.if_object();
  return object == nullptr ? std::string_view() : string_at(*object, path);
}

std::int64_t int_at(const json::value& root, JsonPath path, std::int64_t otherwise) noexcept {
  const auto* found = find(root, path);
  if (found == nullptr) return otherwise;
  if (found->is_int64()) return found->get_int64();
  if (found->is_uint64()) return static_cast<std::int64_t>(found->get_uint64());
  return otherwise;
}

bool bool_at(const json::value& root, JsonPath path) noexcept {
  const auto* found = find(root, path);
  return found != nullptr && found->is_bool() && found->get_bool();
}

const json::array& array_at(const json::value& root, JsonPath path) noexcept {
  static const json::array kNone;
  const auto* found = find(root, path);
  return found != nullptr && found->is_array() ? found->get_array() : kNone;
}

const json::array& array_at(const json::object& root, JsonPath path) noexcept {
  static const json::array kNone;
  const auto* found = find(root, path);
  return found != nullptr && found->is_array() ? found->get_array() : kNone;
}

const json::object& object_at(const json::value& root, JsonPath path) noexcept {
  static const json::object kNone;
  const auto* found = find(root, path);
  return found != nullptr && found->is_object() ? found->get_object() : kNone;
}

const json::object& object_at(const json::object& root, JsonPath path) noexcept {
  static const json::object kNone;
  const auto* found = find(root, path);
  return found != nullptr && found->is_object() ? found->get_object() : kNone;
}

json::object& ensure_object(json::object& parent, std::string_view name) {
  auto& member = parent[name];
  if (!member.is_object()) member.emplace_object();
  return member.get_object();
}

void erase_member(json::object& parent, std::string_view name) {
  const auto found = parent.find(name);
  if (found != parent.end()) parent.stable_erase(found);
}

}  // namespace fresnel::sim

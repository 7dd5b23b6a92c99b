#include "fresnel/sim/json_path.hpp"

#include <charconv>
#include <string>

namespace fresnel::sim {
namespace {

using Found = std::vector<const json::value*>;

Found members(const Found& from, std::string_view name) {
  Found found;
  for (const auto* value : from) {
    if (const auto* member = find(*value, {name})) found.push_back(member);
  }
  return found;
}

std::string_view unquoted(std::string_view text) {
  const bool quoted = text.size() >= 2 && (text[0] == '\'' || text[0] == '"') && text.back() == text[0];
  return quoted ? text.substr(1, text.size() - 2) : text;
}

// [?(@.name=="value")]
Found filtered(const Found& elements, std::string_view filter) {
  Found found;
  const auto equals = filter.find("==");
  if (filter.substr(0, 4) != "?(@." || filter.back() != ')' || equals == std::string_view::npos) return found;
  const auto trim = [](std::string_view text) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
    return text;
  };
  const auto name = trim(filter.substr(4, equals - 4));
  const auto wanted = unquoted(trim(filter.substr(equals + 2, filter.size() - equals - 3)));
  for (const auto* element : elements) {
    const auto* member = find(*element, {name});
    if (member == nullptr) continue;
    const auto text = member->is_string() ? std::string(view(member->get_string())) : json::serialize(*member);
    if (text == wanted) found.push_back(element);
  }
  return found;
}

Found step_into(const Found& from, std::string_view inside) {
  if (!inside.empty() && (inside[0] == '\'' || inside[0] == '"')) return members(from, unquoted(inside));
  Found elements;
  for (const auto* value : from) {
    if (!value->is_array()) continue;
    for (const auto& element : value->get_array()) elements.push_back(&element);
  }
  if (inside == "*") return elements;
  if (!inside.empty() && inside[0] == '?') return filtered(elements, inside);
  std::size_t index = 0;
  const auto [end, failed] = std::from_chars(inside.data(), inside.data() + inside.size(), index);
  Found found;
  if (failed != std::errc() || end != inside.data() + inside.size()) return found;
  for (const auto* value : from) {
    if (value->is_array() && index < value->get_array().size()) found.push_back(&value->get_array()[index]);
  }
  return found;
}

// The index after a bracket's end; brackets inside quotes do not count.
std::size_t end_of_bracket(std::string_view path) {
  char quote = '\0';
  for (std::size_t i = 1; i < path.size(); ++i) {
    if (quote != '\0') {
      if (path[i] == quote) quote = '\0';
    } else if (path[i] == '\'' || path[i] == '"') {
      quote = path[i];
    } else if (path[i] == ']') {
      return i + 1;
    }
  }
  return std::string_view::npos;
}

// "\." is a dot inside a name.
std::size_t end_of_name(std::string_view path, std::string& name) {
  std::size_t i = 0;
  for (; i < path.size() && path[i] != '.' && path[i] != '['; ++i) {
    if (path[i] == '\\' && i + 1 < path.size()) ++i;
    name += path[i];
  }
  return i;
}

}  // namespace

std::vector<const json::value*> select(const json::object& root, std::string_view path) {
  Found found;
  bool at_root = true;
  while (!path.empty()) {
    if (path[0] == '.') path.remove_prefix(1);
    if (path.empty()) break;
    if (path[0] == '[') {
      const auto end = end_of_bracket(path);
      if (end == std::string_view::npos || (at_root && path[1] != '\'' && path[1] != '"')) return {};
      const auto inside = path.substr(1, end - 2);
      if (at_root) {
        if (const auto* member = root.if_contains(unquoted(inside))) found.push_back(member);
      } else {
        found = step_into(found, inside);
      }
      path.remove_prefix(end);
    } else {
      std::string name;
      path.remove_prefix(end_of_name(path, name));
      if (name.empty()) return {};
      if (at_root) {
        if (const auto* member = root.if_contains(name)) found.push_back(member);
      } else {
        found = members(found, name);
      }
    }
    at_root = false;
  }
  return found;
}

}  // namespace fresnel::sim

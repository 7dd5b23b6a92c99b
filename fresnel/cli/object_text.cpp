#include "fresnel/cli/object_text.hpp"

#include <fmt/format.h>
#include <simdjson.h>
#include <yaml-cpp/emitter.h>
#include <yaml-cpp/emittermanip.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <regex>
#include <vector>

#include "fresnel/cli/json_value.hpp"
#include "fresnel/cli/table.hpp"

namespace fresnel::cli {
namespace {

namespace json = boost::json;

std::vector<const json::key_value_pair*> in_key_order(const json::object& object) {
  std::vector<const json::key_value_pair*> members;
  members.reserve(object.size());
  for (const auto& entry : object) members.push_back(&entry);
  std::sort(members.begin(), members.end(), [](const auto* a, const auto* b) { return a->key() < b->key(); });
  return members;
}

void append_string(std::string& out, json::string_view text) {
  for (const char c : json::serialize(text)) {
    switch (c) {  // as Go's encoder does, so that the text may stand in HTML
      case '<': out += "\\u003c"; break;
      case '>': out += "\\u003e"; break;
      case '&': out += "\\u0026"; break;
      default: out.push_back(c);
    }
  }
}

std::string number_text(const json::value& value) {
  if (value.is_double()) return fmt::format("{}", value.get_double());
  return json::serialize(value);
}

void append_pretty(std::string& out, const json::value& value, std::size_t indent);

template <class Range, class AppendElement>
void append_block(std::string& out, char open, char close, const Range& elements, std::size_t indent,
                  const AppendElement& append_element) {
  out.push_back(open);
  bool first = true;
  for (const auto& element : elements) {
    out += first ? "\n" : ",\n";
    out.append(indent + 4, ' ');
    append_element(element);
    first = false;
  }
  if (!first) out.append(1, '\n').append(indent, ' ');
  out.push_back(close);
}

void append_pretty(std::string& out, const json::value& value, std::size_t indent) {
  if (const auto* object = value.if_object()) {
    append_block(out, '{', '}', in_key_order(*object), indent, [&](const json::key_value_pair* entry) {
      append_string(out, entry->key());
      out += ": ";
      append_pretty(out, entry->value(), indent + 4);
    });
  } else if (const auto* array = value.if_array()) {
    append_block(out, '[', ']', *array, indent,
                 [&](const json::value& element) { append_pretty(out, element, indent + 4); });
  } else if (const auto* text = value.if_string()) {
    append_string(out, *text);
  } else {
    out += number_text(value);  // or true, false, null
  }
}

// What YAML 1.1 or 1.2 readers take for null, a boolean, a number or a time when it is not quoted.
bool reads_as_another_type(const std::string& text) {
  static const std::regex kWords("~|null|true|false|yes|no|on|off|y|n|<<|=|[-+]?\\.inf|\\.nan",
                                 std::regex::icase | std::regex::optimize);
  static const std::regex kNumbers(
      "[-+]?(0b[01_]+|0x[0-9a-f_]+|0o?[0-7_]+|[0-9][0-9_]*(:[0-9]+)*(\\.[0-9_]*)?(e[-+]?[0-9]+)?|\\.[0-9_]+(e[-+]?[0-9]"
      "+)?)",
      std::regex::icase | std::regex::optimize);
  static const std::regex kTimes("[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \\t].*)?", std::regex::optimize);
  constexpr std::size_t kLongestWord = 5;

  if (text.empty()) return true;
  const char first = text.front();
  const bool may_be_number = (first >= '0' && first <= '9') || first == '+' || first == '-' || first == '.';
  if (may_be_number && text.size() < 64 && (std::regex_match(text, kNumbers) || std::regex_match(text, kTimes))) {
    return true;
  }
  return text.size() <= kLongestWord && std::regex_match(text, kWords);
}

// A block of lines ("|") keeps exactly one line end at its end; it cannot hold everything.
bool fits_a_literal_block(const std::string& text) {
  if (text.size() < 2 || text.back() != '\n' || text[text.size() - 2] == '\n') return false;
  if (text.front() == ' ' || text.front() == '\n' || text.find(" \n") != std::string::npos) return false;
  return std::none_of(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\n') || static_cast<unsigned char>(c) >= 0x7f;
  });
}

void emit_string(YAML::Emitter& out, json::string_view view) {
  const std::string text(view.data(), view.size());
  if (text.find('\n') != std::string::npos) {
    if (fits_a_literal_block(text)) {
      out << YAML::Literal << text.substr(0, text.size() - 1);  // the emitter ends the last line itself
    } else {
      out << YAML::DoubleQuoted << text;
    }
  } else if (reads_as_another_type(text)) {
    out << YAML::DoubleQuoted << text;
  } else {
    out << text;
  }
}

void emit(YAML::Emitter& out, const json::value& value) {
  if (const auto* object = value.if_object()) {
    if (object->empty()) out << YAML::Flow;
    out << YAML::BeginMap;
    for (const auto* entry : in_key_order(*object)) {
      out << YAML::Key;
      emit_string(out, entry->key());
      out << YAML::Value;
      emit(out, entry->value());
    }
    out << YAML::EndMap;
  } else if (const auto* array = value.if_array()) {
    if (array->empty()) out << YAML::Flow;
    out << YAML::BeginSeq;
    for (const auto& element : *array) emit(out, element);
    out << YAML::EndSeq;
  } else if (const auto* text = value.if_string()) {
    emit_string(out, *text);
  } else if (value.is_null()) {
    out << YAML::Null;
  } else {
    out << number_text(value);  // or true, false
  }
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; });
  return text;
}

}  // namespace

std::string pretty_json(const json::value& value) {
  std::string out;
  append_pretty(out, value, 0);
  out.push_back('\n');
  return out;
}

std::string compact_json(std::string_view text) {
  if (text.find_first_of("\r\n") == std::string_view::npos) return std::string(text);
  std::string out(text.size(), '\0');
  std::size_t size = 0;
  if (simdjson::minify(text.data(), text.size(), out.data(), size) != simdjson::SUCCESS) return {};
  out.resize(size);
  return out;
}

std::string yaml(const json::value& value) {
  YAML::Emitter out;
  out.SetNullFormat(YAML::LowerNull);
  emit(out, value);
  return std::string(out.c_str(), out.size()) + "\n";
}

std::string kind_and_name(const json::value& object) {
  const std::string api_version = text_member(object, "apiVersion");
  const auto slash = api_version.find('/');
  std::string text = lower(text_member(object, "kind"));
  if (slash != std::string::npos) text += "." + api_version.substr(0, slash);
  if (const auto* metadata = member(object, "metadata")) text += "/" + text_member(*metadata, "name");
  return printable(text);
}

}  // namespace fresnel::cli

// Walking into Boost.JSON documents without a check at every step: a missing member or one of another type reads as
// nothing. In this layer `json` is Boost.JSON; objects keep the order of their members.
//
// Thread safety: pure functions.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace fresnel::sim {

namespace json = boost::json;

using JsonPath = std::initializer_list<std::string_view>;

// The member at `path`, null when there is none.
[[nodiscard]] const json::value* find(const json::value& root, JsonPath path) noexcept;
[[nodiscard]] const json::value* find(const json::object& root, JsonPath path) noexcept;
// The member's string, empty when it is missing or no string. The view lives as long as `root`.
[[nodiscard]] std::string_view string_at(const json::value& root, JsonPath path) noexcept;
[[nodiscard]] std::string_view string_at(const json::object& root, JsonPath path) noexcept;
[[nodiscard]] std::int64_t int_at(const json::value& root, JsonPath path, std::int64_t otherwise = 0) noexcept;
[[nodiscard]] bool bool_at(const json::value& root, JsonPath path) noexcept;
// The member's elements; an empty array when it is missing or no array.
[[nodiscard]] const json::array& array_at(const json::value& root, JsonPath path) noexcept;
[[nodiscard]] const json::object& object_at(const json::value& root, JsonPath path) noexcept;
// Without these an object would be copied into a temporary value, which the reference outlives.
[[nodiscard]] const json::array& array_at(const json::object& root, JsonPath path) noexcept;
[[nodiscard]] const json::object& object_at(const json::object& root, JsonPath path) noexcept;

// The member `name` as an object, made (or replaced) when it is none.
json::object& ensure_object(json::object& parent, std::string_view name);
// Removes a member and keeps the order of the others.
void erase_member(json::object& parent, std::string_view name);

// A string of a view, for the places where Boost.JSON wants its own.
[[nodiscard]] inline std::string_view view(const json::string& text) noexcept { return {text.data(), text.size()}; }

}  // namespace fresnel::sim

// Kubernetes objects as text for people and programs: JSON and YAML as kubectl writes them, and kind/name.
//
// Thread safety: pure functions.
#pragma once

#include <boost/json/value.hpp>
#include <string>
#include <string_view>

namespace fresnel::cli {

// Four spaces of indentation, keys in order, <, > and & escaped, a line end at the end.
[[nodiscard]] std::string pretty_json(const boost::json::value& value);

// One line without its end. `json` is kept as it is when it is one line already.
[[nodiscard]] std::string compact_json(std::string_view json);

// Keys in order; strings that would read as another type (true, 1e3, 2026-01-31, ~) are quoted. YAML 1.1 and 1.2
// readers get the same values. A line end at the end.
[[nodiscard]] std::string yaml(const boost::json::value& value);

// "pod/web", "deployment.apps/web": what kubectl prints with -o name. Takes apiVersion, kind and name from the object.
[[nodiscard]] std::string kind_and_name(const boost::json::value& object);

}  // namespace fresnel::cli

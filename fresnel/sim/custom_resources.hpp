// From a CustomResourceDefinition to the resource that it defines.
//
// Of several versions only the storage version is served: objects are never converted.
//
// Thread safety: pure functions.
#pragma once

#include "fresnel/sim/json.hpp"
#include "fresnel/sim/resource_type.hpp"

namespace fresnel::sim {

// `definition` must have passed validate().
[[nodiscard]] ResourceTypePtr type_of(const json::object& definition);

// The status that the real server's controllers give a definition within a second of its creation: names accepted,
// established. `now` is an RFC 3339 time.
[[nodiscard]] json::object established_status(const json::object& definition, std::string_view now);
// The same with the condition that says that its objects are about to go.
[[nodiscard]] json::object terminating_status(const json::object& definition, std::string_view now);

}  // namespace fresnel::sim

// What kube-apiserver's registries do to an object before it is stored: the few defaults that clients rely on, and
// enough validation that a test of bad input gets its 422.
//
// Thread safety: pure functions.
#pragma once

#include "fresnel/sim/json.hpp"
#include "fresnel/sim/resource_type.hpp"
#include "fresnel/sim/status.hpp"

namespace fresnel::sim {

// Fills in what a new object of a built-in type starts with. Status is the caller's business.
void set_defaults(const ResourceType& type, json::object& object);
// The status of a new object whose type has the status subresource; empty for a type whose status starts absent.
[[nodiscard]] json::value initial_status(const ResourceType& type, const json::object& object);
// 422 with every cause found.
[[nodiscard]] outcome<> validate(const ResourceType& type, const json::object& object);

}  // namespace fresnel::sim

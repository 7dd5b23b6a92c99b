// The JSONPath that CustomResourceDefinitions use in additionalPrinterColumns: .a.b, ['a'], [0], [*] and
// [?(@.type=="Ready")] (Kubernetes documentation, "JSONPath Support"; without ranges, unions and recursive descent).
//
// Thread safety: pure functions.
#pragma once

#include <string_view>
#include <vector>

#include "fresnel/sim/json.hpp"

namespace fresnel::sim {

// Everything in `root` that the path leads to, in document order; nothing for a path that cannot be read.
[[nodiscard]] std::vector<const json::value*> select(const json::object& root, std::string_view path);

}  // namespace fresnel::sim

// The patches that kubectl and clients send: JSON merge patch (RFC 7396) and strategic merge patch.
//
// Strategic merge knows the merge keys of the lists that matter (containers by name, conditions by type, and so on;
// Kubernetes API reference, "patchMergeKey"); other lists are replaced. Of its directives, `$patch` (delete, replace)
// is followed; the others ($setElementOrder, $retainKeys, $deleteFromPrimitiveList) are ignored.
//
// Thread safety: pure functions.
#pragma once

#include "fresnel/sim/json.hpp"

namespace fresnel::sim {

void apply_merge_patch(json::object& target, const json::object& patch);
void apply_strategic_merge_patch(json::object& target, const json::object& patch);

}  // namespace fresnel::sim

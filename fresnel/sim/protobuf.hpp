// Objects that kubectl sends in Kubernetes' protobuf encoding: its `create namespace`, `create configmap`,
// `auth can-i` and the like ask for it since 1.2x, whatever the server likes. Answers are JSON, which it takes too.
//
// Grammar (k8s.io/apimachinery, serializer/protobuf): "k8s" 00, then a runtime.Unknown {1: TypeMeta {1: apiVersion,
// 2: kind}, 2: raw}, where raw is the object's own message. Known are the kinds and fields that those commands use;
// other fields are skipped.
//
// Thread safety: pure functions.
#pragma once

#include <optional>
#include <string_view>

#include "fresnel/sim/json.hpp"

namespace fresnel::sim {

// nullopt for what is no such message, or holds a kind that is not known.
[[nodiscard]] std::optional<json::object> object_from_protobuf(std::string_view bytes);

}  // namespace fresnel::sim

// What an API server says about itself: groups, versions, resources, and the little OpenAPI that kubectl needs before
// it creates something.
//
// Thread safety: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "fresnel/sim/json.hpp"
#include "fresnel/sim/resource_type.hpp"

namespace fresnel::sim {

// Of /api, /api/v1, /apis, /apis/GROUP, /apis/GROUP/VERSION and /version; nullopt for any other path and for groups
// that do not exist. `address` is the server's host:port.
[[nodiscard]] std::optional<json::object> discovery_document(const ResourceTypes& types, std::string_view path,
                                                             std::string_view address);

// /openapi/v3 lists the group versions, /openapi/v3/... says of each type that its writes take fieldValidation: that
// makes current kubectl leave validation to the server. nullopt for a path that does not exist.
[[nodiscard]] std::optional<json::object> openapi_v3(const ResourceTypes& types, std::string_view path);
// /openapi/v2 as the protobuf document that kubectl reads (gnostic's openapi.v2.Document) or as JSON. It describes no
// type, and kubectl before 1.27 skips the validation of those.
[[nodiscard]] std::string openapi_v2_protobuf();
[[nodiscard]] json::object openapi_v2_json();

}  // namespace fresnel::sim

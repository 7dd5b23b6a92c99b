// Reading what clients send: objects, patches and delete options, with kube-apiserver's errors for what is none.
//
// Thread safety: pure functions.
#pragma once

#include "fresnel/net/http_server.hpp"
#include "fresnel/sim/request.hpp"
#include "fresnel/sim/resources.hpp"

namespace fresnel::sim {

// An object of `type` in JSON, or in protobuf where protobuf.hpp knows the kind.
[[nodiscard]] outcome<json::object> read_object(const ResourceType& type, const net::ServerRequest& request);

struct PatchBody {
  PatchKind kind = PatchKind::merge;
  json::object patch;
};
// 415 for patches that are not understood (JSON patch, server-side apply), and for strategic ones of custom resources.
[[nodiscard]] outcome<PatchBody> read_patch(const ResourceType& type, const net::ServerRequest& request);

// From the body, which may be empty, and the query, which wins.
[[nodiscard]] outcome<DeleteOptions> read_delete_options(const net::ServerRequest& request, const Query& query);

}  // namespace fresnel::sim

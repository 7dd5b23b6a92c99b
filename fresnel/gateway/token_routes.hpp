// What Headlamp's frontend asks about a cluster's login, below /clusters/<name>/:
//
//   POST set-token   {"token": TEXT}   stores it in the browser's cookies; an empty one, null or none removes them
//   GET  me          {"username", "email", "groups", "userInfoURL"} of the client's credential, as the API server sees
//                    it (SelfSubjectReview); 404 from servers without it (before Kubernetes 1.26)
//
// Thread safety: the exchange's thread, which is the transport's.
#pragma once

#include <string>

#include "fresnel/base/asio.hpp"
#include "fresnel/base/error.hpp"
#include "fresnel/kube/cluster_context.hpp"
#include "fresnel/net/http.hpp"
#include "fresnel/net/http_server.hpp"

namespace fresnel::gateway {

// Of a body {"token": TEXT}. Error invalid_argument: no such object, or a text that can be no token.
[[nodiscard]] result<std::string> parse_set_token(std::string_view body);

// Returns the status that the client was sent.
[[nodiscard]] awaitable<int> serve_me(net::HttpExchange& exchange, net::HttpTransport& transport,
                                      kube::ClusterContext cluster, net::Headers extra);

}  // namespace fresnel::gateway

// Plain HTTP through to a cluster's API server: /clusters/<name>/... as it is, streamed both ways of waiting (lists,
// watches as chunked lines, logs with follow), nothing buffered beyond what is on its way.
//
// What belongs to one connection stays on it (RFC 9110 section 7.6.1), and what belongs to the gateway's own origin
// (cookies, Headlamp's headers, Origin, Host) never reaches a cluster, nor a cluster's cookies a browser.
//
// Thread safety: the exchange's thread, which is the transport's.
#pragma once

#include <string>
#include <string_view>

#include "fresnel/base/asio.hpp"
#include "fresnel/gateway/cluster_routes.hpp"
#include "fresnel/kube/api_client.hpp"
#include "fresnel/net/http.hpp"
#include "fresnel/net/http_server.hpp"

namespace fresnel::gateway {

// The fields that go on to the API server: without hop-by-hop fields, those that Connection names, credentials,
// cookies, Origin, Host and everything of the WebSocket handshake.
[[nodiscard]] net::Headers forwarded_request_headers(const net::Headers& headers);
// The fields that go back to the client: without hop-by-hop fields, cookies, and CORS and transport security fields,
// which are the gateway's own to send.
[[nodiscard]] net::Headers forwarded_response_headers(const net::Headers& headers);

// An API path and a query, as they are appended to the server's URL.
[[nodiscard]] std::string upstream_target(const ClusterRoute& route, std::string_view query);

// What goes on to the API server, without address and credential.
[[nodiscard]] net::HttpRequest make_upstream_request(const net::ServerRequest& request);

// Sends the exchange's request with `client` and streams its response to the client with `extra` headers on top; a
// Status with 502 or 504 when there is none, with 401 when there is no credential. A client that goes away cancels the
// request. Returns the status that the client was sent.
[[nodiscard]] awaitable<int> proxy(net::HttpExchange& exchange, kube::ApiClient& client, std::string path_and_query,
                                   net::Headers extra);

}  // namespace fresnel::gateway

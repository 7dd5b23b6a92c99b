// As whom a client's request reaches a cluster.
//
// - A client that brings a token of its own is that user and nobody else: the kubeconfig's token and client certificate
//   stay behind.
// - A client without one is the kubeconfig context's user, on a desktop's own machine only: the listener and the Host
//   that the client asked for must both be loopback (a Host of another name is a web page's DNS rebinding), or the
//   operator must have said --allow-anonymous-clients.
//
// Tokens come as `Authorization: Bearer`, or from browsers' WebSockets as the subprotocol
// base64url.bearer.authorization.k8s.io.<base64url token>. They are never logged, echoed or selected.
//
// Thread safety: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fresnel/base/error.hpp"
#include "fresnel/kube/cluster_context.hpp"
#include "fresnel/net/http.hpp"

namespace fresnel::gateway {

// What a browser's subprotocol begins with that carries a token.
inline constexpr std::string_view kBearerProtocol = "base64url.bearer.authorization.k8s.io.";

// Every subprotocol offered, in order, of all Sec-WebSocket-Protocol fields.
[[nodiscard]] std::vector<std::string> offered_protocols(const net::Headers& headers);

// True for subprotocols that carry a credential or a user rather than name a protocol.
[[nodiscard]] bool is_credential_protocol(std::string_view protocol) noexcept;

// The subprotocol to select for a watch's WebSocket, empty for none. kube-apiserver selects the only one that is left
// besides the credential and refuses several (its handshake is golang.org/x/net/websocket's); of several we select
// base64.binary.k8s.io, which Headlamp's frontend always offers, else the first: a browser drops the connection when
// none is selected. Watch events are text frames whatever is selected.
[[nodiscard]] std::string watch_protocol(const std::vector<std::string>& offered);

// Whether the text can be a token in an Authorization field: visible ASCII.
[[nodiscard]] bool is_token(std::string_view text) noexcept;

// The client's own token, empty when it brought none. Error unauthorized: an Authorization of another scheme, an empty
// token, or two different ones.
[[nodiscard]] result<std::string> client_token(const net::Headers& headers);

// Whether a request was passed on by a gateway to a server that a client named: it may be this one.
[[nodiscard]] bool passed_on_for_client(const net::Headers& headers) noexcept;
// Whether a client without a token of its own is the kubeconfig's user.
[[nodiscard]] bool anonymous_client_allowed(bool allow_anonymous_clients, bool loopback_listener,
                                            std::string_view host_header);

// `cluster` as the client may use it. Error unauthorized when it has no token and may not do without.
[[nodiscard]] result<kube::ClusterContext> context_for_client(const kube::ClusterContext& cluster,
                                                              const std::string& token, bool anonymous_allowed);

}  // namespace fresnel::gateway

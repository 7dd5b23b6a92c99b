// Who the gateway is (TLS), who may use its channels, and which back ends its API: read once, from the files that the
// options name.
//
// Thread safety: pure functions; they read files.
#pragma once

#include "fresnel/base/error.hpp"
#include "fresnel/gateway/options.hpp"
#include "fresnel/websocket/authentication.hpp"

namespace fresnel::gateway {

// Of clients of /channels: client certificates, JSON Web Tokens and fixed ones, as Authorization, cookie, or the
// subprotocol base64url.bearer.authorization.k8s.io.<base64url token>. Nothing is required when no option names an
// issuer, a key or tokens. Errors (invalid_argument) name the option, the file and what was expected, and never quote a
// token.
[[nodiscard]] result<websocket::Authentication> channel_authentication(const GatewayOptions& options);

// Null without --tls-cert-file: plain HTTP.
[[nodiscard]] result<std::shared_ptr<const net::TlsServer>> tls_server(const GatewayOptions& options);

// Of back ends: a bearer token out of --api-tokens. Requires nothing when there is no such option: no API then.
[[nodiscard]] result<websocket::Authentication> api_authentication(const GatewayOptions& options);

}  // namespace fresnel::gateway

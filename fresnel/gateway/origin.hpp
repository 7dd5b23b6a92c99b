// The origin rule for every request, and what DNS rebinding could get around it with.
//
// A browser sends its page's Origin with every WebSocket and with every request that changes something. The same
// websocket::OriginPolicy decides for both: without it any page that a user visits could use the gateway with the
// user's credentials. A request without Origin comes from a program and is accepted.
//
// Thread safety: pure functions.
#pragma once

#include <string_view>

#include "fresnel/net/http.hpp"
#include "fresnel/websocket/origin_policy.hpp"

namespace fresnel::gateway {

// False for a foreign Origin, and for two of them: the second could hide behind the first.
[[nodiscard]] bool origin_allowed(const net::Headers& headers, const websocket::OriginPolicy& policy);

// True when `headers` holds an Origin that is allowed and not the request's own Host: the answer needs CORS headers.
[[nodiscard]] bool cross_origin_allowed(const net::Headers& headers, const websocket::OriginPolicy& policy);

// True when `host`, a Host header's value or an address, means this machine only: localhost, 127.0.0.0/8 or ::1.
[[nodiscard]] bool is_loopback_host(std::string_view host);

}  // namespace fresnel::gateway

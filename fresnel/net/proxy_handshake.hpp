// How a proxy is asked for a connection: CONNECT (RFC 9110 section 9.3.6) with Basic credentials (RFC 7617), or SOCKS5
// (RFC 1928) with user and password (RFC 1929). Internal to net.
#pragma once

#include <cstdint>
#include <string>

#include "fresnel/base/asio.hpp"
#include "fresnel/base/error.hpp"
#include "fresnel/net/dial.hpp"
#include "fresnel/net/proxy.hpp"

namespace fresnel::net {

// Asks on `stream`, which leads to the proxy (with TLS for an https one) and must outlive the call; afterwards it leads
// to host:port. The proxy resolves the name. No time limit: closing the stream ends it. Errors: connect_failed when the
// proxy refuses or breaks off, protocol when it does not speak as it should, invalid_argument for a host that cannot be
// asked for. Messages go on from "...through the proxy http://host:port: ".
[[nodiscard]] awaitable<result<void>> request_tunnel(ClientStream& stream, Proxy proxy, std::string host,
                                                     std::uint16_t port);

}  // namespace fresnel::net

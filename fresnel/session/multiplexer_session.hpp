// One client of `GET <base-url>/wsMultiplexer`: many watches over one WebSocket, as Headlamp's frontend speaks it.
// Each REQUEST becomes a subscription to a SharedStream; subscriptions are known by (clusterId, path, query), so that
// two selectors on one path, two versions of one watch, and two sockets of one user never mix.
//
// Thread safety: the connection's thread.
#pragma once

#include <memory>

#include "fresnel/net/websocket_connection.hpp"
#include "fresnel/session/session_services.hpp"

namespace fresnel::session {

// Serves the connection until it ends; its subscriptions end with it. Messages that cannot be understood or granted
// are answered by an ERROR message; a binary message ends the connection (1003).
[[nodiscard]] awaitable<void> serve_multiplexer(std::shared_ptr<net::WebSocketConnection> connection,
                                                SessionServices services, ClusterAccess access);

}  // namespace fresnel::session

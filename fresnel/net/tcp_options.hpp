// Socket options every TCP connection of the program gets: small messages leave at once, and a peer that vanished
// without a FIN is noticed (tcp(7): TCP_NODELAY, SO_KEEPALIVE, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_USER_TIMEOUT).
//
// Thread safety: a plain function. Errors are ignored: an option that the kernel refuses costs only promptness.
#pragma once

#include "fresnel/base/clock.hpp"

namespace fresnel::net {

struct TcpLiveness {
  Duration keep_alive_idle = seconds(15);     // probes start after so long a silence
  Duration keep_alive_interval = seconds(5);  // between probes; three unanswered ones end the connection
  Duration user_timeout = seconds(30);        // unacknowledged data ends the connection
};

// `socket` is the native handle of a TCP socket.
void set_tcp_options(int socket, const TcpLiveness& liveness = {}) noexcept;

// Several sockets, one a thread, share the port that they bind (socket(7): SO_REUSEPORT). False when refused.
[[nodiscard]] bool set_reuse_port(int socket) noexcept;

}  // namespace fresnel::net

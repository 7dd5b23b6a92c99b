#include "fresnel/net/tcp_options.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace fresnel::net {
namespace {

bool set_option(int socket, int level, int name, int value) noexcept {
  return ::setsockopt(socket, level, name, &value, sizeof value) == 0;
}

// At least one: the kernel refuses zero.
template <class Unit>
int whole(Duration duration) noexcept {
  const auto count = std::chrono::duration_cast<Unit>(duration).count();
  return count < 1 ? 1 : static_cast<int>(count);
}

}  // namespace

void set_tcp_options(int socket, const TcpLiveness& liveness) noexcept {
  set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, whole<seconds>(liveness.keep_alive_idle));
  set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, whole<seconds>(liveness.keep_alive_interval));
  set_option(socket, IPPROTO_TCP, TCP_KEEPCNT, 3);
  set_option(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, whole<milliseconds>(liveness.user_timeout));
}

bool set_reuse_port(int socket) noexcept { return set_option(socket, SOL_SOCKET, SO_REUSEPORT, 1); }

}  // namespace fresnel::net

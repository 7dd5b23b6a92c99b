#include "fresnel/net/tcp_progress.hpp"

#include <linux/tcp.h>  // its tcp_info has the byte counters; <netinet/tcp.h> has not, and clashes with it
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>

namespace fresnel::net {

std::optional<TcpProgress> tcp_progress(int socket) noexcept {
  tcp_info info = {};
  socklen_t size = sizeof info;
  if (::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return std::nullopt;
  constexpr auto kNeeded = offsetof(tcp_info, tcpi_notsent_bytes) + sizeof info.tcpi_notsent_bytes;
  if (size < kNeeded) return std::nullopt;
  return TcpProgress{info.tcpi_bytes_received, info.tcpi_bytes_acked,
                     info.tcpi_unacked > 0 || info.tcpi_notsent_bytes > 0};
}

}  // namespace fresnel::net

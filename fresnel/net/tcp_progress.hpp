// How far a TCP connection has got, as the kernel counts it (tcp(7): TCP_INFO; Linux 4.6 or later). It tells a slow
// peer from a dead one without touching the path of the data.
//
// Thread safety: plain functions.
#pragma once

#include <cstdint>
#include <optional>

namespace fresnel::net {

struct TcpProgress {
  std::uint64_t received = 0;      // bytes that arrived
  std::uint64_t acknowledged = 0;  // bytes sent that the peer's kernel has taken
  bool backlog = false;            // bytes handed to the kernel are not acknowledged yet
};

// `socket` is a native handle. Nothing when the socket is closed or the kernel does not say.
[[nodiscard]] std::optional<TcpProgress> tcp_progress(int socket) noexcept;

}  // namespace fresnel::net

// Where the load goes: a WebSocket's URL, resolved once.
//
// Thread safety: plain values. resolve_target() blocks on DNS.
#pragma once

#include <sys/socket.h>

#include <string>
#include <string_view>

#include "fresnel/base/error.hpp"

namespace fresnel::load {

struct Target {
  sockaddr_storage address{};
  socklen_t address_size = 0;
  std::string host;  // for the Host header: name and port
  std::string path;  // percent-encoded, with the query; at least "/"
};

// `url`: http or ws, numeric host or name. Errors: invalid_argument (not such a URL; https and wss are not spoken
// here), connect_failed (no such host).
[[nodiscard]] result<Target> resolve_target(std::string_view url);

// Binds the calling thread to one processor. False when there is no such processor.
[[nodiscard]] bool pin_to_processor(int processor) noexcept;

}  // namespace fresnel::load

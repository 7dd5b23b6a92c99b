// Free TCP ports for servers that cannot bind port 0 themselves, or that must come back on the same port.
//
// Thread safety: any thread.
#pragma once

#include <cstdint>

namespace fresnel::test {

// A port of 127.0.0.1 that nobody listens on now. It lies below the range from which the kernel takes ports for
// outgoing connections, so that it stays free while a server on it is restarted. Throws when none is found.
[[nodiscard]] std::uint16_t free_port();

}  // namespace fresnel::test

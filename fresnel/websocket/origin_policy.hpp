// Which web pages may open a WebSocket (RFC 6455 section 10.2). Browsers do not apply the same-origin policy to
// WebSockets and send cookies along, so the server must look at the Origin header itself.
//
// Thread safety: a value; its const members may be called from any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fresnel/base/error.hpp"

namespace fresnel::websocket {

class OriginPolicy {
 public:
  // Allows a page only to its own host.
  OriginPolicy() = default;
  // Allows `entries` too: "scheme://host[:port]", or "*" for every origin. Error invalid_argument names the bad entry.
  [[nodiscard]] static result<OriginPolicy> parse(const std::vector<std::string>& entries);

  // `origin` and `host` are header values. No Origin (no browser) is allowed; so is an origin whose host and port are
  // those of the Host header, a missing port being the default one of the origin's scheme (the scheme itself is not
  // compared: TLS may end at a proxy). The opaque origin "null" is allowed by "*" only.
  [[nodiscard]] bool allows(std::string_view origin, std::string_view host) const;

 private:
  struct Origin {
    std::string scheme;  // lower case
    std::string host;    // lower case, IPv6 in brackets
    std::uint16_t port;  // 0: none given and the scheme has no default
    friend bool operator==(const Origin&, const Origin&) = default;
  };
  static result<Origin> parse_origin(std::string_view text);

  bool any_ = false;
  std::vector<Origin> allowed_;
};

}  // namespace fresnel::websocket

// The token that a desktop's shell gives to its own frontend, so that no other program or page on the machine may use
// the gateway: the field X-HEADLAMP_BACKEND-TOKEN, or for WebSockets the subprotocol
// base64url.headlamp.backend.authorization.k8s.io.<base64url token>.
//
// Thread safety: immutable.
#pragma once

#include <string>
#include <string_view>

#include "fresnel/base/error.hpp"
#include "fresnel/net/http.hpp"

namespace fresnel::gateway {

class BackendToken {
 public:
  BackendToken() = default;  // none is asked for
  // The one in the file, or `token` when `file` is empty; both empty: none is asked for. Error invalid_argument: the
  // file cannot be read or has no token.
  [[nodiscard]] static result<BackendToken> load(const std::string& file, std::string_view token);

  [[nodiscard]] bool required() const noexcept { return !digest_.empty(); }
  [[nodiscard]] bool admits(const net::Headers& headers) const;

 private:
  std::string digest_;
};

}  // namespace fresnel::gateway

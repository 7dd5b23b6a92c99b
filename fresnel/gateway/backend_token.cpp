#include "fresnel/gateway/backend_token.hpp"

#include "fresnel/base/base64url.hpp"
#include "fresnel/gateway/credentials.hpp"
#include "fresnel/gateway/option_values.hpp"
#include "fresnel/net/digest.hpp"

namespace fresnel::gateway {
namespace {

constexpr std::string_view kField = "X-HEADLAMP_BACKEND-TOKEN";
constexpr std::string_view kProtocol = "base64url.headlamp.backend.authorization.k8s.io.";

}  // namespace

result<BackendToken> BackendToken::load(const std::string& file, std::string_view token) {
  std::string text(token);
  if (!file.empty()) {
    auto content = read_option_file(file);
    if (!content) return Error{Errc::invalid_argument, "--backend-token-file: " + content.error().message};
    text = *std::move(content);
    text.erase(text.find_last_not_of(" \t\r\n") + 1);
    if (!is_token(text)) {
      return Error{Errc::invalid_argument, "--backend-token-file: " + file + ": expected one line of visible ASCII"};
    }
  }
  BackendToken backend;
  if (!text.empty()) backend.digest_ = net::sha256_hex(text);
  return backend;
}

// Digests are compared: how long that takes tells nothing of the token.
bool BackendToken::admits(const net::Headers& headers) const {
  if (!required()) return true;
  if (headers.has(kField)) return net::sha256_hex(headers.get(kField)) == digest_;
  for (const auto& protocol : offered_protocols(headers)) {
    if (!protocol.starts_with(kProtocol)) continue;
    const auto token = from_base64url(std::string_view(protocol).substr(kProtocol.size()));
    return token && net::sha256_hex(*token) == digest_;
  }
  return false;
}

}  // namespace fresnel::gateway

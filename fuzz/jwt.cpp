// Tokens and key sets from anywhere. Nobody without the secret is let in.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "fresnel/websocket/jwt.hpp"

using namespace fresnel::websocket;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const JwtKey secret = JwtKey::from_secret("a secret that no input of this fuzzer knows").value();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  auto token = parse_jwt(text);
  if (token) {
    const auto now = fresnel::WallTime(fresnel::seconds(1'767'225'600));
    JwtRules rules;
    rules.audience = "fuzz";
    rules.require_expiry = false;
    if (verify_jwt(*token, secret, rules, now)) std::abort();
    // The rules themselves, with what any key would make of the signature left aside.
    (void)secret.verify("HS256", token->signed_text, token->signature);
  }
  if (const auto keys = parse_jwks(text, 4)) {
    for (const auto& key : *keys) {
      for (const auto* algorithm : {"HS256", "RS256", "ES256", "ES512", "EdDSA"}) {
        (void)key.verify(algorithm, text, text.substr(0, 64));
      }
    }
  }
  return 0;
}

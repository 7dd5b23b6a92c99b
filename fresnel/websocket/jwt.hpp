// JSON Web Tokens (RFC 7519) as bearers of an identity: signed in the compact form (RFC 7515 section 3.1), never
// encrypted, never unsigned.
//
//   token      = header "." payload "." signature      each base64url without padding
//   algorithms   HS256 HS384 HS512  RS256 RS384 RS512  ES256 ES384 ES512  EdDSA (RFC 7518 section 3.1, RFC 8037)
//
// A key verifies the algorithms of its own kind only, so that a token cannot have a public key taken for a shared
// secret (RFC 8725 section 2.1). What a token says counts once its signature has been verified, and not before.
//
// Thread safety: a JwtKey may be shared by threads; the rest are values and pure functions.
#pragma once

#include <boost/json/object.hpp>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "fresnel/base/clock.hpp"
#include "fresnel/base/error.hpp"

namespace fresnel::websocket {

inline constexpr std::size_t kMaxJwt = 16u << 10;  // bytes

// What verifies a signature: a shared secret, or a public key.
class JwtKey {
 public:
  // For HS256, HS384 and HS512. Error invalid_argument for less than 32 bytes (RFC 7518 section 3.2 asks for the hash's
  // size; that of HS256 is the least).
  [[nodiscard]] static result<JwtKey> from_secret(std::string secret);
  // A public key or a certificate in PEM: RSA of 2048 bits or more, EC on P-256, P-384 or P-521, Ed25519.
  [[nodiscard]] static result<JwtKey> from_pem(std::string_view pem);
  // A JSON Web Key (RFC 7517) of the same kinds, "oct" included.
  [[nodiscard]] static result<JwtKey> from_jwk(const boost::json::object& jwk);

  // False for an algorithm of another kind, and where the key itself is for one algorithm only, for any other.
  [[nodiscard]] bool verifies(std::string_view algorithm) const noexcept;
  [[nodiscard]] bool verify(std::string_view algorithm, std::string_view signed_text, std::string_view signature) const;
  [[nodiscard]] const std::string& id() const noexcept { return id_; }  // "kid", empty when there is none

 private:
  class Material;
  explicit JwtKey(std::shared_ptr<const Material> material) : material_(std::move(material)) {}

  std::shared_ptr<const Material> material_;
  std::string id_;
  std::string algorithm_;  // "alg", empty: any of its kind
};

// The usable keys of a JSON Web Key Set (RFC 7517 section 5); others ("use":"enc", unknown kinds, weak ones) are left
// out. Error protocol when it is none.
[[nodiscard]] result<std::vector<JwtKey>> parse_jwks(std::string_view text, std::size_t max_keys);

struct Jwt {
  std::string algorithm;
  std::string key_id;  // empty when there is none
  boost::json::object claims;
  std::string signed_text;  // header and payload, as sent
  std::string signature;
};

// The token's parts, nothing of which has been verified. Errors (unauthorized) never quote the token.
[[nodiscard]] result<Jwt> parse_jwt(std::string_view token);

struct JwtRules {
  std::vector<std::string> algorithms;  // those accepted; empty: all that the key verifies
  std::string issuer;                   // "iss" must be this; empty: any or none
  std::string audience;                 // "aud" must be or contain this; empty: any or none
  Duration clock_skew = seconds(30);    // by which clocks may differ in "exp" and "nbf"
  bool require_expiry = true;           // a token without "exp" is refused
  std::string user_claim = "sub";       // the claim that names the user; must be a string that is not empty
  // Claims that become the identity's attributes; empty where a token has none of that name, or no string.
  std::vector<std::string> attribute_claims;
};

// What a token whose signature `key` verifies says of its bearer.
struct JwtIdentity {
  std::string user_id;
  boost::json::object claims;
  WallTime expires = WallTime::max();  // "exp", without the skew
};

// Errors (unauthorized, status 401) say which rule was broken.
[[nodiscard]] result<JwtIdentity> verify_jwt(Jwt token, const JwtKey& key, const JwtRules& rules, WallTime now);

}  // namespace fresnel::websocket

#include "fresnel/websocket/authentication.hpp"

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

#include "fresnel/base/base64url.hpp"
#include "fresnel/net/curl_client.hpp"
#include "fresnel/websocket/handshake.hpp"

namespace fresnel::websocket {
namespace {

Error unauthorized(std::string message) { return {Errc::unauthorized, std::move(message), 401, "Unauthorized"}; }

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t";
  text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  return text.substr(0, text.find_last_not_of(kSpace) + 1);
}

// RFC 6265 section 5.4: name=value pairs, divided by semicolons; the first of a name counts.
std::string_view cookie_of(const net::Headers& headers, std::string_view name) {
  for (const auto& [field, value] : headers) {
    if (!net::equal_ignoring_case(field, "cookie")) continue;
    std::string_view rest = value;
    while (!rest.empty()) {
      const auto end = std::min(rest.find(';'), rest.size());
      const auto pair = trimmed(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
      const auto equals = pair.find('=');
      if (equals != std::string_view::npos && trimmed(pair.substr(0, equals)) == name)
        return trimmed(pair.substr(equals + 1));
    }
  }
  return {};
}

result<Identity> of_certificate(const net::ClientCertificate& certificate) {
  if (certificate.common_name.empty()) return unauthorized("the client's certificate names nobody");
  Identity identity;
  identity.user_id = certificate.common_name;
  identity.attributes["subject"] = certificate.subject;
  identity.expires = certificate.not_after;
  return identity;
}

// The token behind `prefix` in the only subprotocol that begins with it.
result<std::string> protocol_token(const net::Headers& headers, std::string_view prefix) {
  std::string token;
  for (const auto protocol : list_elements(headers, "sec-websocket-protocol")) {
    if (!protocol.starts_with(prefix)) continue;
    auto decoded = from_base64url(protocol.substr(prefix.size()));
    if (!decoded || decoded->empty() || !token.empty()) {
      return unauthorized("expected one subprotocol " + std::string(prefix) + " with a token in base64url");
    }
    token = *std::move(decoded);
  }
  return token;
}

}  // namespace

result<std::string> token_of(const net::Headers& headers, std::string_view cookie, std::string_view token_protocol) {
  constexpr std::string_view kScheme = "bearer";
  if (headers.has("authorization")) {
    const auto value = trimmed(headers.get("authorization"));
    const auto space = std::min(value.find(' '), value.size());
    const auto token = trimmed(value.substr(space));
    if (count_fields(headers, "authorization") > 1 || !net::equal_ignoring_case(value.substr(0, space), kScheme) ||
        token.empty()) {
      return unauthorized("expected Authorization: Bearer with a token");
    }
    return std::string(token);
  }
  if (!token_protocol.empty()) {
    auto token = protocol_token(headers, token_protocol);
    if (!token || !token->empty()) return token;
  }
  return cookie.empty() ? std::string() : std::string(cookie_of(headers, cookie));
}

// The set of tokens, known by their digests: how long a lookup takes tells nothing of a token.
class Authenticator::Tokens {
 public:
  explicit Tokens(const std::map<std::string, std::string>& users) {
    for (const auto& [token, user] : users) users_.emplace(digest(token), user);
  }
  [[nodiscard]] const std::string* find(std::string_view token) const {
    const auto found = users_.find(digest(token));
    return found == users_.end() ? nullptr : &found->second;
  }
  [[nodiscard]] bool empty() const noexcept { return users_.empty(); }

 private:
  using Digest = std::array<unsigned char, SHA256_DIGEST_LENGTH>;

  static Digest digest(std::string_view token) {
    Digest digest;
    SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(), digest.data());
    return digest;
  }

  std::map<Digest, std::string> users_;
};

Authenticator::Authenticator(const Executor& executor, Clock& clock, Authentication options,
                             net::HttpTransport* transport)
    : clock_(clock), options_(std::move(options)) {
  for (const auto& [token, user] : options_.tokens) {
    if (token.empty() || user.empty()) throw std::runtime_error("a token and its user id must not be empty");
  }
  tokens_ = std::make_unique<Tokens>(options_.tokens);
  options_.tokens.clear();
  if (!options_.jwt) return;
  auto& jwt = *options_.jwt;
  if (int(!jwt.secret.empty()) + int(!jwt.pem.empty()) + int(jwt.jwks.has_value()) != 1) {
    throw std::runtime_error("expected one of a secret, a public key and a key set for tokens");
  }
  if (!jwt.secret.empty()) key_ = JwtKey::from_secret(std::exchange(jwt.secret, {})).value();
  if (!jwt.pem.empty()) key_ = JwtKey::from_pem(jwt.pem).value();
  if (!jwt.jwks) return;
  auto fetcher = transport != nullptr ? std::shared_ptr<net::HttpTransport>(std::shared_ptr<void>(), transport)
                                      : std::make_shared<net::CurlClient>(executor);
  jwks_ = std::make_unique<Jwks>(executor, clock, std::move(fetcher), *jwt.jwks);
}

Authenticator::~Authenticator() = default;

awaitable<result<Identity>> Authenticator::authenticate(const net::ServerRequest& request) {
  const auto self = shared_from_this();
  const bool judges_tokens = options_.jwt.has_value() || !tokens_->empty();
  auto token = token_of(request.headers, options_.cookie, options_.token_protocol);
  if (judges_tokens && !token) co_return token.error();
  if (judges_tokens && !token->empty()) {
    auto verifying = verify(*std::move(token));
    co_return co_await std::move(verifying);
  }
  if (options_.client_certificate && request.certificate) co_return of_certificate(*request.certificate);
  if (!options_.callback) {
    co_return unauthorized(judges_tokens ? "expected a token" : "expected a client certificate");
  }
  auto asking = options_.callback(request);
  auto identity = co_await std::move(asking);
  if (identity && identity->user_id.empty()) co_return unauthorized("the request names no user");
  co_return identity;
}

awaitable<result<Identity>> Authenticator::verify(std::string token) {
  if (const auto* user = tokens_->find(token)) {
    Identity identity;
    identity.user_id = *user;
    co_return identity;
  }
  if (!options_.jwt) co_return unauthorized("the token is not known");
  auto verifying = verify_signed(std::move(token));
  co_return co_await std::move(verifying);
}

awaitable<result<Identity>> Authenticator::verify_signed(std::string token) {
  const auto self = shared_from_this();
  auto jwt = parse_jwt(token);
  if (!jwt) co_return jwt.error();
  std::vector<JwtKey> keys;
  if (key_) {
    keys.push_back(*key_);
  } else {
    auto finding = jwks_->find(jwt->key_id, jwt->algorithm);
    auto found = co_await std::move(finding);
    if (!found) co_return found.error();
    keys = *std::move(found);
  }
  result<JwtIdentity> verified = unauthorized("the token's signature is not valid");
  for (const auto& key : keys) {
    verified = verify_jwt(*jwt, key, options_.jwt->rules, clock_.wall_now());
    if (verified) break;
  }
  if (!verified) co_return verified.error();
  Identity identity;
  identity.user_id = std::move(verified->user_id);
  for (const auto& name : options_.jwt->rules.attribute_claims) {
    const auto* claim = verified->claims.if_contains(name);
    identity.attributes[name] = claim != nullptr && claim->is_string() ? std::string(claim->get_string()) : "";
  }
  identity.claims = std::move(verified->claims);
  identity.expires = verified->expires;
  // Accepted by the grace of the skew: that holds for the connection too.
  if (identity.expires <= clock_.wall_now()) {
    identity.expires += std::chrono::duration_cast<WallTime::duration>(options_.jwt->rules.clock_skew);
  }
  co_return identity;
}

}  // namespace fresnel::websocket

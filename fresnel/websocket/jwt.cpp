#include "fresnel/websocket/jwt.hpp"

#include <algorithm>
#include <array>
#include <boost/json/parse.hpp>
#include <cmath>
#include <optional>
#include <utility>

#include "fresnel/base/base64url.hpp"

namespace fresnel::websocket {
namespace {

namespace json = boost::json;

Error refused(std::string message) { return {Errc::unauthorized, std::move(message), 401, "Unauthorized"}; }

std::optional<json::object> object_of(std::string_view base64) {
  const auto text = from_base64url(base64);
  if (!text) return std::nullopt;
  error_code error;
  auto value = json::parse(*text, error);
  if (error || !value.is_object()) return std::nullopt;
  return std::move(value.as_object());
}

std::string string_at(const json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  const auto* text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? std::string() : std::string(*text);
}

constexpr double kLastSecond = 9'000'000'000;  // in 2255: WallTime reaches little further

// NumericDate (RFC 7519 section 2), a fraction allowed. Nothing when it is absent; an error when it is no such date.
// What is later than kLastSecond becomes WallTime::max().
result<std::optional<WallTime>> date_at(const json::object& claims, std::string_view name) {
  const auto* value = claims.if_contains(name);
  if (value == nullptr) return std::optional<WallTime>();
  error_code error;
  const auto number = value->is_number() ? value->to_number<double>(error) : 0;
  if (error || !value->is_number() || !(number >= 0)) {
    return refused("the token's \"" + std::string(name) + "\" is no date");
  }
  if (number >= kLastSecond) return std::optional(WallTime::max());
  return std::optional(WallTime(seconds(static_cast<std::int64_t>(std::floor(number)))));
}

bool is_for(const json::object& claims, std::string_view audience) {
  const auto* value = claims.if_contains("aud");
  if (value == nullptr) return false;
  if (const auto* text = value->if_string()) return std::string_view(*text) == audience;
  const auto* all = value->if_array();
  return all != nullptr && std::any_of(all->begin(), all->end(), [&](const json::value& one) {
           const auto* text = one.if_string();
           return text != nullptr && std::string_view(*text) == audience;
         });
}

result<WallTime> check_dates(const json::object& claims, const JwtRules& rules, WallTime now) {
  const auto expires = date_at(claims, "exp");
  if (!expires) return expires.error();
  const auto begins = date_at(claims, "nbf");
  if (!begins) return begins.error();
  if (!expires->has_value() && rules.require_expiry) return refused("the token never expires: it has no \"exp\"");
  const auto skew = std::chrono::duration_cast<WallTime::duration>(rules.clock_skew);
  const bool expires_ever = expires->has_value() && **expires != WallTime::max();
  if (expires_ever && now >= **expires + skew) return refused("the token has expired");
  if (begins->has_value() && now < **begins - skew) return refused("the token is not valid yet");
  return expires->value_or(WallTime::max());
}

}  // namespace

result<Jwt> parse_jwt(std::string_view token) {
  if (token.size() > kMaxJwt) return refused("the token is longer than " + std::to_string(kMaxJwt) + " bytes");
  const auto first = token.find('.');
  const auto second = token.find('.', std::min(first + 1, token.size()));
  if (first == std::string_view::npos || second == std::string_view::npos ||
      token.find('.', second + 1) != std::string_view::npos) {
    return refused("the token is no signed JSON Web Token: expected header.payload.signature");
  }
  auto header = object_of(token.substr(0, first));
  auto claims = object_of(token.substr(first + 1, second - first - 1));
  auto signature = from_base64url(token.substr(second + 1));
  if (!header || !claims || !signature) {
    return refused("the token is no signed JSON Web Token: expected JSON in base64url");
  }
  // RFC 7515 section 4.1.11: what must be understood and is not.
  if (header->contains("crit")) return refused("the token's header has \"crit\", of which nothing is understood here");
  Jwt jwt;
  jwt.algorithm = string_at(*header, "alg");
  jwt.key_id = string_at(*header, "kid");
  jwt.claims = *std::move(claims);
  jwt.signed_text = token.substr(0, second);
  jwt.signature = *std::move(signature);
  return jwt;
}

result<JwtIdentity> verify_jwt(Jwt token, const JwtKey& key, const JwtRules& rules, WallTime now) {
  const bool listed = rules.algorithms.empty() || std::find(rules.algorithms.begin(), rules.algorithms.end(),
                                                            token.algorithm) != rules.algorithms.end();
  if (!listed || !key.verifies(token.algorithm)) return refused("the token's algorithm is not accepted here");
  if (!key.verify(token.algorithm, token.signed_text, token.signature)) {
    return refused("the token's signature is not valid");
  }
  const auto expires = check_dates(token.claims, rules, now);
  if (!expires) return expires.error();
  if (!rules.issuer.empty() && string_at(token.claims, "iss") != rules.issuer) {
    return refused("the token is not from the expected issuer");
  }
  if (!rules.audience.empty() && !is_for(token.claims, rules.audience)) {
    return refused("the token is for another audience");
  }
  JwtIdentity identity;
  identity.user_id = string_at(token.claims, rules.user_claim);
  if (identity.user_id.empty()) return refused("the token names no user: no \"" + rules.user_claim + "\"");
  identity.claims = std::move(token.claims);
  identity.expires = *expires;
  return identity;
}

}  // namespace fresnel::websocket

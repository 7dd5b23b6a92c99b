#include "fresnel/websocket/jwt.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

#include "fresnel/websocket/jwt_testing.hpp"

namespace fresnel::websocket {
namespace {

namespace json = boost::json;
using ::testing::HasSubstr;
using testing::make_token;
using ::testing::Not;
using testing::TokenKey;
using testing::unsigned_token;

constexpr std::int64_t kNow = 1'767'225'600;
const std::string kSecret(32, 's');

WallTime at(std::int64_t since_1970) { return WallTime(seconds(since_1970)); }

json::object claims(json::object more = {}) {
  json::object all{{"sub", "ada"}, {"exp", kNow + 60}};
  for (const auto& [name, value] : more) all[name] = value;
  return all;
}

result<JwtIdentity> verify(const std::string& token, const JwtKey& key, const JwtRules& rules = {}) {
  auto jwt = parse_jwt(token);
  if (!jwt) return jwt.error();
  return verify_jwt(*std::move(jwt), key, rules, at(kNow));
}

std::string refusal(const std::string& token, const JwtKey& key, const JwtRules& rules = {}) {
  const auto identity = verify(token, key, rules);
  if (identity) return "accepted";
  EXPECT_EQ(identity.error().code, Errc::unauthorized);
  EXPECT_EQ(identity.error().status, 401);
  EXPECT_THAT(identity.error().message, Not(HasSubstr(token.empty() ? "no token" : token)));
  return identity.error().message;
}

// --- the RFCs' own examples

struct Example {
  std::string jwk;
  std::string algorithm;
  std::string signed_text;
  std::string signature;
};

const std::string kJoe =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

class JwtExampleTest : public ::testing::TestWithParam<Example> {};

TEST_P(JwtExampleTest, IsVerified) {
  const auto& example = GetParam();
  const auto key = JwtKey::from_jwk(json::parse(example.jwk).as_object()).value();
  const auto signature = from_base64url(example.signature).value();
  EXPECT_TRUE(key.verify(example.algorithm, example.signed_text, signature));
  EXPECT_FALSE(key.verify(example.algorithm, example.signed_text + "A", signature));
  for (const std::size_t place : {std::size_t{0}, signature.size() / 2, signature.size() - 1}) {
    auto other = signature;
    other[place] = static_cast<char>(other[place] ^ 1);
    EXPECT_FALSE(key.verify(example.algorithm, example.signed_text, other)) << place;
  }
  EXPECT_FALSE(key.verify(example.algorithm, example.signed_text, ""));
  EXPECT_FALSE(key.verify(example.algorithm, example.signed_text, signature.substr(1)));
}

INSTANTIATE_TEST_SUITE_P(
    Rfc7515AndRfc8037, JwtExampleTest,
    ::testing::Values(
        Example{
            R"({"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"})",
            "HS256", "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." + kJoe, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"},
        Example{
            R"({"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJ)"
            R"(rcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXnd)"
            R"(S5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-D)"
            R"(WNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"})",
            "RS256", "eyJhbGciOiJSUzI1NiJ9." + kJoe,
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_"
            "O8W2Fp5jujGbds9uJdbF9CU"
            "Ar7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_"
            "eSN9383LcOLn6_d"
            "O--xi12jzDwusC-"
            "eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0ig"
            "cN_IoypGlUPQGe77Rw"},
        Example{R"({"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",)"
                R"("y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})",
                "ES256", "eyJhbGciOiJFUzI1NiJ9." + kJoe,
                "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"},
        Example{R"({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})", "EdDSA",
                "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
                "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"}),
    [](const auto& example) { return example.param.algorithm; });

// --- every algorithm, as PEM and as JWK

TEST(Jwt, EveryAlgorithmIsVerifiedByItsOwnKeyOnly) {
  const auto rsa = TokenKey::rsa();
  const auto p256 = TokenKey::ec("P-256");
  const auto p384 = TokenKey::ec("P-384");
  const auto p521 = TokenKey::ec("P-521");
  const auto ed = TokenKey::ed25519();
  const std::vector<std::pair<std::string, const TokenKey*>> signers{
      {"RS256", &rsa},  {"RS384", &rsa},  {"RS512", &rsa}, {"ES256", &p256},
      {"ES384", &p384}, {"ES512", &p521}, {"EdDSA", &ed}};
  for (const auto& [algorithm, signer] : signers) {
    const auto token = make_token(*signer, algorithm, claims());
    for (const auto& [other, verifier] : signers) {
      for (const auto& key :
           {JwtKey::from_pem(verifier->pem()).value(), JwtKey::from_jwk(verifier->jwk("k")).value()}) {
        EXPECT_EQ(verify(token, key).has_value(), verifier == signer) << algorithm << " by the key of " << other;
      }
    }
  }
  const auto secret = JwtKey::from_secret(kSecret).value();
  for (const auto* algorithm : {"HS256", "HS384", "HS512"}) {
    EXPECT_TRUE(verify(make_token(kSecret, algorithm, claims()), secret)) << algorithm;
    EXPECT_FALSE(verify(make_token(std::string(32, 't'), algorithm, claims()), secret)) << algorithm;
  }
}

TEST(Jwt, AnUnsignedTokenIsRefused) {
  const auto secret = JwtKey::from_secret(kSecret).value();
  for (const auto* none : {"none", "None", "NONE", ""}) {
    const auto text = unsigned_token({{"alg", none}}, claims());
    EXPECT_EQ(refusal(text + ".", secret), "the token's algorithm is not accepted here") << none;
  }
  EXPECT_EQ(refusal(unsigned_token(json::object(), claims()) + ".", secret),
            "the token's algorithm is not accepted here");
  EXPECT_EQ(refusal(unsigned_token({{"alg", "HS256"}}, claims()) + ".", secret), "the token's signature is not valid");
}

// RFC 8725 section 2.1: the public key, which everybody has, as a secret.
TEST(Jwt, APublicKeyIsNoSecret) {
  const auto rsa = TokenKey::rsa();
  const auto token = make_token(rsa.pem(), "HS256", claims());
  EXPECT_EQ(refusal(token, JwtKey::from_pem(rsa.pem()).value()), "the token's algorithm is not accepted here");
}

TEST(Jwt, OnlyTheListedAlgorithmsAreAccepted) {
  const auto rsa = TokenKey::rsa();
  const auto key = JwtKey::from_pem(rsa.pem()).value();
  EXPECT_TRUE(verify(make_token(rsa, "RS512", claims()), key, {.algorithms = {"RS256", "RS512"}}));
  EXPECT_EQ(refusal(make_token(rsa, "RS512", claims()), key, {.algorithms = {"RS256"}}),
            "the token's algorithm is not accepted here");
  auto jwk = rsa.jwk("k");
  jwk["alg"] = "RS256";
  EXPECT_FALSE(verify(make_token(rsa, "RS512", claims()), JwtKey::from_jwk(jwk).value()));
  EXPECT_TRUE(verify(make_token(rsa, "RS256", claims()), JwtKey::from_jwk(jwk).value()));
}

TEST(Jwt, ItsDatesCountWithTheSkew) {
  const auto key = JwtKey::from_secret(kSecret).value();
  const auto of = [&](json::object more) {
    return refusal(make_token(kSecret, "HS256", claims(std::move(more))), key);
  };
  EXPECT_EQ(of({{"exp", kNow - 29}}), "accepted");
  EXPECT_EQ(of({{"exp", kNow - 30}}), "the token has expired");
  EXPECT_EQ(of({{"exp", kNow - 29.5}}), "the token has expired") << "a fraction is cut off";
  EXPECT_EQ(of({{"nbf", kNow + 30}}), "accepted");
  EXPECT_EQ(of({{"nbf", kNow + 31}}), "the token is not valid yet");
  EXPECT_EQ(of({{"exp", "tomorrow"}}), R"(the token's "exp" is no date)");
  EXPECT_EQ(of({{"exp", -1}}), R"(the token's "exp" is no date)");
  EXPECT_EQ(of({{"exp", 1e300}}), "accepted") << "as good as never";
  EXPECT_EQ(of({{"exp", 18'446'744'073}}), "accepted");
  for (const double far : {9'223'372'037.0, 18'446'744'073.0, 1e18, 1e300}) {
    EXPECT_EQ(of({{"nbf", far}}), "the token is not valid yet") << far;
  }
  EXPECT_EQ(of({{"nbf", nullptr}}), R"(the token's "nbf" is no date)");
  const auto eternal = make_token(kSecret, "HS256", {{"sub", "ada"}});
  EXPECT_EQ(refusal(eternal, key), R"(the token never expires: it has no "exp")");
  EXPECT_EQ(verify(eternal, key, {.require_expiry = false}).value().expires, WallTime::max());
}

TEST(Jwt, IssuerAndAudienceMustBeTheExpectedOnes) {
  const auto key = JwtKey::from_secret(kSecret).value();
  const JwtRules rules{.issuer = "https://issuer.example", .audience = "fresnel"};
  const auto of = [&](json::object more) {
    return refusal(make_token(kSecret, "HS256", claims(std::move(more))), key, rules);
  };
  const std::string issuer = "https://issuer.example";
  EXPECT_EQ(of({{"iss", issuer}, {"aud", "fresnel"}}), "accepted");
  EXPECT_EQ(of({{"iss", issuer}, {"aud", {"other", "fresnel"}}}), "accepted");
  EXPECT_EQ(of({{"iss", issuer + "/"}, {"aud", "fresnel"}}), "the token is not from the expected issuer");
  EXPECT_EQ(of({{"aud", "fresnel"}}), "the token is not from the expected issuer");
  EXPECT_EQ(of({{"iss", issuer}, {"aud", "other"}}), "the token is for another audience");
  EXPECT_EQ(of({{"iss", issuer}, {"aud", {"other", 7}}}), "the token is for another audience");
  EXPECT_EQ(of({{"iss", issuer}}), "the token is for another audience");
}

TEST(Jwt, NamesItsUserByTheClaimThatIsAskedFor) {
  const auto key = JwtKey::from_secret(kSecret).value();
  const auto token = make_token(kSecret, "HS256", claims({{"email", "ada@example.com"}, {"groups", {"a", "b"}}}));
  const auto identity = verify(token, key, {.user_claim = "email"}).value();
  EXPECT_EQ(identity.user_id, "ada@example.com");
  EXPECT_EQ(identity.claims.at("groups"), json::value({"a", "b"}));
  EXPECT_EQ(identity.expires, at(kNow + 60));
  EXPECT_EQ(refusal(token, key, {.user_claim = "name"}), R"(the token names no user: no "name")");
  EXPECT_EQ(refusal(make_token(kSecret, "HS256", claims({{"sub", ""}})), key), R"(the token names no user: no "sub")");
  EXPECT_EQ(refusal(make_token(kSecret, "HS256", claims({{"sub", 5}})), key), R"(the token names no user: no "sub")");
}

TEST(Jwt, WhatIsNoTokenIsRefused) {
  const auto good = make_token(kSecret, "HS256", claims());
  const auto header = good.substr(0, good.find('.'));
  for (const auto& text : {std::string(), std::string("."), std::string(".."), std::string("..."), header,
                           header + "." + header, good + ".", good + ".x", "=" + good, good + "=",
                           to_base64url("[]") + good.substr(header.size()), header + "." + to_base64url("5") + ".AA",
                           header + "." + to_base64url("{\"sub\":") + ".AA", std::string(kMaxJwt + 1, 'a')}) {
    EXPECT_FALSE(parse_jwt(text)) << text.substr(0, 100);
  }
  EXPECT_TRUE(parse_jwt(good));
  const auto critical = unsigned_token({{"alg", "HS256"}, {"crit", {"b64"}}, {"b64", false}}, claims());
  EXPECT_FALSE(parse_jwt(critical + ".AA"));
}

TEST(JwtKey, WeakOrUnusableKeysAreRefused) {
  EXPECT_FALSE(JwtKey::from_secret(std::string(31, 's')));
  EXPECT_FALSE(JwtKey::from_pem(TokenKey::rsa(1024).pem()));
  EXPECT_FALSE(JwtKey::from_pem(TokenKey::ec("secp256k1").pem()));
  EXPECT_FALSE(JwtKey::from_pem("no key"));
  EXPECT_FALSE(JwtKey::from_jwk({{"kty", "RSA"}, {"n", "AQAB"}, {"e", "AQAB"}}));
  EXPECT_FALSE(JwtKey::from_jwk({{"kty", "oct"}, {"k", "short"}}));
  EXPECT_FALSE(JwtKey::from_jwk({{"kty", "other"}}));
  EXPECT_FALSE(JwtKey::from_jwk({}));
  auto off_the_curve = TokenKey::ec("P-256").jwk("k");
  off_the_curve["y"] = off_the_curve["x"];
  EXPECT_FALSE(JwtKey::from_jwk(off_the_curve));
}

}  // namespace
}  // namespace fresnel::websocket

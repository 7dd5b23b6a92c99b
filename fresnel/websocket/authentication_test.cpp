#include "fresnel/websocket/authentication.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fresnel/base/base64url.hpp"
#include "fresnel/net/testing.hpp"
#include "fresnel/websocket/jwt_testing.hpp"

namespace fresnel::websocket {
namespace {

using net::testing::run;
using ::testing::HasSubstr;
using testing::make_token;
using ::testing::Not;
using ::testing::Pair;
using testing::TokenKey;

const std::string kSecret(32, 's');

class AuthenticationTest : public ::testing::Test {
 protected:
  [[nodiscard]] std::int64_t in(std::int64_t later) const {
    return std::chrono::duration_cast<seconds>(clock_.wall_now().time_since_epoch()).count() + later;
  }
  [[nodiscard]] std::string signed_for(std::string_view user, std::int64_t lives = 60) const {
    return make_token(kSecret, "HS256", {{"sub", user}, {"exp", in(lives)}});
  }
  static Authentication by_jwt() {
    Authentication options;
    options.jwt.emplace();
    options.jwt->secret = kSecret;
    return options;
  }
  result<Identity> authenticate(const Authentication& options, net::Headers headers) {
    const auto authenticator = std::make_shared<Authenticator>(io_.get_executor(), clock_, options);
    net::ServerRequest request;
    request.headers = std::move(headers);
    request.certificate = certificate_;
    result<Identity> identity = Error{};
    run(io_, [&]() -> awaitable<void> {
      auto authenticating = authenticator->authenticate(request);
      identity = co_await std::move(authenticating);
    });
    return identity;
  }
  // The user's id, or the refusal's status.
  std::string outcome(const Authentication& options, net::Headers headers) {
    auto identity = authenticate(options, std::move(headers));
    return identity ? identity->user_id : std::to_string(identity.error().status);
  }

  ManualClock clock_;
  asio::io_context io_;
  std::shared_ptr<const net::ClientCertificate> certificate_;
};

TEST_F(AuthenticationTest, AJwtComesAsBearerOrInItsCookie) {
  auto options = by_jwt();
  const auto token = signed_for("ada");
  EXPECT_EQ(outcome(options, {{"Authorization", "Bearer " + token}}), "ada");
  EXPECT_EQ(outcome(options, {{"authorization", "bearer  " + token + " "}}), "ada");
  EXPECT_EQ(outcome(options, {{"Cookie", "session=" + token}}), "401") << "no cookie is read unless one is named";
  options.cookie = "session";
  EXPECT_EQ(outcome(options, {{"Cookie", "a=b; session=" + token + "; c=d"}}), "ada");
  EXPECT_EQ(outcome(options, {{"Cookie", "xsession=" + token}}), "401");
  EXPECT_EQ(outcome(options, {{"Cookie", "session=" + token}, {"Authorization", "Bearer " + signed_for("bob")}}),
            "bob");
  EXPECT_EQ(outcome(options, {{"Cookie", "session=" + token}, {"Authorization", "Bearer wrong"}}), "401")
      << "a bad token is refused, whatever else there is";
}

TEST_F(AuthenticationTest, ABrowsersTokenComesInASubprotocol) {
  auto options = by_jwt();
  const auto protocol = "bearer." + to_base64url(signed_for("ada"));
  EXPECT_EQ(outcome(options, {{"Sec-WebSocket-Protocol", protocol}}), "401") << "none is read unless it is named";
  options.token_protocol = "bearer.";
  EXPECT_EQ(outcome(options, {{"Sec-WebSocket-Protocol", "chat, " + protocol}}), "ada");
  EXPECT_EQ(outcome(options, {{"Sec-WebSocket-Protocol", "chat"}, {"Sec-WebSocket-Protocol", protocol}}), "ada");
  EXPECT_EQ(outcome(options, {{"Sec-WebSocket-Protocol", protocol + ", " + protocol}}), "401");
  EXPECT_EQ(outcome(options, {{"Sec-WebSocket-Protocol", "bearer.=="}}), "401");
  EXPECT_EQ(outcome(options, {{"Sec-WebSocket-Protocol", "bearer."}}), "401");
  EXPECT_EQ(outcome(options, {{"Sec-WebSocket-Protocol", protocol}, {"Authorization", "Bearer " + signed_for("bob")}}),
            "bob");
  options.cookie = "session";
  EXPECT_EQ(outcome(options, {{"Sec-WebSocket-Protocol", protocol}, {"Cookie", "session=" + signed_for("bob")}}),
            "ada");
}

TEST_F(AuthenticationTest, ClaimsMayBecomeAttributes) {
  auto options = by_jwt();
  options.jwt->rules.attribute_claims = {"team", "level", "none"};
  const auto token = make_token(
      kSecret, "HS256", {{"sub", "ada"}, {"exp", in(60)}, {"team", "red"}, {"level", 3}, {"other", "not asked for"}});
  const auto identity = authenticate(options, {{"Authorization", "Bearer " + token}}).value();
  EXPECT_THAT(identity.attributes,
              ::testing::UnorderedElementsAre(Pair("team", "red"), Pair("level", ""), Pair("none", "")));
}

TEST_F(AuthenticationTest, WithoutATokenOrWithAStrangeOneItIs401) {
  const auto options = by_jwt();
  const auto bearer = "Bearer " + signed_for("ada");
  EXPECT_EQ(outcome(options, {}), "401");
  EXPECT_EQ(outcome(options, {{"Authorization", "Basic YTpi"}}), "401");
  EXPECT_EQ(outcome(options, {{"Authorization", "Bearer"}}), "401");
  EXPECT_EQ(outcome(options, {{"Authorization", bearer}, {"Authorization", bearer}}), "401");
  EXPECT_EQ(outcome(options, {{"Authorization", "Bearer " + signed_for("ada", -31)}}), "401");
}

TEST_F(AuthenticationTest, ItsErrorsNeverQuoteAToken) {
  const std::string secret_part = "distinctive-token-text";
  for (const auto& token : {secret_part, secret_part + ".a.b", make_token(kSecret, "HS256", {{"sub", secret_part}})}) {
    const auto identity = authenticate(by_jwt(), {{"Authorization", "Bearer " + token}});
    ASSERT_FALSE(identity);
    EXPECT_THAT(identity.error().message, Not(HasSubstr(secret_part)));
    EXPECT_THAT(identity.error().message, Not(HasSubstr(token)));
  }
}

TEST_F(AuthenticationTest, AStaticTokenStandsForItsUser) {
  Authentication options;
  options.tokens = {{"token-of-ada", "ada"}, {"token-of-bob", "bob"}};
  EXPECT_EQ(outcome(options, {{"Authorization", "Bearer token-of-bob"}}), "bob");
  EXPECT_EQ(outcome(options, {{"Authorization", "Bearer token-of-bo"}}), "401");
  EXPECT_EQ(outcome(options, {}), "401");
  auto both = by_jwt();
  both.tokens = options.tokens;
  EXPECT_EQ(outcome(both, {{"Authorization", "Bearer token-of-ada"}}), "ada");
  EXPECT_EQ(outcome(both, {{"Authorization", "Bearer " + signed_for("eve")}}), "eve");
}

TEST_F(AuthenticationTest, ACertificateNamesItsUserUnlessATokenDoes) {
  Authentication options;
  options.client_certificate = true;
  const auto showing = [&](const Authentication& rules, const std::string& name, net::Headers headers = {}) {
    const auto expires = clock_.wall_now() + seconds(60);
    certificate_ = std::make_shared<net::ClientCertificate>(net::ClientCertificate{"CN=" + name, name, expires});
    return authenticate(rules, std::move(headers));
  };
  const auto ada = showing(options, "ada").value();
  EXPECT_EQ(ada.user_id, "ada");
  EXPECT_EQ(ada.attributes.at("subject"), "CN=ada");
  EXPECT_EQ(ada.expires, clock_.wall_now() + seconds(60));
  EXPECT_EQ(showing(options, "").error().status, 401);
  options.tokens = {{"token-of-bob", "bob"}};
  EXPECT_EQ(showing(options, "ada", {{"Authorization", "Bearer token-of-bob"}}).value().user_id, "bob");
  EXPECT_EQ(showing(options, "ada", {{"Authorization", "Bearer wrong"}}).error().status, 401);
  EXPECT_EQ(showing(by_jwt(), "ada").error().status, 401) << "nobody asked for one";
  certificate_ = nullptr;
  EXPECT_EQ(outcome(options, {}), "401");
}

TEST_F(AuthenticationTest, TheCallbackJudgesWhatTheOthersDoNot) {
  Authentication options;
  options.callback = [](const net::ServerRequest& request) -> awaitable<result<Identity>> {
    const auto user = request.headers.get("x-user");
    if (user == "nobody") co_return Error{Errc::forbidden, "not you", 403};
    Identity identity;
    identity.user_id = user;
    identity.attributes["team"] = "blue";
    co_return identity;
  };
  EXPECT_EQ(outcome(options, {{"X-User", "ada"}, {"Authorization", "Basic YTpi"}}), "ada");
  EXPECT_EQ(outcome(options, {{"X-User", "nobody"}}), "403");
  EXPECT_EQ(outcome(options, {}), "401") << "an identity without a user is none";
  EXPECT_EQ(authenticate(options, {{"X-User", "ada"}})->attributes.at("team"), "blue");
  options.tokens = {{"token", "bob"}};
  EXPECT_EQ(outcome(options, {{"X-User", "ada"}}), "ada");
  EXPECT_EQ(outcome(options, {{"X-User", "ada"}, {"Authorization", "Bearer token"}}), "bob");
  EXPECT_EQ(outcome(options, {{"X-User", "ada"}, {"Authorization", "Bearer wrong"}}), "401");
}

TEST_F(AuthenticationTest, OptionsThatCannotBeUsedAreRefusedAtOnce) {
  const auto make = [&](const Authentication& options) { (void)Authenticator(io_.get_executor(), clock_, options); };
  auto two_keys = by_jwt();
  two_keys.jwt->pem = TokenKey::ed25519().pem();
  EXPECT_THROW(make(two_keys), std::runtime_error);
  auto no_key = by_jwt();
  no_key.jwt->secret.clear();
  EXPECT_THROW(make(no_key), std::runtime_error);
  auto weak = by_jwt();
  weak.jwt->secret = "short";
  EXPECT_THROW(make(weak), std::runtime_error);
  Authentication nameless;
  nameless.tokens = {{"token", ""}};
  EXPECT_THROW(make(nameless), std::runtime_error);
  EXPECT_NO_THROW(make(by_jwt()));
}

}  // namespace
}  // namespace fresnel::websocket

#include "fresnel/websocket/jwks.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/array.hpp>
#include <optional>

#include "fresnel/net/curl_client.hpp"
#include "fresnel/net/testing.hpp"
#include "fresnel/websocket/jwt_testing.hpp"

namespace fresnel::websocket {
namespace {

namespace json = boost::json;
using net::testing::run;
using net::testing::run_until;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::TokenKey;

// An issuer with an address, whose keys may change.
class JwksTest : public ::testing::Test {
 protected:
  JwksTest()
      : server_(io_.get_executor(), clock_, net::HttpServerOptions(),
                [this](net::HttpExchange& exchange) { return serve(exchange); }) {
    const auto endpoint = server_.listen({"127.0.0.1", 0}).value();
    options_.url = "http://" + endpoint.to_string() + "/keys";
    client_ = std::make_shared<net::CurlClient>(io_.get_executor());
    jwks_.emplace(io_.get_executor(), clock_, client_, options_);
  }
  ~JwksTest() override {
    jwks_.reset();
    client_.reset();
    server_.stop();
    io_.restart();
    io_.poll();
  }

  awaitable<void> serve(net::HttpExchange& exchange) {
    ++requests_;
    if (held_) co_await held_->wait();
    auto body = body_ ? *body_ : json::serialize(json::object{{"keys", keys_}});
    net::Headers headers;
    co_await exchange.respond(status_, std::move(headers), std::move(body));
  }

  // The ids of the keys found, or what was said instead.
  std::vector<std::string> find(std::string key_id, std::string algorithm = "ES256") {
    std::vector<std::string> ids;
    run(io_, [&]() -> awaitable<void> {
      auto finding = jwks_->find(key_id, algorithm);
      const auto found = co_await std::move(finding);
      if (!found) {
        ids = {found.error().message};
        last_error_ = found.error();
        co_return;
      }
      for (const auto& key : *found) ids.push_back(key.id());
    });
    return ids;
  }

  ManualClock clock_;
  asio::io_context io_;
  json::array keys_{TokenKey::ec("P-256").jwk("one"), TokenKey::ed25519().jwk("two")};
  int requests_ = 0;
  int status_ = 200;
  std::optional<std::string> body_;
  std::optional<net::testing::Gate> held_;
  Error last_error_;
  JwksOptions options_;
  net::HttpServer server_;
  std::shared_ptr<net::CurlClient> client_;
  std::optional<Jwks> jwks_;
};

TEST_F(JwksTest, KeysAreFetchedOnceForTheirLifetime) {
  EXPECT_THAT(find("one"), ElementsAre("one"));
  EXPECT_THAT(find("two", "EdDSA"), ElementsAre("two"));
  EXPECT_THAT(find("", "EdDSA"), ElementsAre("two")) << "a token without an id: every key of its kind";
  clock_.advance(options_.lifetime - milliseconds(1));
  EXPECT_THAT(find("one"), ElementsAre("one"));
  EXPECT_EQ(requests_, 1);
  clock_.advance(milliseconds(1));
  EXPECT_THAT(find("one"), ElementsAre("one"));
  run_until(io_, [&] { return requests_ == 2; });
}

TEST_F(JwksTest, ARotatedKeyIsFetchedWhenATokenBringsIt) {
  EXPECT_THAT(find("one"), ElementsAre("one"));
  keys_ = {TokenKey::ec("P-256").jwk("three")};
  clock_.advance(options_.min_refresh_interval);
  EXPECT_THAT(find("three"), ElementsAre("three"));
  EXPECT_EQ(requests_, 2);
  EXPECT_THAT(find("one"), ElementsAre(HasSubstr("a key that its issuer does not have"))) << "and the old one is gone";
  EXPECT_EQ(last_error_.code, Errc::unauthorized);
}

TEST_F(JwksTest, UnknownKeysDoNotHammerTheIssuer) {
  EXPECT_THAT(find("one"), ElementsAre("one"));
  for (int i = 0; i < 100; ++i) EXPECT_THAT(find("made-up"), ElementsAre(HasSubstr("does not have")));
  EXPECT_EQ(requests_, 1);
  clock_.advance(options_.min_refresh_interval);
  for (int i = 0; i < 100; ++i) EXPECT_THAT(find("made-up"), ElementsAre(HasSubstr("does not have")));
  EXPECT_EQ(requests_, 2);
}

TEST_F(JwksTest, WhoeverNeedsThemWaitsForTheSameFetch) {
  held_.emplace(io_);
  int found = 0;
  for (int i = 0; i < 10; ++i) {
    asio::co_spawn(
        io_,
        [&]() -> awaitable<void> {
          auto finding = jwks_->find("one", "ES256");
          const auto keys = co_await std::move(finding);
          if (keys && keys->size() == 1) ++found;
        },
        [](const std::exception_ptr&) {});
  }
  run_until(io_, [&] { return requests_ == 1; });
  held_->open();
  run_until(io_, [&] { return found == 10; });
  EXPECT_EQ(requests_, 1);
}

TEST_F(JwksTest, AnIssuerThatFailsIsAskedAgainLaterAndItsOldKeysServeMeanwhile) {
  status_ = 500;
  EXPECT_THAT(find("one"), ElementsAre(HasSubstr("could not be had: status 500")));
  EXPECT_THAT(find("one"), ElementsAre(HasSubstr("could not be had: status 500")));
  EXPECT_EQ(last_error_.code, Errc::api) << "nobody's token is wrong";
  EXPECT_EQ(requests_, 1);
  status_ = 200;
  clock_.advance(options_.min_refresh_interval);
  EXPECT_THAT(find("one"), ElementsAre("one"));
  status_ = 500;
  clock_.advance(options_.lifetime);
  EXPECT_THAT(find("one"), ElementsAre("one"));
  run_until(io_, [&] { return requests_ == 3; });
  clock_.advance(options_.max_stale);
  EXPECT_THAT(find("one"), ElementsAre(HasSubstr("could not be had: status 500"))) << "not for ever";
}

TEST_F(JwksTest, KnownKeysServeWhileTheIssuerHangs) {
  EXPECT_THAT(find("one"), ElementsAre("one"));
  held_.emplace(io_);
  clock_.advance(options_.lifetime);
  for (int i = 0; i < 3; ++i) EXPECT_THAT(find("one"), ElementsAre("one"));
  run_until(io_, [&] { return requests_ == 2; });
  held_->open();
}

TEST_F(JwksTest, ItsEndCancelsAFetchThatIsUnderWay) {
  held_.emplace(io_);
  std::optional<Errc> ended;
  const auto find_one = [&]() -> awaitable<void> {
    auto finding = jwks_->find("one", "ES256");
    const auto found = co_await std::move(finding);
    ended = found ? Errc::internal : found.error().code;
  };
  asio::co_spawn(io_, find_one(), [](const std::exception_ptr&) {});
  run_until(io_, [&] { return requests_ == 1; });
  const std::weak_ptr<net::CurlClient> client = client_;
  client_.reset();
  jwks_.reset();
  run_until(io_, [&] { return ended.has_value(); });
  EXPECT_EQ(*ended, Errc::cancelled);
  io_.restart();
  io_.poll();
  EXPECT_TRUE(client.expired()) << "kept no longer than the fetch";
  held_->open();
}

TEST_F(JwksTest, TheIssuersOwnRefusalIsNotTheClients) {
  status_ = 403;
  EXPECT_THAT(find("one"), ElementsAre(HasSubstr("status 403")));
  EXPECT_EQ(last_error_.status, 0);
}

TEST_F(JwksTest, AnAnswerThatIsNoKeySetIsAFailure) {
  for (const auto* body : {"", "[]", "{}", R"({"keys":{}})", "<html>"}) {
    body_ = body;
    EXPECT_THAT(find("one"), ElementsAre(HasSubstr("expected a JSON Web Key Set"))) << body;
    clock_.advance(options_.min_refresh_interval);
  }
  body_ = std::string(options_.max_body + 1, ' ');
  EXPECT_THAT(find("one"), ElementsAre(HasSubstr("could not be had")));
  EXPECT_EQ(last_error_.code, Errc::too_large);
}

TEST(ParseJwks, LeavesOutWhatItCannotUseAndKeepsABound) {
  auto encryption = TokenKey::ec("P-256").jwk("enc");
  encryption["use"] = "enc";
  json::array keys{encryption, json::object{{"kty", "unknown"}}, 5, TokenKey::rsa(1024).jwk("weak")};
  EXPECT_THAT(parse_jwks(json::serialize(json::object{{"keys", keys}}), 10).value(), IsEmpty());
  const auto good = TokenKey::ed25519().jwk("good");
  for (int i = 0; i < 5; ++i) keys.push_back(good);
  EXPECT_EQ(parse_jwks(json::serialize(json::object{{"keys", keys}}), 3).value().size(), 3u);
}

}  // namespace
}  // namespace fresnel::websocket

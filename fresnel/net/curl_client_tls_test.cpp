// The HTTP client over TLS: whom it trusts, what it announces, and that identities never mix.
#include <gmock/gmock.h>

#include "fresnel/net/curl_client.hpp"
#include "fresnel/net/tls_testing.hpp"

namespace fresnel::net {
namespace {

using net::testing::answer_what_was_seen;
using net::testing::Authority;
using net::testing::run;
using net::testing::TlsServer;
using ::testing::HasSubstr;

class CurlClientTlsTest : public ::testing::Test {
 protected:
  ~CurlClientTlsTest() override {
    client_.reset();
    server_.reset();
    io_.restart();
    io_.poll();
  }
  void start(const std::string& names, const std::string& client_ca = "") {
    server_.emplace(io_, authority_.issue("server", names), answer_what_was_seen, client_ca);
    endpoint_ = server_->endpoint().to_string();
  }
  // What the server saw, or the error.
  result<std::string> ask(const TlsOptions& tls) {
    HttpRequest request;
    request.url = "https://" + endpoint_ + "/";
    request.tls = std::make_shared<TlsOptions>(tls);
    result<std::string> answer;
    run(io_, [&]() -> awaitable<void> {
      auto opened = co_await client_->open(request);
      if (opened) {
        answer = co_await read_all(**opened, 1000);
      } else {
        answer = opened.error();
      }
    });
    return answer;
  }

  Authority authority_{"trusted"};
  asio::io_context io_;
  std::optional<TlsServer> server_;
  std::string endpoint_;
  std::optional<CurlClient> client_{std::in_place, io_.get_executor()};
};

TEST_F(CurlClientTlsTest, TrustsTheGivenAuthorityAndOffersHttp2) {
  start("IP:127.0.0.1");
  EXPECT_EQ(ask({.ca_pem = authority_.pem()}).value(), "  " + endpoint_);
  EXPECT_THAT(server_->offered(), HasSubstr("\x02h2"));
}

TEST_F(CurlClientTlsTest, OffersOnlyHttp11WhenToldTo) {
  start("IP:127.0.0.1");
  client_.emplace(io_.get_executor(), CurlClientOptions{.http2 = false});
  EXPECT_TRUE(ask({.ca_pem = authority_.pem()}));
  EXPECT_EQ(server_->offered(), "\x08http/1.1");
}

TEST_F(CurlClientTlsTest, RefusesAnotherAuthorityAndTheSystemsRoots) {
  start("IP:127.0.0.1");
  for (const auto& authority : {Authority("other").pem(), std::string()}) {
    const auto answer = ask({.ca_pem = authority});
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Errc::tls_failed) << answer.error().message;
    EXPECT_THAT(answer.error().message, HasSubstr(endpoint_));
  }
  const auto garbage = ask({.ca_pem = "no certificate"});
  ASSERT_FALSE(garbage);
  EXPECT_EQ(garbage.error().code, Errc::tls_failed);
}

TEST_F(CurlClientTlsTest, RefusesACertificateForAnotherName) {
  start("DNS:example.test");
  const auto answer = ask({.ca_pem = authority_.pem()});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::tls_failed);
}

TEST_F(CurlClientTlsTest, InsecureTrustsEverybody) {
  start("DNS:example.test");
  EXPECT_TRUE(ask({.insecure_skip_verify = true}));
}

TEST_F(CurlClientTlsTest, AVerifiedRequestNeverUsesAnUnverifiedConnection) {
  start("DNS:example.test");
  EXPECT_TRUE(ask({.insecure_skip_verify = true}));
  EXPECT_FALSE(ask({.ca_pem = authority_.pem()}));
}

TEST_F(CurlClientTlsTest, AServerNameIsAnnouncedAndVerifiedInsteadOfTheHost) {
  start("DNS:example.test");
  const auto answer = ask({.ca_pem = authority_.pem(), .server_name = "example.test"});
  EXPECT_EQ(answer.value(), "example.test  " + endpoint_);
  EXPECT_FALSE(ask({.ca_pem = authority_.pem(), .server_name = "other.test"}));
}

TEST_F(CurlClientTlsTest, EachClientCertificateHasItsOwnConnection) {
  const Authority clients("clients");
  start("IP:127.0.0.1", clients.pem());
  const auto alice = clients.issue("alice");
  const auto bob = clients.issue("bob");
  for (int round = 0; round < 2; ++round) {
    for (const auto& [identity, name] : {std::pair(alice, "alice"), std::pair(bob, "bob")}) {
      const auto answer =
          ask({.ca_pem = authority_.pem(), .client_cert_pem = identity.cert_pem, .client_key_pem = identity.key_pem});
      EXPECT_EQ(answer.value(), std::string(" ") + name + " " + endpoint_);
    }
  }
  EXPECT_EQ(server_->connections(), 2);
  EXPECT_FALSE(ask({.ca_pem = authority_.pem()}));
  const auto wrong_key =
      ask({.ca_pem = authority_.pem(), .client_cert_pem = alice.cert_pem, .client_key_pem = bob.key_pem});
  ASSERT_FALSE(wrong_key);
  EXPECT_EQ(wrong_key.error().code, Errc::tls_failed);
}

}  // namespace
}  // namespace fresnel::net

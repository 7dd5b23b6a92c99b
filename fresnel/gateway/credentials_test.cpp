#include "fresnel/gateway/credentials.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fresnel::gateway {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kBearer = "base64url.bearer.authorization.k8s.io.";

TEST(OfferedProtocols, ReadsEveryFieldInOrder) {
  const net::Headers headers = {{"Sec-WebSocket-Protocol", "a, b ,,c"}, {"x", "y"}, {"sec-websocket-protocol", "d"}};
  EXPECT_THAT(offered_protocols(headers), ElementsAre("a", "b", "c", "d"));
  EXPECT_TRUE(offered_protocols({}).empty());
}

TEST(WatchProtocol, NeverACredential) {
  EXPECT_EQ(watch_protocol({}), "");
  EXPECT_EQ(watch_protocol({"anything"}), "anything");
  EXPECT_EQ(watch_protocol({"x", "base64.binary.k8s.io"}), "base64.binary.k8s.io");
  EXPECT_EQ(watch_protocol({"x", "y"}), "x");
  EXPECT_EQ(watch_protocol({kBearer + "dG9r"}), "");
  EXPECT_EQ(watch_protocol({kBearer + "dG9r", "x"}), "x");
  EXPECT_EQ(watch_protocol({"base64url.headlamp.authorization.k8s.io.user"}), "");
  EXPECT_EQ(watch_protocol({"base64url.headlamp.backend.authorization.k8s.io.t", "base64.binary.k8s.io"}),
            "base64.binary.k8s.io");
}

TEST(ClientToken, FromHeaderOrSubprotocol) {
  const std::pair<net::Headers, std::string> cases[] = {
      {{}, ""},
      {{{"Authorization", "Bearer tok"}}, "tok"},
      {{{"authorization", "bearer  tok "}}, "tok"},
      {{{"Sec-WebSocket-Protocol", "a, " + kBearer + "dG9r"}}, "tok"},
      {{{"Sec-WebSocket-Protocol", kBearer + "YS5iP34-"}}, "a.b?~>"},
      {{{"Sec-WebSocket-Protocol", kBearer + "YT8_Yg"}}, "a??b"},
      {{{"Authorization", "Bearer tok"}, {"Sec-WebSocket-Protocol", kBearer + "dG9r"}}, "tok"},
      {{{"Sec-WebSocket-Protocol", "base64url.headlamp.authorization.k8s.io.user"}}, ""},
  };
  for (const auto& [headers, token] : cases) {
    const auto found = client_token(headers);
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_EQ(*found, token);
  }
}

TEST(ClientToken, RefusesWhatIsNoTokenWithoutEchoingIt) {
  const net::Headers cases[] = {
      {{"Authorization", "Basic c2VjcmV0"}},
      {{"Authorization", "secret"}},
      {{"Authorization", "Bearer"}},
      {{"Authorization", "Bearer "}},
      {{"Authorization", ""}},
      {{"Authorization", "Bearer se cret"}},
      {{"Authorization", "Bearer secret"}, {"Authorization", "Bearer secret2"}},
      {{"Authorization", "Bearer secret"}, {"Sec-WebSocket-Protocol", kBearer + "dG9r"}},
      {{"Sec-WebSocket-Protocol", kBearer}},
      {{"Sec-WebSocket-Protocol", kBearer + "secret+="}},
      {{"Sec-WebSocket-Protocol", kBearer + "c2VjcmV0DQo"}},  // a line break in the token
  };
  for (const auto& headers : cases) {
    const auto found = client_token(headers);
    ASSERT_FALSE(found) << headers.begin()->second;
    EXPECT_EQ(found.error().code, Errc::unauthorized);
    EXPECT_EQ(found.error().status, 401);
    EXPECT_THAT(found.error().message, Not(HasSubstr("secret")));
  }
}

TEST(AnonymousClients, OnlyOnThisMachineOrWhenAllowed) {
  struct Case {
    bool flag, loopback;
    const char* host;
    bool allowed;
  };
  const Case cases[] = {
      {false, true, "127.0.0.1:4466", true},
      {false, true, "localhost:4466", true},
      {false, true, "evil.example.com:4466", false},  // DNS rebinding
      {false, true, "", false},
      {false, false, "127.0.0.1:4466", false},
      {true, false, "gate.example.com", true},
      {true, true, "gate.example.com", true},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(anonymous_client_allowed(c.flag, c.loopback, c.host), c.allowed) << c.flag << c.loopback << c.host;
  }
}

TEST(ContextForClient, ATokenReplacesTheWholeCredential) {
  kube::ClusterContext cluster;
  cluster.credential = {.bearer_token = "own", .client_cert_pem = "cert", .client_key_pem = "key"};
  cluster.tls = std::make_shared<net::TlsOptions>(net::TlsOptions{.ca_pem = "ca",
                                                                  .client_cert_pem = "cert",
                                                                  .client_key_pem = "key",
                                                                  .server_name = "api",
                                                                  .insecure_skip_verify = false});
  const auto user = context_for_client(cluster, "theirs", true).value();
  EXPECT_EQ(user.credential.bearer_token, "theirs");
  EXPECT_EQ(user.credential.client_cert_pem, "");
  EXPECT_EQ(user.tls->client_cert_pem, "");
  EXPECT_EQ(user.tls->client_key_pem, "");
  EXPECT_EQ(user.tls->ca_pem, "ca");
  EXPECT_EQ(user.tls->server_name, "api");

  EXPECT_EQ(context_for_client(cluster, "", true).value().credential, cluster.credential);
  const auto refused = context_for_client(cluster, "", false);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().status, 401);
  EXPECT_THAT(refused.error().message, Not(HasSubstr("own\"")));
}

}  // namespace
}  // namespace fresnel::gateway

#include "fresnel/gateway/tunnel_route.hpp"

#include <gtest/gtest.h>

namespace fresnel::gateway {
namespace {

TEST(UpgradeHeaders, CarryTheHandshakeAndTheClustersCredentialOnly) {
  net::ServerRequest request;
  request.method = "GET";
  request.headers = {{"Host", "gate"},
                     {"Connection", "keep-alive, Upgrade"},
                     {"Upgrade", "websocket"},
                     {"Origin", "http://gate"},
                     {"Cookie", "a=b"},
                     {"Authorization", "Bearer client"},
                     {"Sec-WebSocket-Key", "k"},
                     {"Sec-WebSocket-Version", "13"},
                     {"Sec-WebSocket-Extensions", "permessage-deflate"},
                     {"Sec-WebSocket-Protocol",
                      "base64url.bearer.authorization.k8s.io.dA, v4.channel.k8s.io, "
                      "base64url.headlamp.authorization.k8s.io.me, v5.channel.k8s.io"},
                     {"X-Stream-Protocol-Version", "v4.channel.k8s.io"}};
  kube::ClusterContext cluster;
  cluster.credential.bearer_token = "tok";
  std::string text;
  for (const auto& [name, value] : upgrade_headers(request, cluster, "api:6443")) text += name + "=" + value + ";";
  EXPECT_EQ(text,
            "Host=api:6443;Connection=Upgrade;Upgrade=websocket;X-Stream-Protocol-Version=v4.channel.k8s.io;"
            "Sec-WebSocket-Key=k;Sec-WebSocket-Version=13;Sec-WebSocket-Extensions=permessage-deflate;"
            "Sec-WebSocket-Protocol=v4.channel.k8s.io, v5.channel.k8s.io;Authorization=Bearer tok;");
}

TEST(UpgradeHeaders, NoProtocolFieldWhenOnlyCredentialsWereOffered) {
  net::ServerRequest request;
  request.headers = {{"Upgrade", "websocket"}, {"Sec-WebSocket-Protocol", "base64url.bearer.authorization.k8s.io.dA"}};
  const auto headers = upgrade_headers(request, {}, "api");
  EXPECT_FALSE(headers.has("sec-websocket-protocol"));
  EXPECT_FALSE(headers.has("authorization"));
}

}  // namespace
}  // namespace fresnel::gateway

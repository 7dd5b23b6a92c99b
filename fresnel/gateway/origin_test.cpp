#include "fresnel/gateway/origin.hpp"

#include <gtest/gtest.h>

namespace fresnel::gateway {
namespace {

websocket::OriginPolicy policy() { return websocket::OriginPolicy::parse({"https://dash.example.com"}).value(); }

struct OriginCase {
  net::Headers headers;
  bool allowed;
  bool needs_cors;
};

TEST(Origin, OwnHostNamedOriginsAndPrograms) {
  const OriginCase cases[] = {
      {{{"Host", "gate"}}, true, false},
      {{{"Host", "gate:4466"}, {"Origin", "http://gate:4466"}}, true, false},
      {{{"Host", "gate"}, {"Origin", "https://gate"}}, true, false},
      {{{"Host", "gate"}, {"Origin", "https://dash.example.com"}}, true, true},
      {{{"Host", "gate"}, {"Origin", "http://dash.example.com"}}, false, false},
      {{{"Host", "gate"}, {"Origin", "https://evil.example.com"}}, false, false},
      {{{"Host", "gate:4466"}, {"Origin", "http://gate:4467"}}, false, false},
      {{{"Host", "gate"}, {"Origin", "null"}}, false, false},
      {{{"Host", "gate"}, {"Origin", "http://gate"}, {"origin", "https://evil.example.com"}}, false, false},
      {{{"Origin", "http://gate"}}, false, false},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(origin_allowed(c.headers, policy()), c.allowed) << c.headers.get("origin");
    EXPECT_EQ(cross_origin_allowed(c.headers, policy()), c.needs_cors) << c.headers.get("origin");
  }
}

TEST(IsLoopbackHost, KnowsThisMachine) {
  for (const auto* host : {"localhost", "LocalHost:4466", "127.0.0.1", "127.9.9.9:80", "[::1]:4466", "[::1]", "::1"}) {
    EXPECT_TRUE(is_loopback_host(host)) << host;
  }
  for (const auto* host : {"", "0.0.0.0", "10.0.0.1:80", "localhost.evil.com", "evil.com:4466", "[::]", "[::1", "::"}) {
    EXPECT_FALSE(is_loopback_host(host)) << host;
  }
}

}  // namespace
}  // namespace fresnel::gateway

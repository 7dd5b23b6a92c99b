#include "fresnel/websocket/origin_policy.hpp"

#include <gtest/gtest.h>

namespace fresnel::websocket {
namespace {

struct Case {
  const char* origin;
  const char* host;
  bool allowed;
};

TEST(OriginPolicy, AllowsAPageItsOwnHostOnly) {
  const Case cases[] = {
      {"", "gateway:4466", true},  // no browser
      {"http://gateway:4466", "gateway:4466", true},
      {"https://gateway:4466", "gateway:4466", true},  // TLS ends at a proxy
      {"http://Gateway.Example", "gateway.example", true},
      {"http://gateway", "gateway:80", true},
      {"http://gateway:80", "gateway", true},
      {"https://gateway", "gateway:443", true},
      {"https://gateway:443", "gateway", true},
      {"http://[::1]:4466", "[::1]:4466", true},
      {"http://gateway", "gateway:443", false},
      {"https://gateway", "gateway:80", false},
      {"http://gateway:4467", "gateway:4466", false},
      {"http://gateway", "gateway:4466", false},
      {"http://evil.example", "gateway", false},
      {"http://gateway.evil.example", "gateway", false},
      {"http://evilgateway", "gateway", false},
      {"http://gateway@evil.example", "gateway", false},
      {"http://evil.example", "evil.example@gateway", false},
      {"http://gateway/evil", "gateway", false},
      {"http://gateway", "", false},
      {"http://gateway", "gateway/x", false},
      {"null", "gateway", false},
      {"null", "null", false},
      {"file://", "gateway", false},
      {"file://", "", false},
      {"gateway", "gateway", false},
      {"http://gateway:0", "gateway:0", false},
      {"http://gateway:99999", "gateway:99999", false},
      {"http://a http://gateway", "gateway", false},
  };
  const OriginPolicy policy;
  for (const auto& [origin, host, allowed] : cases) {
    EXPECT_EQ(policy.allows(origin, host), allowed) << origin << " at " << host;
  }
}

TEST(OriginPolicy, AllowsTheOriginsThatItNames) {
  const auto policy =
      OriginPolicy::parse({"https://Dashboard.example", "http://localhost:3000", "app://desktop", "file://"});
  ASSERT_TRUE(policy);
  const Case cases[] = {
      {"https://dashboard.example", "gateway", true},
      {"https://dashboard.example:443", "gateway", true},
      {"http://localhost:3000", "gateway", true},
      {"app://desktop", "gateway", true},
      {"http://dashboard.example", "gateway", false},
      {"https://dashboard.example:8443", "gateway", false},
      {"https://x.dashboard.example", "gateway", false},
      {"http://localhost", "gateway", false},
      {"null", "gateway", false},
      {"http://gateway", "gateway", true},
      {"file://", "gateway", true},
  };
  for (const auto& [origin, host, allowed] : cases) {
    EXPECT_EQ(policy->allows(origin, host), allowed) << origin << " at " << host;
  }
}

TEST(OriginPolicy, AStarAllowsEveryOrigin) {
  const auto policy = OriginPolicy::parse({"*"});
  ASSERT_TRUE(policy);
  for (const auto* origin : {"http://evil.example", "null", "file://"}) EXPECT_TRUE(policy->allows(origin, "gateway"));
}

TEST(OriginPolicy, NamesTheEntryThatItCannotRead) {
  for (const auto* entry : {"dashboard.example", "https://", "https://a/path", "https://u@a", "https://*.a", "null", "",
                            "https://a:0", "https://a:x", "https://a?q", "https://a#f"}) {
    const auto policy = OriginPolicy::parse({"http://fine", entry});
    ASSERT_FALSE(policy) << entry;
    EXPECT_EQ(policy.error().code, Errc::invalid_argument);
    EXPECT_NE(policy.error().message.find(std::string("\"") + entry + "\""), std::string::npos);
  }
}

}  // namespace
}  // namespace fresnel::websocket

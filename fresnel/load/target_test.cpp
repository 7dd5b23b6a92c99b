#include "fresnel/load/target.hpp"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fresnel::load {
namespace {

using testing::HasSubstr;

TEST(Target, ReadsAddressHostAndPath) {
  const auto target = resolve_target("http://127.0.0.1:4466/base/wsMultiplexer?a=b");
  ASSERT_TRUE(target) << target.error().message;
  sockaddr_in address{};
  std::memcpy(&address, &target->address, sizeof address);
  EXPECT_EQ(address.sin_family, AF_INET);
  EXPECT_EQ(ntohs(address.sin_port), 4466);
  EXPECT_EQ(target->host, "127.0.0.1:4466");
  EXPECT_EQ(target->path, "/base/wsMultiplexer?a=b");
  EXPECT_EQ(resolve_target("ws://127.0.0.1")->path, "/");
}

TEST(Target, UnderstandsIpv6) {
  const auto target = resolve_target("ws://[::1]:80/x");
  ASSERT_TRUE(target) << target.error().message;
  EXPECT_EQ(target->address.ss_family, AF_INET6);
  EXPECT_EQ(target->host, "[::1]:80");
}

TEST(Target, SaysWhatWasExpected) {
  for (const auto* url : {"", "127.0.0.1:4466", "http://", "http://a:0", "http://u:p@127.0.0.1", "ftp://127.0.0.1"}) {
    const auto target = resolve_target(url);
    ASSERT_FALSE(target) << url;
    EXPECT_EQ(target.error().code, Errc::invalid_argument) << url;
  }
  EXPECT_THAT(resolve_target("https://127.0.0.1").error().message, HasSubstr("no TLS"));
}

TEST(Target, NoSuchProcessorIsRefused) {
  EXPECT_FALSE(pin_to_processor(-1));
  EXPECT_FALSE(pin_to_processor(100'000));
}

}  // namespace
}  // namespace fresnel::load

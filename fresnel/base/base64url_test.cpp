#include "fresnel/base/base64url.hpp"

#include <gtest/gtest.h>

namespace fresnel {
namespace {

TEST(Base64UrlTest, RoundTrips) {
  using namespace std::string_literals;
  for (const auto& bytes : {""s, "a"s, "ab"s, "abc"s, "\0\xFF\x10"s, "{\"start\":\"a\\u0000\"}"s}) {
    EXPECT_EQ(from_base64url(to_base64url(bytes)), bytes);
  }
  EXPECT_EQ(to_base64url("\xFB\xFF"), "-_8");
  EXPECT_FALSE(from_base64url("YQ=="));
  EXPECT_FALSE(from_base64url("Y"));
}

}  // namespace
}  // namespace fresnel

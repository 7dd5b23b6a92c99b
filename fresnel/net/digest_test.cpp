#include "fresnel/net/digest.hpp"

#include <gtest/gtest.h>

namespace fresnel::net {
namespace {

TEST(Digest, Sha256IsHex) {
  // FIPS 180-2 appendix B.1.
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Base64, Rfc4648Section10) {
  for (const auto& [bytes, text] : {std::pair{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foobar", "Zm9vYmFy"}}) {
    EXPECT_EQ(to_base64(bytes), text);
    EXPECT_EQ(from_base64(text), bytes);
  }
  EXPECT_EQ(from_base64("Zm9v\nYmFy\n"), "foobar");
  EXPECT_FALSE(from_base64("Zm9v!mFy"));
  EXPECT_FALSE(from_base64("Zm9vY"));
}

}  // namespace
}  // namespace fresnel::net

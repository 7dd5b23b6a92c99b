#include "fresnel/base/backoff.hpp"

#include <gtest/gtest.h>

namespace fresnel {
namespace {

TEST(Backoff, DoublesUpToTheLimitAndStaysWithinItsJitter) {
  Random random(7);
  Backoff backoff({.first = milliseconds(100), .limit = milliseconds(450), .factor = 2.0});
  for (const int full : {100, 200, 400, 450, 450}) {
    const auto delay = backoff.next(random);
    EXPECT_GE(delay, milliseconds(full) / 2);
    EXPECT_LE(delay, milliseconds(full));
  }
  EXPECT_EQ(backoff.attempts(), 5);
}

TEST(Backoff, ResetStartsOver) {
  Random random(7);
  Backoff backoff({.first = milliseconds(100), .limit = seconds(9), .factor = 10.0});
  (void)backoff.next(random);
  (void)backoff.next(random);
  backoff.reset();
  EXPECT_EQ(backoff.attempts(), 0);
  EXPECT_LE(backoff.next(random), milliseconds(100));
}

TEST(Backoff, FullJitterReachesBelowHalf) {
  Random random(7);
  bool below_half = false;
  for (int i = 0; i < 50; ++i) {
    Backoff backoff({.first = milliseconds(100), .jitter = BackoffOptions::Jitter::full});
    below_half |= backoff.next(random) < milliseconds(50);
  }
  EXPECT_TRUE(below_half);
}

}  // namespace
}  // namespace fresnel

#include "fresnel/cli/rate_meter.hpp"

#include <gtest/gtest.h>

namespace fresnel::cli {
namespace {

TEST(RateMeter, CountsTheLastFiveSeconds) {
  RateMeter meter;
  TimePoint now{std::chrono::hours(1)};
  EXPECT_EQ(meter.per_second(now), 0.0);
  for (int i = 0; i < 50; ++i) {
    meter.count(now);
    now += milliseconds(100);
  }
  EXPECT_NEAR(meter.per_second(now - milliseconds(100)), 10.0, 0.01);
  EXPECT_NEAR(meter.per_second(now + milliseconds(2400)), 5.0, 0.51);
  EXPECT_EQ(meter.per_second(now + seconds(5)), 0.0);
}

TEST(RateMeter, StartsAgainAfterALongPause) {
  RateMeter meter;
  const TimePoint start{std::chrono::hours(1)};
  for (int i = 0; i < 100; ++i) meter.count(start);
  meter.count(start + seconds(50));
  EXPECT_NEAR(meter.per_second(start + seconds(50)), 0.2, 1e-9);
}

}  // namespace
}  // namespace fresnel::cli

#include "fresnel/load/histogram.hpp"

#include <gtest/gtest.h>

namespace fresnel::load {
namespace {

TEST(Histogram, HasNoQuantilesBeforeTheFirstValue) {
  const Histogram histogram;
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.min(), 0u);
  EXPECT_EQ(histogram.max(), 0u);
  EXPECT_EQ(histogram.quantile(0.5), 0u);
}

TEST(Histogram, SmallValuesAreExact) {
  Histogram histogram;
  for (std::uint64_t value = 1; value <= 100; ++value) histogram.record(value);
  EXPECT_EQ(histogram.quantile(0), 1u);
  EXPECT_EQ(histogram.quantile(0.5), 50u);
  EXPECT_EQ(histogram.quantile(0.99), 99u);
  EXPECT_EQ(histogram.quantile(1), 100u);
}

TEST(Histogram, EveryValueIsReadBackWithinOneSixtyFourth) {
  for (std::uint64_t value = 1; value < Histogram::kMax; value = value * 3 / 2 + 1) {
    Histogram histogram;
    histogram.record(1);
    histogram.record(value);
    histogram.record(Histogram::kMax);
    const auto read = histogram.quantile(0.6);
    EXPECT_GE(read, value);
    EXPECT_LE(read, value + value / 64 + 1);
  }
}

TEST(Histogram, ValuesBeyondTheLastBucketCountAsItsEnd) {
  Histogram histogram;
  histogram.record(~std::uint64_t{0});
  EXPECT_EQ(histogram.quantile(0.5), Histogram::kMax);
  EXPECT_EQ(histogram.max(), Histogram::kMax);
}

TEST(Histogram, ForgetsOnClear) {
  Histogram histogram;
  histogram.record(7);
  histogram.clear();
  EXPECT_EQ(histogram.count(), 0u);
  histogram.record(9);
  EXPECT_EQ(histogram.min(), 9u);
  EXPECT_EQ(histogram.quantile(1), 9u);
}

}  // namespace
}  // namespace fresnel::load

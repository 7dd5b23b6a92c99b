#include "fresnel/cli/age.hpp"

#include <gtest/gtest.h>

namespace fresnel::cli {
namespace {

using namespace std::chrono_literals;

TEST(HumanDuration, IsKubectls) {
  const std::pair<std::chrono::seconds, const char*> cases[] = {
      {-5s, "<invalid>"},  {-1s, "0s"},       {0s, "0s"},           {119s, "119s"},        {120s, "2m"},
      {190s, "3m10s"},     {600s, "10m"},     {179min, "179m"},     {180min, "3h"},        {302min, "5h2m"},
      {8h, "8h"},          {47h, "47h"},      {48h, "2d"},          {51h, "2d3h"},         {24h * 8, "8d"},
      {24h * 729, "729d"}, {24h * 730, "2y"}, {24h * 760, "2y30d"}, {24h * 365 * 8, "8y"}, {24h * 365 * 20, "20y"}};
  for (const auto& [age, text] : cases) EXPECT_EQ(human_duration(age), text);
}

TEST(ParseTimestamp, ReadsUtcTimesOnly) {
  EXPECT_EQ(parse_timestamp("1970-01-02T00:00:01Z"), WallTime(86401s));
  EXPECT_EQ(parse_timestamp("1970-01-02T00:00:01.250Z"), WallTime(86401s));
  EXPECT_EQ(parse_timestamp("2024-02-29T12:30:00Z"), WallTime(1709209800s));
  for (const char* bad : {"", "2023-02-29T12:30:00Z", "2024-02-29T12:30:00", "2024-02-29 12:30:00Z",
                          "2024-02-29T12:30:00+01:00", "2024-02-29T25:30:00Z", "20x4-02-29T12:30:00Z", "<unknown>"}) {
    EXPECT_FALSE(parse_timestamp(bad)) << bad;
  }
}

}  // namespace
}  // namespace fresnel::cli

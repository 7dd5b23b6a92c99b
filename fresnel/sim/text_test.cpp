// Tests of the layer's small text functions: times, names, JSONPath, base64url.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fresnel/sim/json_path.hpp"
#include "fresnel/sim/names.hpp"
#include "fresnel/sim/testing.hpp"
#include "fresnel/sim/timestamp.hpp"

namespace fresnel::sim {
namespace {

TEST(TimestampTest, ReadsAndWritesRfc3339) {
  const auto time = from_rfc3339("2026-11-21T13:04:05Z");
  ASSERT_TRUE(time);
  EXPECT_EQ(to_rfc3339(*time), "2026-11-21T13:04:05Z");
  EXPECT_EQ(from_rfc3339("2026-11-21T15:04:05.123456+02:00"), time);
  for (const auto* bad : {"", "2026-11-21", "2026-13-21T13:04:05Z", "2026-11-21T25:04:05Z", "2026-11-21T13:04:05",
                          "2026-11-21T13:04:05.Z", "2026-11-21T13:04:05+2"}) {
    EXPECT_FALSE(from_rfc3339(bad)) << bad;
  }
}

TEST(TimestampTest, AgesReadAsInKubectl) {
  using std::chrono::seconds;
  const std::pair<long, const char*> cases[] = {
      {-5, "<invalid>"}, {-1, "0s"},       {0, "0s"},           {119, "119s"},     {120, "2m"},
      {150, "2m30s"},    {599, "9m59s"},   {600, "10m"},        {10799, "179m"},   {10800, "3h"},
      {11100, "3h5m"},   {28800, "8h"},    {172799, "47h"},     {172800, "2d"},    {180000, "2d2h"},
      {691200, "8d"},    {63072000, "2y"}, {66000000, "2y33d"}, {252288000, "8y"},
  };
  for (const auto& [age, text] : cases) EXPECT_EQ(human_duration(seconds(age)), text) << age;
  const auto now = *from_rfc3339("2026-11-21T13:04:05Z");
  EXPECT_EQ(age_of("2026-11-21T13:04:00Z", now), "5s");
  EXPECT_EQ(age_of("", now), "<unknown>");
}

TEST(NamesTest, Subdomains) {
  for (const auto* good : {"a", "a-b.c", "1.2.3"}) EXPECT_FALSE(check_dns_subdomain(good)) << good;
  for (const auto* bad : {"", "A", "a_b", "-a", "a-", "a..b", ".a"}) EXPECT_TRUE(check_dns_subdomain(bad)) << bad;
  EXPECT_TRUE(check_dns_label("a.b"));
  EXPECT_FALSE(check_dns_label("a-b"));
}

TEST(NamesTest, Labels) {
  for (const auto* good : {"app", "a.b/c_D", "A"}) EXPECT_FALSE(check_label_key(good)) << good;
  for (const auto* bad : {"", "/a", "A/b", "a/", "-a"}) EXPECT_TRUE(check_label_key(bad)) << bad;
  EXPECT_FALSE(check_label_value(""));
  EXPECT_TRUE(check_label_value("a b"));
  EXPECT_TRUE(check_label_value(std::string(64, 'a')));
}

TEST(JsonPathTest, WalksAsPrinterColumnsNeed) {
  const auto object = testing::object_of(R"({"a":{"b":[1,2],"x.y":"dot"},"c":[{"type":"Ready","status":"True"},
                                             {"type":"Other","status":"False"}]})");
  const auto found = [&](std::string_view path) {
    std::vector<std::string> all;
    for (const auto* value : select(object, path)) all.push_back(json::serialize(*value));
    return all;
  };
  using ::testing::ElementsAre;
  using ::testing::IsEmpty;
  EXPECT_THAT(found(".a.b[1]"), ElementsAre("2"));
  EXPECT_THAT(found(".a.b[*]"), ElementsAre("1", "2"));
  EXPECT_THAT(found(".a['x.y']"), ElementsAre("\"dot\""));
  EXPECT_THAT(found(R"(.a.x\.y)"), ElementsAre("\"dot\""));
  EXPECT_THAT(found("['a'].b[0]"), ElementsAre("1"));
  EXPECT_THAT(found(R"(.c[?(@.type=="Ready")].status)"), ElementsAre("\"True\""));
  EXPECT_THAT(found(R"(.c[?(@.type == 'None')].status)"), IsEmpty());
  for (const auto* broken : {".none", ".a.b[7]", ".a.b[", ".a[?(", "[0]", ".a.b[x]", ".c[?]"}) {
    EXPECT_THAT(found(broken), IsEmpty()) << broken;
  }
}

}  // namespace
}  // namespace fresnel::sim

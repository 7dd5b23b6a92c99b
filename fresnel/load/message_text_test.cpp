#include "fresnel/load/message_text.hpp"

#include <gtest/gtest.h>

namespace fresnel::load {
namespace {

TEST(MessageText, TheFirstUnescapedTypeCounts) {
  EXPECT_EQ(kind_of(R"({"clusterId":"a","type":"DATA","data":"{\"type\":\"ERROR\"}"})"), MessageKind::data);
  EXPECT_EQ(kind_of(R"({"clusterId":"a","data":"{\"type\":\"ADDED\"}","type":"COMPLETE"})"), MessageKind::complete);
  EXPECT_EQ(kind_of(R"({"data":"{\"state\":\"connected\"}","type":"STATUS"})"), MessageKind::status);
  EXPECT_EQ(kind_of(R"({"data":"{\"error\":\"no\"}","type":"ERROR"})"), MessageKind::error);
  EXPECT_EQ(kind_of("anything else"), MessageKind::data);
}

TEST(MessageText, FindsTheTimeOfWritingEscapedOrNot) {
  EXPECT_EQ(written_at(R"({"annotations":{"bench.fresnel.dev/written-at":"1732199000123456789"}})"),
            1732199000123456789u);
  EXPECT_EQ(written_at(R"({"data":"{\"annotations\":{\"bench.fresnel.dev/written-at\":\"42\"}}"})"), 42u);
}

TEST(MessageText, DoesNotGuessATime) {
  EXPECT_FALSE(written_at("{}"));
  EXPECT_FALSE(written_at(R"("bench.fresnel.dev/written-at":"17)"));  // cut
  EXPECT_FALSE(written_at(R"("bench.fresnel.dev/written-at":"","other":"17")"));
  EXPECT_FALSE(written_at(R"("bench.fresnel.dev/written-at":"99999999999999999999999")"));
}

TEST(MessageText, ARequestCarriesTheQuery) {
  EXPECT_EQ(request_message("prod \"a\"", "/api/v1/pods"),
            R"({"clusterId":"prod \"a\"","path":"/api/v1/pods","query":"watch=1","userId":"","type":"REQUEST"})");
  EXPECT_EQ(request_message("c", "/api/v1/pods?labelSelector=app%3Dweb"),
            R"({"clusterId":"c","path":"/api/v1/pods","query":"watch=1&labelSelector=app%3Dweb","userId":"",)"
            R"("type":"REQUEST"})");
}

}  // namespace
}  // namespace fresnel::load

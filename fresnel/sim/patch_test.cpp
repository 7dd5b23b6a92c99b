#include "fresnel/sim/patch.hpp"

#include <gtest/gtest.h>

#include "fresnel/sim/testing.hpp"

namespace fresnel::sim {
namespace {

using testing::object_of;

json::object merged(std::string_view target, std::string_view patch) {
  auto object = object_of(target);
  apply_merge_patch(object, object_of(patch));
  return object;
}

json::object strategic(std::string_view target, std::string_view patch) {
  auto object = object_of(target);
  apply_strategic_merge_patch(object, object_of(patch));
  return object;
}

// The examples of RFC 7396, appendix A, that begin with an object.
TEST(MergePatchTest, RfcExamples) {
  EXPECT_EQ(merged(R"({"a":"b"})", R"({"a":"c"})"), object_of(R"({"a":"c"})"));
  EXPECT_EQ(merged(R"({"a":"b"})", R"({"b":"c"})"), object_of(R"({"a":"b","b":"c"})"));
  EXPECT_EQ(merged(R"({"a":"b","b":"c"})", R"({"a":null})"), object_of(R"({"b":"c"})"));
  EXPECT_EQ(merged(R"({"a":["b"]})", R"({"a":"c"})"), object_of(R"({"a":"c"})"));
  EXPECT_EQ(merged(R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})"), object_of(R"({"a":{"b":"d"}})"));
  EXPECT_EQ(merged(R"({"a":[{"b":"c"}]})", R"({"a":[1]})"), object_of(R"({"a":[1]})"));
  EXPECT_EQ(merged(R"({"e":null})", R"({"a":1})"), object_of(R"({"e":null,"a":1})"));
  EXPECT_EQ(merged(R"({})", R"({"a":{"bb":{"ccc":null}}})"), object_of(R"({"a":{"bb":{}}})"));
}

TEST(StrategicMergePatchTest, MergesListsByTheirKeys) {
  EXPECT_EQ(strategic(R"({"spec":{"containers":[{"name":"a","image":"1","tty":true},{"name":"b"}]}})",
                      R"({"spec":{"containers":[{"name":"a","image":"2"},{"name":"c"}]}})"),
            object_of(R"({"spec":{"containers":[{"name":"a","image":"2","tty":true},{"name":"b"},{"name":"c"}]}})"));
  EXPECT_EQ(strategic(R"({"status":{"conditions":[{"type":"Ready","status":"False"}]}})",
                      R"({"status":{"conditions":[{"type":"Ready","status":"True"}]}})"),
            object_of(R"({"status":{"conditions":[{"type":"Ready","status":"True"}]}})"));
  EXPECT_EQ(strategic(R"({"ports":[{"port":80,"name":"a"}]})", R"({"ports":[{"port":80,"name":"b"},{"port":81}]})"),
            object_of(R"({"ports":[{"port":80,"name":"b"},{"port":81}]})"));
}

TEST(StrategicMergePatchTest, FollowsDirectives) {
  EXPECT_EQ(
      strategic(R"({"containers":[{"name":"a"},{"name":"b"}]})", R"({"containers":[{"name":"a","$patch":"delete"}]})"),
      object_of(R"({"containers":[{"name":"b"}]})"));
  EXPECT_EQ(strategic(R"({"containers":[{"name":"a"}]})", R"({"containers":[{"$patch":"replace"},{"name":"b"}]})"),
            object_of(R"({"containers":[{"name":"b"}]})"));
  EXPECT_EQ(strategic(R"({"data":{"a":"1"}})", R"({"data":{"$patch":"replace","b":"2"}})"),
            object_of(R"({"data":{"b":"2"}})"));
  EXPECT_EQ(strategic(R"({"data":{"a":"1"},"x":1})", R"({"data":{"$patch":"delete"}})"), object_of(R"({"x":1})"));
  EXPECT_EQ(strategic(R"({"finalizers":["a"]})", R"({"finalizers":["b"],"$setElementOrder/finalizers":["b"]})"),
            object_of(R"({"finalizers":["b"]})"));
}

}  // namespace
}  // namespace fresnel::sim

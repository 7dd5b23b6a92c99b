#include "fresnel/sim/selector.hpp"

#include <gtest/gtest.h>

#include "fresnel/sim/testing.hpp"

namespace fresnel::sim {
namespace {

ObjectPtr pod_with(json::object labels) {
  static const ResourceTypes kTypes;
  return Object::make(kTypes.named("pods"),
                      {{"metadata", json::object{{"name", "p"}, {"namespace", "d"}, {"labels", std::move(labels)}}},
                       {"spec", json::object{{"nodeName", "n1"}}},
                       {"status", json::object{{"phase", "Running"}}}},
                      1);
}

struct LabelCase {
  std::string selector;
  bool matches;
};

class LabelSelectorTest : public ::testing::TestWithParam<LabelCase> {};

TEST_P(LabelSelectorTest, Matches) {
  const auto object = pod_with({{"app", "web"}, {"tier", "2"}, {"empty", ""}});
  const auto selector = LabelSelector::parse(GetParam().selector);
  ASSERT_TRUE(selector) << selector.error().message;
  EXPECT_EQ(selector->matches(*object), GetParam().matches) << GetParam().selector;
}

INSTANTIATE_TEST_SUITE_P(All, LabelSelectorTest,
                         ::testing::Values(LabelCase{"", true}, LabelCase{"app=web", true}, LabelCase{"app==web", true},
                                           LabelCase{"app = web , tier=2", true}, LabelCase{"app=db", false},
                                           LabelCase{"app!=db", true}, LabelCase{"app!=web", false},
                                           LabelCase{"none!=x", true}, LabelCase{"app", true}, LabelCase{"none", false},
                                           LabelCase{"!none", true}, LabelCase{"!app", false},
                                           LabelCase{"app in (db, web)", true}, LabelCase{"app in (db)", false},
                                           LabelCase{"app notin (db)", true}, LabelCase{"app notin (web,db)", false},
                                           LabelCase{"none notin (x)", true}, LabelCase{"tier>1", true},
                                           LabelCase{"tier<2", false}, LabelCase{"empty=", true},
                                           LabelCase{"app=", false}, LabelCase{"app=web,none", false}));

// Each message is kube-apiserver 1.20.2's.
TEST(LabelSelectorErrors, AreTheRealServers) {
  const std::pair<std::string, std::string> cases[] = {
      {"app===x", "unable to parse requirement: found '=', expected: identifier"},
      {"a b", "unable to parse requirement: found 'b', expected: '=', '!=', '==', 'in', notin'"},
      {"a in", "unable to parse requirement: found '' expected: '('"},
      {"a in (b", "unable to parse requirement: found '', expected: ',' or ')'"},
      {"=x", "found '=', expected: !, identifier, or 'end of string'"},
      {"a=b=c", "found '=', expected: ',' or 'end of string'"},
      {"a,,b", "found ',', expected: identifier after ','"},
      {"a>x", "unable to parse requirement: for 'Gt', 'Lt' operators, the value must be an integer"},
  };
  for (const auto& [text, message] : cases) {
    const auto selector = LabelSelector::parse(text);
    ASSERT_FALSE(selector) << text;
    EXPECT_EQ(selector.error().code, 400);
    EXPECT_EQ(selector.error().message, message) << text;
  }
  EXPECT_NE(LabelSelector::parse("-a=1").error().message.find("invalid label key \"-a\": name part must"),
            std::string::npos);
  EXPECT_NE(LabelSelector::parse("a=-b").error().message.find("invalid label value: \"-b\": at key: \"a\": a valid"),
            std::string::npos);
}

TEST(FieldSelectorTest, ComparesWhatTheTypeHas) {
  const ResourceTypes types;
  const auto pods = types.named("pods");
  const auto object = pod_with({});
  const auto matches = [&](std::string_view text) {
    return FieldSelector::parse(*pods, text).value().matches(*object);
  };
  EXPECT_TRUE(matches(""));
  EXPECT_TRUE(matches("metadata.name=p"));
  EXPECT_TRUE(matches("metadata.name==p,metadata.namespace=d"));
  EXPECT_FALSE(matches("metadata.name!=p"));
  EXPECT_TRUE(matches("spec.nodeName=n1,status.phase!=Pending"));
  EXPECT_FALSE(matches("spec.nodeName="));
  EXPECT_EQ(FieldSelector::parse(*pods, "metadata.name=p").value().name(), "p");
}

TEST(FieldSelectorTest, RefusesWhatItDoesNotKnow) {
  const ResourceTypes types;
  EXPECT_EQ(FieldSelector::parse(*types.named("pods"), "spec.foo=1").error().message,
            "field label not supported: spec.foo");
  EXPECT_EQ(FieldSelector::parse(*types.named("configmaps"), "foo.bar=x").error().message,
            "\"foo.bar\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"");
  EXPECT_EQ(FieldSelector::parse(*types.named("pods"), "foo").error().message,
            "invalid selector: 'foo'; can't understand 'foo'");
}

TEST(FieldSelectorTest, KnowsEventsAndNodes) {
  const ResourceTypes types;
  const auto events = types.named("events");
  const auto event =
      Object::make(events, testing::object_of(R"({"metadata":{"name":"e"},"type":"Normal","involvedObject":
                                    {"kind":"Pod","name":"p1"},"source":{"component":"kubelet"}})"),
                   1);
  EXPECT_TRUE(FieldSelector::parse(*events, "involvedObject.name=p1,involvedObject.kind=Pod,type=Normal,source=kubelet")
                  .value()
                  .matches(*event));
  const auto node = Object::make(types.named("nodes"), testing::object_of(R"({"metadata":{"name":"n"},"spec":{}})"), 1);
  EXPECT_TRUE(FieldSelector::parse(node->type(), "spec.unschedulable=false").value().matches(*node));
}

}  // namespace
}  // namespace fresnel::sim

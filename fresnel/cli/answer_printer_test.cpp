#include "fresnel/cli/answer_printer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fresnel::cli {
namespace {

using testing::HasSubstr;

constexpr WallTime kNow{std::chrono::seconds(1'000'000)};

const kube::ApiResource kPods{"", "v1", "pods", "pod", "Pod", true, {"list"}, {"po"}};

std::string table(const std::string& name) {
  return R"({"kind":"Table","columnDefinitions":[{"name":"Name"},{"name":"Ready"},{"name":"IP","priority":1},{"name":"Age"}],
    "rows":[{"cells":[")" +
         name + R"(","1/1","10.0.0.1","5m"],"object":{"metadata":{"name":")" + name + R"(","namespace":"shop"}}}]})";
}

std::string list(const std::string& name) {
  return R"({"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"7"},"items":[{"metadata":{"name":")" +
         name + R"("}}]})";
}

Printed print(OutputFormat output, const std::vector<ClusterAnswer>& answers, bool all_namespaces = false,
              const std::string& name = {}) {
  ResourceArgs args;
  args.resource = "pods";
  args.name = name;
  args.output = output;
  args.all_namespaces = all_namespaces;
  return print_answers(args, answers, kNow);
}

TEST(PrintAnswers, OneClustersTableIsKubectls) {
  EXPECT_EQ(print(OutputFormat::table, {{"a", kPods, "shop", table("web")}}).out,
            "NAME   READY   AGE\nweb    1/1     5m\n");
  EXPECT_EQ(print(OutputFormat::wide, {{"a", kPods, "shop", table("web")}}).out,
            "NAME   READY   IP         AGE\nweb    1/1     10.0.0.1   5m\n");
  EXPECT_EQ(print(OutputFormat::table, {{"a", kPods, "", table("web")}}, true).out,
            "NAMESPACE   NAME   READY   AGE\nshop        web    1/1     5m\n");
}

TEST(PrintAnswers, SeveralClustersShareATable) {
  const auto printed =
      print(OutputFormat::table, {{"a", kPods, "", table("web")}, {"kind-b", kPods, "", table("db")}}, true);
  EXPECT_EQ(printed.out,
            "CLUSTER   NAMESPACE   NAME   READY   AGE\n"
            "a         shop        web    1/1     5m\n"
            "kind-b    shop        db     1/1     5m\n");
  EXPECT_EQ(printed.exit_code, 0);
}

TEST(PrintAnswers, AFailedClusterDoesNotHideTheOthers) {
  const auto printed = print(OutputFormat::table, {{"a", kPods, "", Error{Errc::forbidden, "no", 403, "Forbidden"}},
                                                   {"b", kPods, "", table("db")}});
  EXPECT_THAT(printed.out, HasSubstr("db"));
  EXPECT_EQ(printed.err, "a: Error from server (Forbidden): no\n");
  EXPECT_EQ(printed.exit_code, 1);
}

TEST(PrintAnswers, ErrorsOfOneClusterAreKubectls) {
  const auto printed =
      print(OutputFormat::json, {{"a", kPods, "", Error{Errc::not_found, "pods \"x\" not found", 404, "NotFound"}}},
            false, "x");
  EXPECT_EQ(printed.out, "");
  EXPECT_EQ(printed.err, "Error from server (NotFound): pods \"x\" not found\n");
  EXPECT_EQ(printed.exit_code, 1);
}

TEST(PrintAnswers, JsonIsAListWhoseItemsKnowTheirKind) {
  EXPECT_EQ(print(OutputFormat::json, {{"a", kPods, "", list("web")}}).out, R"({
    "apiVersion": "v1",
    "items": [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": "web"
            }
        }
    ],
    "kind": "List",
    "metadata": {
        "resourceVersion": ""
    }
}
)");
}

TEST(PrintAnswers, ANamedObjectIsPrintedAlone) {
  const std::string object = R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"web"}})";
  EXPECT_EQ(print(OutputFormat::yaml, {{"a", kPods, "", object}}, false, "web").out,
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\n");
}

TEST(PrintAnswers, ManagedFieldsAreShownOnRequestOnly) {
  const std::string object = R"({"metadata":{"managedFields":[{"manager":"x"}],"name":"web"}})";
  EXPECT_EQ(print(OutputFormat::yaml, {{"a", kPods, "", object}}, false, "web").out, "metadata:\n  name: web\n");
  ResourceArgs args;
  args.name = "web";
  args.output = OutputFormat::yaml;
  args.show_managed_fields = true;
  EXPECT_THAT(print_answers(args, {{"a", kPods, "", object}}, kNow).out, HasSubstr("manager: x"));
}

TEST(PrintAnswers, ObjectsOfSeveralClustersSayTheirCluster) {
  const auto printed = print(OutputFormat::yaml, {{"a", kPods, "", list("web")}, {"b", kPods, "", list("db")}});
  EXPECT_THAT(printed.out, HasSubstr("items:\n  - cluster: a\n    object:\n      apiVersion: v1\n"));
  EXPECT_EQ(print(OutputFormat::name, {{"a", kPods, "", list("web")}, {"b", kPods, "", list("db")}}).out,
            "a pod/web\nb pod/db\n");
}

TEST(PrintAnswers, NamesAreKubectls) {
  EXPECT_EQ(print(OutputFormat::name, {{"a", kPods, "", list("web")}}).out, "pod/web\n");
}

TEST(PrintAnswers, NothingFoundIsSaidOnStandardErrorAndIsNoError) {
  const std::string empty = R"({"kind":"Table","columnDefinitions":[{"name":"Name"}],"rows":[]})";
  EXPECT_EQ(print(OutputFormat::table, {{"a", kPods, "shop", empty}}).err, "No resources found in shop namespace.\n");
  EXPECT_EQ(print(OutputFormat::table, {{"a", kPods, "", empty}}, true).err, "No resources found\n");
  EXPECT_EQ(print(OutputFormat::table, {{"a", kPods, "shop", empty}}).exit_code, 0);
  const std::string none = R"({"kind":"PodList","apiVersion":"v1","items":[]})";
  EXPECT_THAT(print(OutputFormat::json, {{"a", kPods, "shop", none}}).out, HasSubstr("\"items\": [],"));
}

TEST(PrintAnswers, AnAnswerThatMakesNoSenseIsAnError) {
  EXPECT_EQ(print(OutputFormat::table, {{"a", kPods, "", std::string("<html>")}}).exit_code, 1);
  EXPECT_EQ(print(OutputFormat::json, {{"a", kPods, "", std::string("<html>")}}).exit_code, 1);
}

}  // namespace
}  // namespace fresnel::cli

#include "fresnel/sim/resources.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fresnel/sim/testing.hpp"

namespace fresnel::sim {
namespace {

using testing::config_map;
using testing::Core;
using ::testing::ElementsAre;
using testing::fixed_options;
using ::testing::HasSubstr;
using testing::object_of;
using testing::pod;

// The changes of one type, as "ADDED name".
class Recorder {
 public:
  Recorder(Store& store, const ResourceType& type) : watch_(store.watch(type, store.revision(), [] {})) {}
  std::vector<std::string> take() {
    std::vector<std::string> all;
    while (const auto* event = watch_->next()) {
      all.push_back(std::string(to_string(event->type)) + " " + event->object->name());
    }
    return all;
  }

 private:
  std::unique_ptr<Store::Watch> watch_;
};

TEST(ResourcesTest, StartsWithTheSystemsNamespaces) {
  Core core;
  std::vector<std::string> names;
  for (const auto& ns : core.store.list(*core.type("namespaces"), "")) names.push_back(ns->name());
  EXPECT_THAT(names, ElementsAre("default", "kube-node-lease", "kube-public", "kube-system"));
}

TEST(ResourcesTest, CreationGivesIdentityAndIgnoresTheClientsOwn) {
  Core core;
  auto object = config_map("a");
  object["metadata"].as_object()["uid"] = "mine";
  object["metadata"].as_object()["deletionTimestamp"] = "2020-01-01T00:00:00Z";
  const auto value = core.create("configmaps", object)->parse();
  EXPECT_EQ(string_at(value, {"metadata", "namespace"}), "default");
  EXPECT_EQ(string_at(value, {"metadata", "creationTimestamp"}), "2026-11-21T13:00:00Z");
  EXPECT_EQ(find(value, {"metadata", "deletionTimestamp"}), nullptr);
  const auto uid = string_at(value, {"metadata", "uid"});
  EXPECT_THAT(std::string(uid), ::testing::MatchesRegex("[0-9a-f-]+"));
  EXPECT_EQ(uid.size(), 36u);
  EXPECT_EQ(uid[14], '4');
}

TEST(ResourcesTest, GeneratedNamesDiffer) {
  Core core;
  json::object object{{"metadata", json::object{{"generateName", "gen-"}}}};
  const auto first = core.create("configmaps", object), second = core.create("configmaps", object);
  EXPECT_EQ(first->name().size(), 9u);
  EXPECT_EQ(first->name().substr(0, 4), "gen-");
  EXPECT_NE(first->name(), second->name());
}

struct RefusedCreation {
  std::string type;
  std::string object;
  int code;
  std::string message;
};

class RefusedCreationTest : public ::testing::TestWithParam<RefusedCreation> {};

TEST_P(RefusedCreationTest, SaysWhatTheRealServerSays) {
  Core core;
  core.create("configmaps", config_map("taken"));
  const auto& test = GetParam();
  const auto before = core.store.revision();
  const auto created = core.resources.create(core.type(test.type), "default", object_of(test.object));
  ASSERT_FALSE(created);
  EXPECT_EQ(created.error().code, test.code);
  EXPECT_THAT(created.error().message, HasSubstr(test.message));
  EXPECT_EQ(core.store.revision(), before);
}

INSTANTIATE_TEST_SUITE_P(
    All, RefusedCreationTest,
    ::testing::Values(
        RefusedCreation{"configmaps", R"({"metadata":{"name":"taken"}})", 409, "configmaps \"taken\" already exists"},
        RefusedCreation{"configmaps", R"({"metadata":{}})", 422,
                        "ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required"},
        RefusedCreation{"configmaps", R"({"metadata":{"name":"A_b"}})", 422,
                        "ConfigMap \"A_b\" is invalid: metadata.name: Invalid value: \"A_b\": a lowercase RFC 1123"},
        RefusedCreation{"configmaps", R"({"metadata":{"name":"q","namespace":"other"}})", 400,
                        "the namespace of the provided object does not match the namespace sent on the request"},
        RefusedCreation{"configmaps", R"({"kind":"Secret","apiVersion":"v1","metadata":{"name":"q"}})", 400,
                        "Secret in version \"v1\" cannot be handled as a ConfigMap"},
        RefusedCreation{"configmaps", R"({"kind":"ConfigMap","apiVersion":"v2","metadata":{"name":"q"}})", 400,
                        "does not match the expected API version (v1)"},
        RefusedCreation{"configmaps", R"({"metadata":{"name":"q","resourceVersion":"12"}})", 500,
                        "resourceVersion should not be set on objects to be created"},
        RefusedCreation{"pods", R"({"metadata":{"name":"p3"},"spec":{"containers":[]}})", 422,
                        "Pod \"p3\" is invalid: spec.containers: Required value"},
        RefusedCreation{"deployments.apps", R"({"metadata":{"name":"d"}})", 422,
                        "Deployment.apps \"d\" is invalid: [spec.selector: Required value, "
                        "spec.template.spec.containers: Required value]"},
        RefusedCreation{"configmaps", R"({"metadata":{"name":"q","labels":{"a":"b c"}}})", 422, "metadata.labels"}));

TEST(ResourcesTest, ANamespaceMustExistAndLive) {
  auto options = fixed_options();
  options.finish_deletions = false;
  Core core(options);
  const auto missing = core.resources.create(core.type("configmaps"), "nope", config_map("a"));
  EXPECT_EQ(missing.error().message, "namespaces \"nope\" not found");
  core.create("namespaces", {{"metadata", json::object{{"name", "n1"}}}});
  ASSERT_TRUE(core.resources.remove(core.type("namespaces"), "", "n1"));
  const auto dying = core.resources.create(core.type("configmaps"), "n1", config_map("a"));
  EXPECT_EQ(dying.error().code, 403);
  EXPECT_EQ(
      dying.error().message,
      "configmaps \"a\" is forbidden: unable to create new content in namespace n1 because it is being terminated");
}

TEST(ResourcesTest, UpdateWithAnOldVersionConflicts) {
  Core core;
  const auto created = core.create("configmaps", config_map("a"));
  auto object = created->parse();
  object["data"] = json::object{{"k", "v"}};
  ASSERT_TRUE(core.resources.update(core.type("configmaps"), "default", "a", object));
  const auto again = core.resources.update(core.type("configmaps"), "default", "a", object);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, 409);
  EXPECT_EQ(again.error().message,
            "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your "
            "changes to the latest version and try again");
  object["metadata"].as_object().erase("resourceVersion");
  object["data"] = json::object{{"k", "w"}};
  EXPECT_TRUE(core.resources.update(core.type("configmaps"), "default", "a", object)) << "no version: unconditional";
}

TEST(ResourcesTest, AWriteThatChangesNothingTakesNoRevision) {
  Core core;
  const auto created = core.create("configmaps", config_map("a"));
  const auto updated = core.resources.update(core.type("configmaps"), "default", "a", config_map("a")).value();
  EXPECT_EQ(updated->revision(), created->revision());
  EXPECT_EQ(core.store.revision(), created->revision());
}

TEST(ResourcesTest, IdentitySurvivesAnUpdate) {
  Core core;
  const auto created = core.create("configmaps", config_map("a"));
  const auto updated =
      core.resources.update(core.type("configmaps"), "default", "a", config_map("a", {{"x", "y"}})).value();
  EXPECT_EQ(updated->uid(), created->uid());
  EXPECT_EQ(string_at(updated->parse(), {"metadata", "creationTimestamp"}), "2026-11-21T13:00:00Z");
  const auto other = core.resources.update(core.type("configmaps"), "default", "a", config_map("b"));
  EXPECT_EQ(other.error().message, "the name of the object (b) does not match the name on the URL (a)");
}

TEST(ResourcesTest, StatusAndSpecAreWrittenApart) {
  Core core;
  auto object = pod("p");
  object["status"] = json::object{{"phase", "Running"}};
  EXPECT_EQ(string_at(core.create("pods", object)->parse(), {"status", "phase"}), "Pending");
  const json::object patch{{"status", json::object{{"phase", "Running"}}}, {"spec", json::object{{"nodeName", "n1"}}}};
  const auto pods = core.type("pods");
  auto value = core.resources.patch(pods, "default", "p", patch, {.part = Part::status}).value()->parse();
  EXPECT_EQ(string_at(value, {"status", "phase"}), "Running");
  EXPECT_EQ(string_at(value, {"spec", "nodeName"}), "");
  value = core.resources.patch(pods, "default", "p", object_of(R"({"status":{"phase":"Failed"}})")).value()->parse();
  EXPECT_EQ(string_at(value, {"status", "phase"}), "Running");
  const auto kept = core.resources.create(pods, "default",
                                          [] {
                                            auto with_status = pod("q");
                                            with_status["status"] = json::object{{"phase", "Running"}};
                                            return with_status;
                                          }(),
                                          {.keep_status = true});
  EXPECT_EQ(kept.value()->field("status.phase"), "Running");
}

TEST(ResourcesTest, GenerationCountsChangesOfTheSpec) {
  Core core;
  const auto deployments = core.type("deployments.apps");
  auto object = object_of(R"({"metadata":{"name":"d"},"spec":{"replicas":1,"selector":{},"template":{"spec":
                              {"containers":[{"name":"c"}]}}}})");
  core.create("deployments.apps", object);
  const auto generation = [&](std::string_view patch, Part part = Part::main) {
    const auto patched = core.resources.patch(deployments, "default", "d", object_of(patch), {.part = part}).value();
    return int_at(patched->parse(), {"metadata", "generation"});
  };
  EXPECT_EQ(generation(R"({"metadata":{"labels":{"a":"b"}}})"), 1);
  EXPECT_EQ(generation(R"({"metadata":{"annotations":{"a":"b"}}})"), 2);
  EXPECT_EQ(generation(R"({"spec":{"replicas":3}})"), 3);
  EXPECT_EQ(generation(R"({"status":{"replicas":3}})", Part::status), 3);
}

TEST(ResourcesTest, ADryRunStoresNothing) {
  Core core;
  const auto before = core.store.revision();
  const auto maps = core.type("configmaps");
  const auto created = core.resources.create(maps, "default", config_map("a"), {.dry_run = true}).value();
  EXPECT_EQ(find(created->parse(), {"metadata", "resourceVersion"}), nullptr);
  EXPECT_EQ(core.store.revision(), before);
  core.create("configmaps", config_map("a"));
  ASSERT_TRUE(core.resources.remove(maps, "default", "a", {.dry_run = true}));
  EXPECT_NE(core.store.get(*maps, "default", "a"), nullptr);
}

TEST(DeletionTest, FinalizersHoldAnObject) {
  Core core;
  auto object = config_map("a");
  object["metadata"].as_object()["finalizers"] = json::array{"x.y/z"};
  core.create("configmaps", object);
  const auto maps = core.type("configmaps");
  Recorder recorder(core.store, *maps);
  EXPECT_FALSE(core.resources.remove(maps, "default", "a").value().gone);
  EXPECT_THAT(recorder.take(), ElementsAre("MODIFIED a"));
  const auto revision = core.store.revision();
  EXPECT_FALSE(core.resources.remove(maps, "default", "a").value().gone);
  EXPECT_EQ(core.store.revision(), revision) << "deleting it again changes nothing";
  ASSERT_TRUE(core.resources.patch(maps, "default", "a", object_of(R"({"metadata":{"finalizers":null}})")));
  EXPECT_THAT(recorder.take(), ElementsAre("DELETED a"));
}

TEST(DeletionTest, PreconditionsAreChecked) {
  Core core;
  const auto created = core.create("configmaps", config_map("a"));
  const auto maps = core.type("configmaps");
  const auto wrong = core.resources.remove(maps, "default", "a", {.uid = "abc"});
  EXPECT_EQ(wrong.error().code, 409);
  EXPECT_THAT(wrong.error().message,
              HasSubstr("on ConfigMap \"a\": the UID in the precondition (abc) does not match the UID in record ("));
  EXPECT_FALSE(core.resources.remove(maps, "default", "a", {.resource_version = "1"}));
  EXPECT_TRUE(core.resources.remove(maps, "default", "a", {.uid = created->uid()}));
  EXPECT_EQ(core.resources.remove(maps, "default", "a").error().code, 404);
}

TEST(DeletionTest, AnUnscheduledPodGoesAtOnce) {
  Core core;
  core.create("pods", pod("p"));
  Recorder recorder(core.store, *core.type("pods"));
  const auto deleted = core.resources.remove(core.type("pods"), "default", "p").value();
  EXPECT_THAT(recorder.take(), ElementsAre("MODIFIED p", "DELETED p"));
  EXPECT_EQ(int_at(deleted.object->parse(), {"metadata", "deletionGracePeriodSeconds"}, -1), 0);
}

TEST(DeletionTest, AScheduledPodWaitsForItsKubelet) {
  auto options = fixed_options();
  options.finish_deletions = false;
  Core core(options);
  core.create("pods", pod("p", "n1"));
  const auto pods = core.type("pods");
  Recorder recorder(core.store, *pods);
  const auto deleted = core.resources.remove(pods, "default", "p").value();
  EXPECT_FALSE(deleted.gone);
  EXPECT_EQ(string_at(deleted.object->parse(), {"metadata", "deletionTimestamp"}), "2026-11-21T13:00:30Z");
  EXPECT_THAT(recorder.take(), ElementsAre("MODIFIED p"));
  EXPECT_TRUE(core.resources.remove(pods, "default", "p", {.grace_period_seconds = 0}).value().gone);
  EXPECT_THAT(recorder.take(), ElementsAre("MODIFIED p", "DELETED p"));
}

TEST(DeletionTest, TheKubeletsPartCanBePlayed) {
  Core core;
  core.create("pods", pod("p", "n1"));
  Recorder recorder(core.store, *core.type("pods"));
  ASSERT_TRUE(core.resources.remove(core.type("pods"), "default", "p"));
  EXPECT_THAT(recorder.take(), ElementsAre("MODIFIED p", "MODIFIED p", "DELETED p"));
}

TEST(DeletionTest, ANamespaceTakesItsContentsAlong) {
  Core core;
  core.create("namespaces", {{"metadata", json::object{{"name", "n1"}}}});
  core.create("configmaps", config_map("a"), "n1");
  core.create("pods", pod("p"), "n1");
  core.create("configmaps", config_map("b"));
  ASSERT_TRUE(core.resources.remove(core.type("namespaces"), "", "n1"));
  EXPECT_EQ(core.store.get(*core.type("namespaces"), "", "n1"), nullptr);
  EXPECT_EQ(core.store.count(*core.type("configmaps")), 1u);
  EXPECT_EQ(core.store.count(*core.type("pods")), 0u);
  EXPECT_EQ(core.resources.remove(core.type("namespaces"), "", "default").error().message,
            "namespaces \"default\" is forbidden: this namespace may not be deleted");
}

TEST(DeletionTest, ANamespaceStaysUntilFinalized) {
  auto options = fixed_options();
  options.finish_deletions = false;
  Core core(options);
  const auto namespaces = core.type("namespaces");
  core.create("namespaces", {{"metadata", json::object{{"name", "n1"}}}});
  EXPECT_EQ(core.resources.remove(namespaces, "", "n1").value().object->field("status.phase"), "Terminating");
  EXPECT_NE(core.store.get(*namespaces, "", "n1"), nullptr);
  const auto finalized =
      core.resources.update(namespaces, "", "n1", object_of(R"({"metadata":{"name":"n1"}})"), {.part = Part::finalize});
  ASSERT_TRUE(finalized);
  EXPECT_EQ(core.store.get(*namespaces, "", "n1"), nullptr);
}

TEST(DeletionTest, OfACollectionTakesWhatMatches) {
  Core core;
  core.create("configmaps", config_map("a", {{"app", "x"}}));
  core.create("configmaps", config_map("b"));
  Selector selector{.labels = LabelSelector::parse("app=x").value()};
  const auto removed = core.resources.remove_all(core.type("configmaps"), "default", selector).value();
  ASSERT_EQ(removed.size(), 1u);
  EXPECT_EQ(removed[0]->name(), "a");
  EXPECT_EQ(core.store.count(*core.type("configmaps")), 1u);
}

TEST(CustomResourceTest, ADefinitionMakesAResource) {
  Core core;
  const auto created = core.create("customresourcedefinitions.apiextensions.k8s.io", testing::widget_definition(), "");
  EXPECT_TRUE(find(created->parse(), {"status", "conditions"})->is_null()) << "as the real server answers";
  const auto definition = core.store.get(created->type(), "", created->name())->parse();
  EXPECT_EQ(array_at(definition, {"status", "conditions"}).size(), 2u);
  EXPECT_EQ(string_at(definition, {"spec", "names", "singular"}), "widget");
  const auto widgets = core.resources.types().find("example.com", "v1", "widgets");
  ASSERT_NE(widgets, nullptr);
  EXPECT_EQ(widgets->list_kind, "WidgetList");

  const auto widget = core.create("widgets.example.com", object_of(R"({"apiVersion":"example.com/v1","kind":"Widget",
      "metadata":{"name":"w"},"spec":{"size":3},"status":{"phase":"x"}})"));
  EXPECT_EQ(find(widget->parse(), {"status"}), nullptr);
  EXPECT_EQ(int_at(widget->parse(), {"metadata", "generation"}), 1);
  const auto versionless =
      core.resources.update(widgets, "default", "w", object_of(R"({"metadata":{"name":"w"},"spec":{"size":4}})"));
  EXPECT_EQ(versionless.error().code, 422);
  EXPECT_THAT(versionless.error().message, HasSubstr("metadata.resourceVersion: Invalid value: 0x0"));

  Recorder recorder(core.store, *widgets);
  ASSERT_TRUE(
      core.resources.remove(core.type("customresourcedefinitions.apiextensions.k8s.io"), "", "widgets.example.com"));
  EXPECT_THAT(recorder.take(), ElementsAre("DELETED w"));
  EXPECT_EQ(core.resources.types().find("example.com", "v1", "widgets"), nullptr);
}

TEST(CustomResourceTest, ADefinitionIsChecked) {
  Core core;
  auto definition = testing::widget_definition();
  definition["metadata"].as_object()["name"] = "wrong.example.com";
  const auto created =
      core.resources.create(core.type("customresourcedefinitions.apiextensions.k8s.io"), "", definition);
  EXPECT_EQ(created.error().code, 422);
  definition = testing::widget_definition();
  definition["spec"].as_object()["versions"] = json::array();
  EXPECT_EQ(
      core.resources.create(core.type("customresourcedefinitions.apiextensions.k8s.io"), "", definition).error().code,
      422);
}

}  // namespace
}  // namespace fresnel::sim

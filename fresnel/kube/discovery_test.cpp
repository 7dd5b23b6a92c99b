#include "fresnel/kube/discovery.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fresnel/kube/testing/fake_transport.hpp"

namespace fresnel::kube {
namespace {

using testing::HasSubstr;

constexpr char kCore[] = R"({"kind":"APIResourceList","groupVersion":"v1","resources":[
  {"name":"events","singularName":"","namespaced":true,"kind":"Event","verbs":["get","list","watch"],"shortNames":["ev"]},
  {"name":"namespaces","singularName":"","namespaced":false,"kind":"Namespace","verbs":["get","list","watch"],"shortNames":["ns"]},
  {"name":"pods","singularName":"","namespaced":true,"kind":"Pod","verbs":["get","list","watch"],"shortNames":["po"]},
  {"name":"pods/log","singularName":"","namespaced":true,"kind":"Pod","verbs":["get"]}]})";
constexpr char kGroups[] = R"({"kind":"APIGroupList","groups":[
  {"name":"apps","versions":[{"groupVersion":"apps/v1","version":"v1"}],"preferredVersion":{"groupVersion":"apps/v1","version":"v1"}},
  {"name":"events.k8s.io","versions":[{"version":"v1"}],"preferredVersion":{"version":"v1"}},
  {"name":"batch","versions":[{"version":"v1beta1"},{"version":"v1"}],"preferredVersion":{"version":"v1"}},
  {"name":"stable.example.com","versions":[{"version":"v1"}],"preferredVersion":{"version":"v1"}},
  {"name":"metrics.k8s.io","versions":[{"version":"v1beta1"}],"preferredVersion":{"version":"v1beta1"}}]})";
constexpr char kApps[] = R"({"resources":[
  {"name":"deployments","singularName":"","namespaced":true,"kind":"Deployment","verbs":["list","watch"],"shortNames":["deploy"]},
  {"name":"deployments/scale","namespaced":true,"kind":"Scale","verbs":["get"]}]})";
constexpr char kEvents[] = R"({"resources":[
  {"name":"events","singularName":"","namespaced":true,"kind":"Event","verbs":["list"],"shortNames":["ev"]}]})";
constexpr char kBatch[] = R"({"resources":[
  {"name":"jobs","singularName":"","namespaced":true,"kind":"Job","verbs":["list"]}]})";
constexpr char kBatchBeta[] = R"({"resources":[
  {"name":"jobs","singularName":"","namespaced":true,"kind":"Job","verbs":["list"]},
  {"name":"cronjobs","singularName":"","namespaced":true,"kind":"CronJob","verbs":["list"],"shortNames":["cj"]}]})";
// A custom resource whose short name is another's full name, and whose kind is camel case.
constexpr char kStable[] = R"({"resources":[
  {"name":"cronTabs","singularName":"crontab","namespaced":true,"kind":"CronTab","verbs":["list"],"shortNames":["ct","pods"]}]})";

class DiscoveryTest : public ::testing::Test {
 protected:
  DiscoveryTest() {
    transport_.answer("/api", {200, R"({"kind":"APIVersions","versions":["v1"]})"});
    transport_.answer("/apis", {200, kGroups});
    transport_.answer("/api/v1", {200, kCore});
    transport_.answer("/apis/apps/v1", {200, kApps});
    transport_.answer("/apis/events.k8s.io/v1", {200, kEvents});
    transport_.answer("/apis/batch/v1", {200, kBatch});
    transport_.answer("/apis/batch/v1beta1", {200, kBatchBeta});
    transport_.answer("/apis/stable.example.com/v1", {200, kStable});
    transport_.answer("/apis/metrics.k8s.io/v1beta1", {503, "service unavailable"});
  }

  ResourceCatalog catalog() { return run(discover(client_)).value(); }

  // "group_version/name" of what a name means.
  std::string find(const std::string& name) {
    const auto found = catalog().find(name);
    return found ? found->group_version() + "/" + found->name : "error: " + found.error().message;
  }

  FakeTransport transport_;
  ApiClient client_{transport_, ClusterContext{.name = "c", .server = "http://k"}};
};

TEST_F(DiscoveryTest, PluralSingularShortNameAndKindInAnyCaseMeanTheResource) {
  for (const char* name : {"pods", "pod", "po", "Pod", "PODS", "Po"}) EXPECT_EQ(find(name), "v1/pods") << name;
  for (const char* name : {"deployments", "deployment", "deploy", "Deployment"}) {
    EXPECT_EQ(find(name), "apps/v1/deployments") << name;
  }
  for (const char* name : {"crontabs", "crontab", "ct", "CronTab"}) {
    EXPECT_EQ(find(name), "stable.example.com/v1/cronTabs") << name;
  }
}

TEST_F(DiscoveryTest, AGroupAndAVersionNarrowTheName) {
  EXPECT_EQ(find("deploy.apps"), "apps/v1/deployments");
  EXPECT_EQ(find("deployments.v1.apps"), "apps/v1/deployments");
  EXPECT_EQ(find("jobs.v1beta1.batch"), "batch/v1beta1/jobs");
  EXPECT_EQ(find("crontabs.stable.example.com"), "stable.example.com/v1/cronTabs");
  EXPECT_EQ(find("crontabs.v1.stable.example.com"), "stable.example.com/v1/cronTabs");
  EXPECT_EQ(find("events.events.k8s.io"), "events.k8s.io/v1/events");
  EXPECT_EQ(find("pods.v1."), "v1/pods");
  EXPECT_EQ(find("deploy.app"), "apps/v1/deployments");  // kubectl completes groups
  EXPECT_THAT(find("pods.apps"), HasSubstr("doesn't have a resource type \"pods\""));
  EXPECT_THAT(find("deployments.v2.apps"), HasSubstr("doesn't have"));
}

TEST_F(DiscoveryTest, TheCoreGroupComesFirstAndFullNamesBeatShortOnes) {
  EXPECT_EQ(find("events"), "v1/events");
  EXPECT_EQ(find("ev"), "v1/events");
  EXPECT_EQ(find("pods"), "v1/pods");
}

TEST_F(DiscoveryTest, ThePreferredVersionWinsWhereItHasTheResource) {
  EXPECT_EQ(find("jobs"), "batch/v1/jobs");
  EXPECT_EQ(find("cj"), "batch/v1beta1/cronjobs");
}

TEST_F(DiscoveryTest, UnknownNamesAreKubectlsError) {
  const auto error = ResourceCatalog().find("foo").error();
  EXPECT_EQ(error.code, Errc::not_found);
  EXPECT_EQ(error.message, "the server doesn't have a resource type \"foo\"");
}

TEST_F(DiscoveryTest, AGroupThatFailsIsLeftOutAndNamed) {
  const auto found = catalog();
  ASSERT_EQ(found.errors().size(), 1u);
  EXPECT_EQ(found.errors()[0].group_version, "metrics.k8s.io/v1beta1");
  EXPECT_EQ(found.errors()[0].error.status, 503);
  EXPECT_THAT(found.find("nodemetrics").error().message, HasSubstr("metrics.k8s.io/v1beta1 could not be read"));
}

TEST_F(DiscoveryTest, EveryDocumentIsAskedForOnce) {
  (void)catalog();
  EXPECT_EQ(transport_.requests().size(), 9u);
}

TEST_F(DiscoveryTest, ManyGroupsAreReadTogetherButNotAllAtOnce) {
  std::string groups;
  for (int i = 0; i < 40; ++i) {
    const std::string name = "g" + std::to_string(i);
    groups += (i == 0 ? "" : ",") + (R"({"name":")" + name + R"(","versions":[{"version":"v1"}]})");
    transport_.answer("/apis/" + name + "/v1", {200, R"({"resources":[{"name":"r)" + std::to_string(i) + R"("}]})"});
  }
  transport_.answer("/apis", {200, R"({"groups":[)" + groups + "]}"});
  EXPECT_EQ(find("r39"), "g39/v1/r39");
  EXPECT_EQ(transport_.requests().size(), 43u);
  EXPECT_EQ(transport_.most_at_once(), 12u);
}

TEST_F(DiscoveryTest, WithoutTheRootsNothingIsGuessed) {
  transport_.answer("/apis", {403, "no"});
  EXPECT_EQ(run(discover(client_)).error().code, Errc::forbidden);
  transport_.answer("/apis", {200, "rubbish"});
  EXPECT_EQ(run(discover(client_)).error().code, Errc::protocol);
}

TEST_F(DiscoveryTest, AServerMayHaveTheCoreGroupOnly) {
  transport_.answer("/apis", {404, "no"});
  EXPECT_EQ(find("po"), "v1/pods");
  EXPECT_THAT(find("deploy"), HasSubstr("doesn't have"));
}

TEST_F(DiscoveryTest, BuildsPaths) {
  const auto all = catalog();
  const auto pods = all.find("pods").value();
  EXPECT_EQ(pods.list_path(""), "/api/v1/pods");
  EXPECT_EQ(pods.list_path("shop"), "/api/v1/namespaces/shop/pods");
  EXPECT_EQ(pods.object_path("shop", "a b"), "/api/v1/namespaces/shop/pods/a%20b");
  EXPECT_EQ(pods.qualified_name(), "pods");
  EXPECT_TRUE(pods.can("watch"));
  EXPECT_FALSE(pods.can("delete"));
  const auto namespaces = all.find("ns").value();
  EXPECT_EQ(namespaces.list_path("shop"), "/api/v1/namespaces");
  EXPECT_EQ(namespaces.object_path("shop", "x"), "/api/v1/namespaces/x");
  const auto deployments = all.find("deploy").value();
  EXPECT_EQ(deployments.list_path("shop"), "/apis/apps/v1/namespaces/shop/deployments");
  EXPECT_EQ(deployments.qualified_name(), "deployments.apps");
}

}  // namespace
}  // namespace fresnel::kube

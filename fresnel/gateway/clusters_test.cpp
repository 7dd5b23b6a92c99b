#include "fresnel/gateway/clusters.hpp"

#include <gtest/gtest.h>

namespace fresnel::gateway {
namespace {

kube::ClusterContext context(const std::string& name) {
  kube::ClusterContext c;
  c.name = name;
  c.cluster = name;
  c.server = "https://" + name + ":6443";
  return c;
}

TEST(Clusters, ConfigHasTheFrontendsShape) {
  const Error broken{.code = Errc::invalid_argument, .message = "context bad: no such user"};
  const Clusters clusters({{"good", "good", "https://good:6443", context("good")}, {"bad", "b", "https://b", broken}});
  EXPECT_EQ(
      clusters.config_json(),
      R"({"clusters":[{"name":"good","server":"https://good:6443","auth_type":"","meta_data":{"source":"kubeconfig"}},)"
      R"({"name":"bad","server":"https://b","auth_type":"","meta_data":{"source":"kubeconfig"},)"
      R"("error":"context bad: no such user"}],"isDynamicClusterEnabled":false,"allowKubeconfigChanges":false})");
}

TEST(Clusters, FindSaysWhyNot) {
  const Error broken{.code = Errc::invalid_argument, .message = "context bad: no such user"};
  const Clusters clusters({{"good", "good", "", context("good")}, {"bad", "b", "", broken}});
  EXPECT_EQ(clusters.find("good").value().server, "https://good:6443");
  EXPECT_EQ(clusters.find("bad").error().status, 503);
  EXPECT_EQ(clusters.find("other").error().status, 404);
  EXPECT_EQ(clusters.find("other").error().message, "cluster \"other\" not found");
  EXPECT_TRUE(clusters.contains("bad"));
  EXPECT_FALSE(clusters.contains(""));
}

TEST(Clusters, TheFirstOfANameWins) {
  auto second = context("a");
  second.server = "https://second";
  const auto clusters = Clusters::of({context("a"), second});
  EXPECT_EQ(clusters.entries().size(), 1u);
  EXPECT_EQ(clusters.find("a").value().server, "https://a:6443");
}

}  // namespace
}  // namespace fresnel::gateway

#include "fresnel/cli/targets.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "fresnel/kube/testing/fake_transport.hpp"

namespace fresnel::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kKubeconfig[] = R"(
current-context: b
contexts:
- {name: a, context: {cluster: k, namespace: team}}
- {name: b, context: {cluster: k, user: u}}
clusters: [{name: k, cluster: {server: "https://k"}}]
users: [{name: u, user: {token: secret}}]
)";

class TargetsTest : public testing::Test {
 protected:
  TargetsTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "targets_test.XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    std::ofstream(folder_ / "config") << kKubeconfig;
    transport_.answer("/base/config", {200, R"({"clusters":[{"name":"z"},{"name":"b"},{"name":"arn:x/y"}]})"});
  }
  ~TargetsTest() override { std::filesystem::remove_all(folder_); }

  result<std::vector<kube::ClusterContext>> find(std::vector<std::string> contexts, std::string gateway = {}) {
    ResourceArgs args;
    args.contexts = std::move(contexts);
    args.gateway = std::move(gateway);
    return kube::run(find_targets(args, {.env_list = (folder_ / "config").string()}, transport_));
  }

  static std::vector<std::string> names(const result<std::vector<kube::ClusterContext>>& contexts) {
    std::vector<std::string> all;
    for (const auto& context : contexts.value()) all.push_back(context.name);
    return all;
  }

  std::filesystem::path folder_;
  kube::FakeTransport transport_;
};

TEST_F(TargetsTest, TheCurrentContextIsTheDefault) { EXPECT_THAT(names(find({})), ElementsAre("b")); }

TEST_F(TargetsTest, ContextsKeepTheirOrderAndComeOnce) {
  EXPECT_THAT(names(find({"b", "a", "b"})), ElementsAre("b", "a"));
  EXPECT_EQ(find({"a", "x"}).error().code, Errc::not_found);
  EXPECT_TRUE(transport_.requests().empty());
}

TEST_F(TargetsTest, AGatewayStandsBeforeEachCluster) {
  const auto contexts = find({"arn:x/y", "b"}, "http://gw/base").value();
  EXPECT_EQ(contexts[0].server, "http://gw/base/clusters/arn%3Ax%2Fy");
  EXPECT_EQ(contexts[0].name, "arn:x/y");
  EXPECT_EQ(contexts[1].server, "http://gw/base/clusters/b");
}

TEST_F(TargetsTest, TheKubeconfigsSecretsNeverGoToAGateway) {
  const auto contexts = find({"b"}, "http://gw/base").value();
  EXPECT_TRUE(contexts[0].credential.anonymous());
  EXPECT_EQ(contexts[0].tls, nullptr);
  EXPECT_FALSE(transport_.requests().at(0).headers.has("authorization"));
}

TEST_F(TargetsTest, AGatewaysDefaultIsTheCurrentContextElseItsFirst) {
  EXPECT_THAT(names(find({}, "http://gw/base")), ElementsAre("b"));
  transport_.answer("/base/config", {200, R"({"clusters":[{"name":"z"},{"name":"y"}]})"});
  EXPECT_THAT(names(find({}, "http://gw/base")), ElementsAre("z"));
}

TEST_F(TargetsTest, SaysWhatTheGatewayHas) {
  EXPECT_THAT(find({"nope"}, "http://gw/base").error().message, HasSubstr("it has: z, b, arn:x/y"));
  transport_.answer("/base/config", {200, R"({"clusters":[]})"});
  EXPECT_EQ(find({}, "http://gw/base").error().code, Errc::not_found);
  transport_.answer("/base/config", {200, "<html>"});
  EXPECT_EQ(find({}, "http://gw/base").error().code, Errc::protocol);
}

TEST_F(TargetsTest, AGatewayNeedsNoKubeconfig) {
  ResourceArgs args;
  args.gateway = "http://gw/base";
  EXPECT_TRUE(kube::run(find_targets(args, {.env_list = (folder_ / "gone").string()}, transport_)));
  EXPECT_FALSE(kube::run(find_targets(args, {.explicit_path = (folder_ / "gone").string()}, transport_)));
}

}  // namespace
}  // namespace fresnel::cli

// The examples do what they say, against a real API server and the gateway.
#include <gtest/gtest.h>

#include <string>

#include "tests/support/kube_apiserver.hpp"
#include "tests/support/ports.hpp"
#include "tests/support/process.hpp"
#include "tests/support/wait.hpp"

namespace fresnel::test {
namespace {

class ExamplesTest : public ::testing::TestWithParam<int> {
 protected:
  void create_config_map(const std::string& name) {
    const auto reply =
        server_.request("POST", "/api/v1/namespaces/default/configmaps", R"({"metadata":{"name":")" + name + R"("}})");
    ASSERT_EQ(reply.status, 201) << reply.body;
  }

  KubeApiServer& server_ = KubeApiServer::shared();
  std::string kubeconfig_ = server_.kubeconfig_file("real").string();
};

TEST_P(ExamplesTest, WatchPodsPrintsChanges) {
  Process example({.argv = {FRESNEL_EXAMPLES "/example_watch_pods"}, .env = {{"KUBECONFIG", kubeconfig_}}});
  ASSERT_TRUE(example.wait_for_output("listed at version", 30s)) << example.error_output();
  const std::string pod = R"({"metadata":{"name":"web"},"spec":{"containers":[{"name":"c","image":"i"}]}})";
  ASSERT_EQ(server_.request("POST", "/api/v1/namespaces/default/pods", pod).status, 201);
  EXPECT_TRUE(example.wait_for_output("ADDED    default/web", 30s)) << example.output() << example.error_output();
  example.interrupt();
  EXPECT_EQ(example.wait(10s), ExitStatus{.code = 0});
}

TEST_P(ExamplesTest, MultiplexerClientFollowsAListThroughTheGateway) {
  const auto address = "127.0.0.1:" + std::to_string(free_port());
  Process gateway({.argv = {FRESNEL_BINARY, "serve", "--kubeconfig", kubeconfig_, "--listen", address}});
  ASSERT_TRUE(gateway.wait_for_output("Listening", 30s)) << gateway.error_output();
  Process example({.argv = {FRESNEL_EXAMPLES "/example_multiplexer_client", "http://" + address,
                            "/api/v1/namespaces/default/configmaps", "real"}});
  ASSERT_TRUE(example.wait_for_output("that is all for now", 30s)) << example.error_output();
  create_config_map("from-the-test");
  EXPECT_TRUE(example.wait_for_output("ADDED    default/from-the-test", 30s)) << example.output();
  example.interrupt();
  EXPECT_EQ(example.wait(10s), ExitStatus{.code = 0});
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ExamplesTest);
const auto instances = KubeApiServer::wanted() ? std::vector<int>{0} : std::vector<int>{};
INSTANTIATE_TEST_SUITE_P(Real, ExamplesTest, ::testing::ValuesIn(instances));

}  // namespace
}  // namespace fresnel::test

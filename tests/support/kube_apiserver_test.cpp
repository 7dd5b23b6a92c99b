// The real API server does what the tests that use it rely on.
#include "tests/support/kube_apiserver.hpp"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <string>

#include "tests/support/wait.hpp"

namespace fresnel::test {
namespace {

std::string version_of_default_list(KubeApiServer& server) {
  const auto reply = server.request("GET", "/api/v1/namespaces/default/configmaps");
  return std::string(boost::json::parse(reply.body).at("metadata").at("resourceVersion").as_string());
}

HttpReply watch_from(KubeApiServer& server, const std::string& version) {
  return server.request("GET",
                        "/api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds=1&resourceVersion=" + version);
}

class KubeApiServerTest : public ::testing::TestWithParam<int> {};

TEST_P(KubeApiServerTest, ServesAdminRefusesOthersUntilGranted) {
  auto& server = KubeApiServer::shared();
  EXPECT_EQ(server.request("GET", "/api/v1/pods").status, 200);
  EXPECT_EQ(server.request("GET", "/api/v1/pods", {}, {}, "alice").status, 403);
  server.grant("alice", {"list", "watch"}, {"pods"});
  EXPECT_EQ(server.request("GET", "/api/v1/pods", {}, {}, "alice").status, 200);
  server.revoke("alice");
  EXPECT_TRUE(ask_until([&] { return server.request("GET", "/api/v1/pods", {}, {}, "alice").status == 403; }, 10s));
}

TEST_P(KubeApiServerTest, KeepsItsDataAndPortOverAKillAndForgetsOldWatches) {
  auto& server = KubeApiServer::shared();
  const auto port = server.port();
  const auto before = version_of_default_list(server);
  const std::string body = R"({"metadata":{"name":"kept"},"data":{"a":"1"}})";
  ASSERT_EQ(server.request("POST", "/api/v1/namespaces/default/configmaps", body).status, 201);
  EXPECT_NE(watch_from(server, before).body.find("kept"), std::string::npos);

  server.kill_server();
  EXPECT_EQ(server.request("GET", "/api/v1/pods").status, 0);
  server.compact();
  server.start_server();

  EXPECT_EQ(server.port(), port);
  EXPECT_EQ(server.request("GET", "/api/v1/namespaces/default/configmaps/kept").status, 200);
  const auto gone = watch_from(server, before);
  EXPECT_EQ(gone.status, 200);
  EXPECT_NE(gone.body.find(R"("code":410)"), std::string::npos) << gone.body;
}

TEST_P(KubeApiServerTest, WithoutItsWatchCacheACompactionMeans410AtOnce) {
  auto& server = KubeApiServer::shared();
  server.stop_server();
  server.start_server({"--watch-cache=false"});
  const auto before = version_of_default_list(server);
  for (const auto* body : {R"({"metadata":{"name":"later"}})", R"({"metadata":{"name":"latest"}})"}) {
    ASSERT_EQ(server.request("POST", "/api/v1/namespaces/default/configmaps", body).status, 201);
  }
  EXPECT_NE(watch_from(server, before).body.find("later"), std::string::npos);
  server.compact();
  EXPECT_NE(watch_from(server, before).body.find(R"("code":410)"), std::string::npos);
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(KubeApiServerTest);
const auto instances = KubeApiServer::wanted() ? std::vector<int>{0} : std::vector<int>{};
INSTANTIATE_TEST_SUITE_P(Real, KubeApiServerTest, ::testing::ValuesIn(instances));

}  // namespace
}  // namespace fresnel::test

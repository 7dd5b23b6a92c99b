// `fresnel watch` as a program in a pipe: what it prints leads to the cluster's state, whatever happens to the servers.
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <map>
#include <sstream>

#include "tests/e2e/harness.hpp"

namespace fresnel::test {
namespace {

namespace json = boost::json;

class CommandLine : public EndToEnd {
 protected:
  void put_pod(const std::string& name) {
    const std::string pod = R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" + name +
                            R"("},"spec":{"containers":[{"name":"c","image":"i"}]}})";
    ASSERT_EQ(cluster_.request("POST", "/api/v1/namespaces/" + ns_ + "/pods", pod).status, 201);
  }
  void change_pod(const std::string& name, const std::string& label) {
    const std::string patch = R"({"metadata":{"labels":{"round":")" + label + R"("}}})";
    ASSERT_EQ(
        cluster_.request("PATCH", "/api/v1/namespaces/" + ns_ + "/pods/" + name, patch, "application/merge-patch+json")
            .status,
        200);
  }
  void remove_pod(const std::string& name) {
    const auto reply =
        cluster_.request("DELETE", "/api/v1/namespaces/" + ns_ + "/pods/" + name + "?gracePeriodSeconds=0");
    ASSERT_EQ(reply.status, 200) << reply.body;
  }

  [[nodiscard]] Process watch(std::vector<std::string> extra) {
    const auto kubeconfig = dir_.write("watch.kubeconfig", cluster_.kubeconfig(kCluster, server_link_.port()));
    std::vector<std::string> argv{FRESNEL_BINARY, "watch", "pods",         "-A",
                                  "-o",           "json",  "--kubeconfig", kubeconfig.string()};
    argv.insert(argv.end(), extra.begin(), extra.end());
    return Process({.argv = std::move(argv)});
  }

  // The state that the lines lead to, and what is wrong with their order.
  static Truth replay(std::string_view output, std::vector<std::string>* faults = nullptr) {
    std::map<std::string, std::string> held;
    std::istringstream lines{std::string(output)};
    for (std::string line; std::getline(lines, line) && !lines.eof();) {
      const auto event = json::parse(line);
      const std::string type(event.at("type").as_string());
      const auto& metadata = event.at("object").at("metadata");
      const std::string uid(metadata.at("uid").as_string());
      const bool known = held.contains(uid);
      if (faults != nullptr && known == (type == "ADDED")) faults->push_back(line);
      if (type == "DELETED") {
        held.erase(uid);
      } else {
        held[uid] = std::string(metadata.at("resourceVersion").as_string());
      }
    }
    return {held.begin(), held.end()};
  }

  void expect_lines_lead_to_truth(Process& watching) {
    const Truth truth = cluster_.truth("/api/v1/pods");
    EXPECT_TRUE(watching.wait_for_output([&](std::string_view output) { return replay(output) == truth; }, 60s))
        << watching.output() << watching.error_output();
    std::vector<std::string> faults;
    (void)replay(watching.output(), &faults);
    EXPECT_EQ(faults, std::vector<std::string>{});
  }
};
INSTANTIATE_TEST_SUITE_P(Clusters, CommandLine, testing::ValuesIn(cluster_kinds()), KindName());

TEST_P(CommandLine, WatchFollowsAnApiServerThroughItsRestart) {
  for (const auto* name : {"a", "b", "c"}) put_pod(name);
  auto watching = watch({});
  expect_lines_lead_to_truth(watching);
  cluster_.kill();
  cluster_.restart();
  change_pod("a", "2");
  remove_pod("b");
  put_pod("d");
  expect_lines_lead_to_truth(watching);
  watching.interrupt();
  EXPECT_TRUE(watching.wait(10s).has_value());
}

TEST_P(CommandLine, WatchFollowsThroughTheRestartOfTheGateway) {
  for (const auto* name : {"a", "b", "c"}) put_pod(name);
  start_gateway();
  auto watching = watch({"--gateway", gateway_url()});
  expect_lines_lead_to_truth(watching);
  kill_gateway();
  change_pod("a", "2");
  remove_pod("b");
  put_pod("d");
  start_gateway();
  expect_lines_lead_to_truth(watching);
}

TEST(CommandLineUsage, AMistypedCommandIsNamed) {
  Process mistyped({.argv = {FRESNEL_BINARY, "wach", "pods"}});
  EXPECT_EQ(mistyped.wait(10s), ExitStatus{.code = 2});
  EXPECT_EQ(mistyped.error_output(),
            "error: unknown command \"wach\" for \"fresnel\"\nRun 'fresnel --help' for the commands.\n");
  Process none({.argv = {FRESNEL_BINARY}});
  EXPECT_EQ(none.wait(10s), ExitStatus{.code = 2});
}

}  // namespace
}  // namespace fresnel::test

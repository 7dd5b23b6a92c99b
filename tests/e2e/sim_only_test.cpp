// Faults and endpoints that a bare kube-apiserver does not have: a 410 as HTTP status, and something to exec into.
#include "tests/e2e/harness.hpp"
#include "tests/e2e/sim_control.hpp"

namespace fresnel::test {
namespace {

class SimOnly : public EndToEnd {};
INSTANTIATE_TEST_SUITE_P(Clusters, SimOnly, testing::Values("sim"), KindName());

TEST_P(SimOnly, A410AsHttpStatusIsHealed) {
  on_sim([](sim::Cluster& sim) { sim.server().set_expired_as_http_status(true); });
  for (const auto* name : {"a", "b", "c"}) cluster_.put(ns_, name, "1");
  start_gateway();
  const auto multiplexer = connect();
  Recorder recorder(*multiplexer, key());
  expect_truth(recorder);

  server_link_.cut();
  cluster_.remove(ns_, "b");
  cluster_.put(ns_, "d", "1");
  cluster_.compact();
  server_link_.mend();
  expect_truth(recorder);
  EXPECT_GE(metric("fresnel_relists_total"), 1);
  on_sim([](sim::Cluster& sim) { sim.server().set_expired_as_http_status(false); });
}

TEST_P(SimOnly, AnExecUpgradeIsTunnelledByteForByte) {
  const std::string pod =
      R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"shell"},"spec":{"nodeName":"n","containers":[{"name":"c","image":"i"}]}})";
  ASSERT_EQ(cluster_.request("POST", "/api/v1/namespaces/" + ns_ + "/pods", pod).status, 201);
  start_gateway();
  const auto shell =
      raw("/clusters/east/api/v1/namespaces/" + ns_ + "/pods/shell/exec?command=sh&stdin=true&stdout=true", {},
          {"v5.channel.k8s.io", "v4.channel.k8s.io"});
  ASSERT_TRUE(shell->connected()) << shell->error()->message;
  EXPECT_EQ(shell->protocol(), "v5.channel.k8s.io");
  std::string every_byte;
  for (int round = 0; round < 200; ++round) {
    for (int byte = 0; byte < 256; ++byte) every_byte.push_back(static_cast<char>(byte));
  }
  for (const std::string& payload : {std::string("\0", 1), std::string("\0echo hello\n", 12), every_byte}) {
    const auto before = shell->received().size();
    shell->send(payload, true);
    ASSERT_TRUE(until([&] { return shell->received().size() > before; }));
    EXPECT_TRUE(shell->received().back() == payload);
  }
}

}  // namespace
}  // namespace fresnel::test

// `fresnel bench` as a program against a gateway: what it counts, and how it tells trouble.
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "tests/e2e/harness.hpp"

namespace fresnel::test {
namespace {

namespace json = boost::json;

class BenchCommand : public EndToEnd {
 protected:
  [[nodiscard]] std::vector<std::string> argv(const std::vector<std::string>& extra) {
    std::vector<std::string> words{FRESNEL_BINARY, "bench",     "--gateway", gateway_url(), "--context",
                                   kCluster,       "--clients", "3",         "-o",          "json"};
    words.insert(words.end(), extra.begin(), extra.end());
    return words;
  }
  [[nodiscard]] Completed bench(const std::vector<std::string>& extra) { return run({.argv = argv(extra)}, 20s); }
};
INSTANTIATE_TEST_SUITE_P(Clusters, BenchCommand, testing::Values("sim"), KindName());

TEST_P(BenchCommand, CountsInitialDataAndEvents) {
  for (const auto* name : {"a", "b"}) cluster_.put(ns_, name, "1");
  start_gateway();
  Process running({.argv = argv({"--list", list_path(), "--duration", "3"})});
  while (metric("fresnel_subscriptions") < 3) ASSERT_FALSE(running.wait(20ms)) << running.error_output();
  cluster_.put(ns_, "c", "1");
  ASSERT_TRUE(running.wait_for_output("}\n", 20s)) << running.error_output();
  EXPECT_EQ(running.wait(20s), (ExitStatus{.code = 0}));
  const auto report = json::parse(running.output());
  EXPECT_EQ(report.at("ready").to_number<int>(), 3);
  EXPECT_EQ(report.at("stillOpen").to_number<int>(), 3);
  // The third object may come before all clients are ready, or after.
  EXPECT_EQ(report.at("initialMessages").to_number<int>() + report.at("messages").to_number<int>(), 9);
  EXPECT_EQ(report.at("refusedRequests").to_number<int>(), 0);
}

TEST_P(BenchCommand, ARefusedListIsAnErrorWithItsReason) {
  start_gateway();
  const auto done = bench({"--list", "/api/v1/nothings", "--duration", "0.1"});
  EXPECT_EQ(done.status, (ExitStatus{.code = 1}));
  EXPECT_NE(done.error_output.find("NotFound"), std::string::npos) << done.error_output;
  EXPECT_EQ(json::parse(done.output).at("refusedRequests").to_number<int>(), 3);
}

TEST_P(BenchCommand, NonsenseIsWrongUsage) {
  start_gateway();
  for (const std::vector<std::string>& nonsense : std::vector<std::vector<std::string>>{
           {"--list", "pods"}, {"--duration", "-1"}, {"--processor", "1023"}, {"--token-file", "/nowhere"}}) {
    const auto done = bench(nonsense);
    EXPECT_EQ(done.status, (ExitStatus{.code = 2})) << nonsense.front();
    EXPECT_NE(done.error_output, "") << nonsense.front();
  }
}

}  // namespace
}  // namespace fresnel::test

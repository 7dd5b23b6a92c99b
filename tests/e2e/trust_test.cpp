// Whom the gateway lets in, what it makes of bad input, and what it passes on untouched.
#include "tests/e2e/harness.hpp"

namespace fresnel::test {
namespace {

using Type = wire::ServerMessage::Type;

class Trust : public EndToEnd {
 protected:
  void SetUp() override { cluster_.put(ns_, "a", "1"); }

  [[nodiscard]] int status(const std::shared_ptr<RawClient>& client) const {
    return client->error() ? client->error()->status : 101;
  }
};
INSTANTIATE_TEST_SUITE_P(Clusters, Trust, testing::ValuesIn(cluster_kinds()), KindName());

TEST_P(Trust, AForeignOriginIsRefusedBeforeTheUpgrade) {
  start_gateway();
  for (const std::string& path : {std::string("/wsMultiplexer"), direct_path("watch=1")}) {
    EXPECT_EQ(status(raw(path, {{"Origin", "http://evil.example"}})), 403) << path;
    EXPECT_EQ(status(raw(path, {{"Origin", "null"}})), 403) << path;
    EXPECT_EQ(status(raw(path, {{"Origin", gateway_url()}})), 101) << path;
    EXPECT_EQ(status(raw(path)), 101) << path;
  }
}

TEST_P(Trust, AnAllowedOriginIsAccepted) {
  start_gateway({"--allowed-origins", "http://dash.example"});
  EXPECT_EQ(status(raw("/wsMultiplexer", {{"Origin", "http://dash.example"}})), 101);
  EXPECT_EQ(status(raw("/wsMultiplexer", {{"Origin", "http://evil.example"}})), 403);
}

TEST_P(Trust, BadInputIsAnsweredAndTheOthersLiveOn) {
  start_gateway();
  const auto healthy = raw_multiplexer();
  healthy->send(request("watch=1"));
  ASSERT_TRUE(until([&] { return healthy->count(Type::complete, "watch=1") == 1; }));

  const auto clumsy = raw_multiplexer();
  for (const std::string text :
       {"{", "[]", "null", R"({"type":"REQUEST"})",
        R"({"clusterId":5,"path":"/api/v1/pods","query":"","userId":"","type":"REQUEST"})",
        R"({"clusterId":"east","path":"/api/v1/pods","query":"","userId":"","type":"HELLO"})",
        R"({"clusterId":"east","path":"/healthz","query":"watch=1","userId":"","type":"REQUEST"})",
        R"({"clusterId":"nowhere","path":"/api/v1/pods","query":"watch=1","userId":"","type":"REQUEST"})",
        R"({"clusterId":"east","path":"/api/v1/nonsense","query":"watch=1","userId":"","type":"REQUEST"})"}) {
    const auto before = clumsy->received().size();
    clumsy->send(text);
    ASSERT_TRUE(until([&] {
      for (auto i = before; i < clumsy->received().size(); ++i) {
        const auto message = wire::parse_server_message(clumsy->received()[i]);
        if (!message || message->type == Type::error) return true;
      }
      return false;
    })) << text;
  }
  EXPECT_TRUE(clumsy->connected());

  const auto binary = raw_multiplexer();
  binary->send("{}", true);
  EXPECT_TRUE(until([&] { return binary->error().has_value(); }));
  EXPECT_EQ(binary->error()->status, 1003);
  const auto huge = raw_multiplexer();
  huge->send(std::string(70'000, 'x'));
  EXPECT_TRUE(until([&] { return huge->error().has_value(); }));
  EXPECT_EQ(huge->error()->status, 1009);

  cluster_.put(ns_, "b", "1");
  EXPECT_TRUE(until([&] { return healthy->events(list_path(), "watch=1").size() == 2; }));
  EXPECT_GT(metric("fresnel_bad_client_input_total"), 0);
}

TEST_P(Trust, ADirectSocketSpeaksAsTheApiServerDoes) {
  cluster_.compact();
  start_gateway();
  const auto live = raw(direct_path("watch=1&resourceVersion=" + cluster_.list_version(list_path())));
  cluster_.put(ns_, "b", "1");
  ASSERT_TRUE(until([&] { return live->received().size() == 1; }));
  const auto event = kube::parse_watch_event(SharedBytes(live->received().front())).value();
  EXPECT_EQ(event.type, kube::WatchEvent::Type::added);
  EXPECT_EQ(event.name, "b");

  const auto expired = raw(direct_path("watch=1&resourceVersion=1"));
  ASSERT_TRUE(until([&] { return expired->error().has_value(); }));
  ASSERT_EQ(expired->received().size(), 1u);
  EXPECT_NE(expired->received().front().find(R"("code":410)"), std::string::npos);

  EXPECT_EQ(status(raw("/clusters/nowhere/api/v1/pods?watch=1")), 404);
  EXPECT_EQ(status(raw("/clusters/east/api/v1/nonsense?watch=1")), 404);
}

TEST_P(Trust, TheProxyPassesListsOnAsTheyAre) {
  start_gateway();
  const auto reply =
      http({.url = "http://127.0.0.1:" + std::to_string(gateway_port_) + "/clusters/east" + list_path()});
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body, cluster_.request("GET", list_path()).body);
}

}  // namespace
}  // namespace fresnel::test

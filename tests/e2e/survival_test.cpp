// Nothing is lost: the client's state is the cluster's after every kind of interruption.
#include "tests/e2e/harness.hpp"

namespace fresnel::test {
namespace {

class Survival : public EndToEnd {};
INSTANTIATE_TEST_SUITE_P(Clusters, Survival, testing::ValuesIn(cluster_kinds()), KindName());

TEST_P(Survival, AClientFollowsTheClusterLive) {
  cluster_.put(ns_, "a", "1");
  start_gateway();
  const auto multiplexer = connect();
  Recorder recorder(*multiplexer, key());
  expect_truth(recorder);
  cluster_.change(ns_, "a", "2");
  cluster_.put(ns_, "b", "1");
  cluster_.remove(ns_, "a");
  expect_truth(recorder);
  EXPECT_EQ(recorder.events(), 4u);
}

TEST_P(Survival, TheGatewayIsKilledAndRestarted) {
  for (const auto* name : {"a", "b", "c"}) cluster_.put(ns_, name, "1");
  start_gateway();
  const auto multiplexer = connect();
  Recorder recorder(*multiplexer, key());
  expect_truth(recorder);

  kill_gateway();
  ASSERT_TRUE(until([&] { return recorder.status().state == client::SubscriptionState::reconnecting; }));
  cluster_.change(ns_, "a", "2");
  cluster_.remove(ns_, "b");
  cluster_.put(ns_, "d", "1");
  start_gateway();
  expect_truth(recorder);
  cluster_.put(ns_, "e", "1");
  expect_truth(recorder);
}

TEST_P(Survival, TheApiServerIsKilledAndRestarted) {
  for (const auto* name : {"a", "b"}) cluster_.put(ns_, name, "1");
  start_gateway();
  const auto multiplexer = connect();
  Recorder recorder(*multiplexer, key());
  expect_truth(recorder);

  cluster_.kill();
  ASSERT_TRUE(until([&] { return recorder.status().state != client::SubscriptionState::live; }));
  cluster_.restart();
  cluster_.change(ns_, "a", "2");
  cluster_.remove(ns_, "b");
  cluster_.put(ns_, "c", "1");
  expect_truth(recorder);
}

TEST_P(Survival, AnObjectIsDeletedWhileTheClientsLinkIsDown) {
  for (const auto* name : {"a", "b"}) cluster_.put(ns_, name, "1");
  start_gateway();
  const auto multiplexer = connect();
  Recorder recorder(*multiplexer, key());
  expect_truth(recorder);

  client_link_.cut();
  ASSERT_TRUE(until([&] { return recorder.status().state == client::SubscriptionState::reconnecting; }));
  cluster_.remove(ns_, "b");
  cluster_.put(ns_, "c", "1");
  client_link_.mend();
  expect_truth(recorder);
}

TEST_P(Survival, AnObjectIsDeletedWhileTheServersLinkIsDown) {
  for (const auto* name : {"a", "b"}) cluster_.put(ns_, name, "1");
  start_gateway();
  const auto multiplexer = connect();
  Recorder recorder(*multiplexer, key());
  expect_truth(recorder);

  server_link_.cut();
  cluster_.remove(ns_, "b");
  cluster_.put(ns_, "c", "1");
  server_link_.mend();
  expect_truth(recorder);
}

TEST_P(Survival, AnUpstreamReconnectKeepsForwarding) {
  cluster_.put(ns_, "a", "1");
  start_gateway();
  const auto multiplexer = connect();
  Recorder recorder(*multiplexer, key());
  expect_truth(recorder);
  for (int round = 0; round < 3; ++round) {
    server_link_.drop();
    cluster_.change(ns_, "a", "round " + std::to_string(round));
    expect_truth(recorder);
  }
}

// The history is compacted while the gateway cannot see it: its watch gets 410 as an ERROR event.
TEST_P(Survival, ACompactionDuringADropIsHealedForEverySubscriber) {
  for (const auto* name : {"a", "b", "c"}) cluster_.put(ns_, name, "1");
  start_gateway();
  const auto multiplexer = connect();
  Recorder recorder(*multiplexer, key());
  expect_truth(recorder);
  const auto direct = raw(direct_path("watch=1&resourceVersion=" + cluster_.list_version(list_path())));

  server_link_.cut();
  cluster_.remove(ns_, "b");
  cluster_.change(ns_, "a", "2");
  cluster_.put(ns_, "d", "1");
  cluster_.compact();
  server_link_.mend();
  expect_truth(recorder);
  EXPECT_GE(metric("fresnel_relists_total"), 1);
  ASSERT_TRUE(until([&] { return direct->received().size() >= 3; }));
  EXPECT_TRUE(direct->connected());
  for (const auto& text : direct->received()) EXPECT_EQ(text.find(R"("type":"ERROR")"), std::string::npos) << text;
}

// What a client knows is too old for a cold gateway: it gets a 410 and everything anew, and tells what vanished.
TEST_P(Survival, ACompactionWhileTheGatewayIsDownIsHealed) {
  for (const auto* name : {"a", "b", "c"}) cluster_.put(ns_, name, "1");
  start_gateway();
  const auto multiplexer = connect();
  Recorder recorder(*multiplexer, key());
  expect_truth(recorder);

  kill_gateway();
  ASSERT_TRUE(until([&] { return recorder.status().state == client::SubscriptionState::reconnecting; }));
  cluster_.remove(ns_, "b");
  cluster_.put(ns_, "d", "1");
  cluster_.compact();
  start_gateway();
  expect_truth(recorder);
}

TEST_P(Survival, AnErrorEventNeverChangesTheVersionToResumeFrom) {
  cluster_.put(ns_, "a", "1");
  cluster_.compact();
  start_gateway();
  const auto multiplexer = connect();
  std::vector<kube::WatchEvent::Type> types;
  const auto subscription = multiplexer->subscribe(
      key("resourceVersion=1"), {.on_message = [&](const kube::WatchEvent& event) { types.push_back(event.type); }});
  ASSERT_TRUE(until([&] { return subscription.status().completed; }));
  ASSERT_FALSE(types.empty());
  EXPECT_EQ(types.front(), kube::WatchEvent::Type::error);
  const auto version = kube::parse_resource_version(subscription.status().resource_version);
  EXPECT_TRUE(version && *version > 1) << subscription.status().resource_version;

  client_link_.cut();
  ASSERT_TRUE(until([&] { return subscription.status().state == client::SubscriptionState::reconnecting; }));
  EXPECT_EQ(kube::parse_resource_version(subscription.status().resource_version), version);
  cluster_.put(ns_, "b", "1");
  client_link_.mend();
  ASSERT_TRUE(until([&] { return subscription.snapshot()->size() == 2; }));
}

}  // namespace
}  // namespace fresnel::test

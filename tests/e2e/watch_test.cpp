// The watch itself, on a simulated and on the real API server: what it refuses, forgets and restores, and what clients
// may ask of it.
#include <array>

#include "tests/e2e/harness.hpp"
#include "tests/e2e/live_watcher.hpp"
#include "tests/e2e/sim_control.hpp"

namespace fresnel::test {
namespace {

using Type = wire::ServerMessage::Type;
using EventType = kube::WatchEvent::Type;

class Watching : public EndToEnd {
 protected:
  [[nodiscard]] std::filesystem::path kubeconfig_through_link() const {
    return dir_.write("direct", cluster_.kubeconfig(kCluster, server_link_.port()));
  }
  // "ADDED a", "BOOKMARK", "BOOKMARK ends"
  static std::vector<std::string> summaries(const std::vector<kube::WatchEvent>& events) {
    std::vector<std::string> all;
    for (const auto& event : events) {
      std::string text(to_string(event.type));
      if (!event.name.empty()) text += " " + std::string(event.name);
      if (event.bytes.view().find(R"("k8s.io/initial-events-end":"true")") != std::string_view::npos) text += " ends";
      all.push_back(std::move(text));
    }
    return all;
  }
  static std::vector<std::string> direct_summaries(const RawClient& client) {
    std::vector<kube::WatchEvent> events;
    for (const auto& text : client.received()) events.push_back(kube::parse_watch_event(SharedBytes(text)).value());
    return summaries(events);
  }
};
INSTANTIATE_TEST_SUITE_P(Clusters, Watching, testing::ValuesIn(cluster_kinds()), KindName());

using Texts = std::vector<std::string>;

TEST_P(Watching, AForbiddenNamespaceOfThreeIsToldClearlyAndTheOthersLiveOn) {
  const std::array<std::string, 3> namespaces{ns_, ns_ + "-b", ns_ + "-c"};
  cluster_.create_namespace(namespaces[1]);
  cluster_.create_namespace(namespaces[2]);
  for (const auto& ns : namespaces) cluster_.put(ns, "first", "1");
  use_kubeconfig(cluster_.limited_kubeconfig(kCluster, server_link_.port(), {namespaces[0], namespaces[2]}));
  start_gateway();
  const auto multiplexer = connect();
  std::vector<std::unique_ptr<Recorder>> recorders;
  for (const auto& ns : namespaces) {
    recorders.push_back(
        std::make_unique<Recorder>(*multiplexer, client::SubscriptionKey{kCluster, configmaps(ns), ""}));
  }
  const auto& refused = *recorders[1];
  ASSERT_TRUE(until([&] { return !refused.errors().empty() && recorders[0]->live() && recorders[2]->live(); }));
  EXPECT_EQ(refused.status().last_error->code, Errc::forbidden);
  EXPECT_EQ(refused.status().last_error->status, 403);
  EXPECT_NE(refused.errors().front().find(R"(configmaps is forbidden: User "alice" cannot list resource "configmaps")"),
            std::string::npos)
      << refused.errors().front();
  EXPECT_NE(refused.errors().front().find(R"(in the namespace ")" + namespaces[1] + '"'), std::string::npos);
  for (const auto& ns : namespaces) {
    cluster_.put(ns, "second", "1");
    cluster_.remove(ns, "first");
  }
  for (const std::size_t i : {0u, 2u}) {
    const Truth truth = cluster_.truth(configmaps(namespaces[i]));
    EXPECT_TRUE(until([&] { return recorders[i]->live() && recorders[i]->holds() == truth; })) << namespaces[i];
    EXPECT_TRUE(recorders[i]->errors().empty());
  }
  EXPECT_TRUE(refused.holds().empty());
}

// Also where the API server is too old for it: kube-apiserver 1.20 refuses sendInitialEvents.
TEST_P(Watching, InitialEventsEndWithABookmarkOnTheMultiplexerAndOnDirectSockets) {
  cluster_.put(ns_, "a", "1");
  cluster_.put(ns_, "b", "1");
  start_gateway();
  const std::string query =
      "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&resourceVersion=";
  const auto multiplexed = raw_multiplexer();
  multiplexed->send(request(query));
  const auto told = [&] { return summaries(multiplexed->events(list_path(), query)); };
  const auto direct = raw(direct_path(query));
  ASSERT_TRUE(direct->connected());
  const Texts initial{"ADDED a", "ADDED b", "BOOKMARK ends"};
  EXPECT_TRUE(until([&] { return told() == initial && direct_summaries(*direct) == initial; }))
      << testing::PrintToString(told()) << testing::PrintToString(direct_summaries(*direct));
  EXPECT_TRUE(until([&] { return multiplexed->count(Type::complete, query) == 1; }));
  // A version does not spare it the state: it asks for one at least as new.
  const auto later = raw(direct_path(query + cluster_.list_version(list_path())));
  EXPECT_TRUE(until([&] { return direct_summaries(*later) == initial; }));
  cluster_.put(ns_, "c", "1");
  cluster_.remove(ns_, "a");
  const Texts all{"ADDED a", "ADDED b", "BOOKMARK ends", "ADDED c", "DELETED a"};
  for (const auto& client : {direct, later}) {
    EXPECT_TRUE(until([&] { return direct_summaries(*client) == all; }));
  }
  EXPECT_TRUE(until([&] { return told() == all; }));
  EXPECT_EQ(metric("fresnel_upstream_watches"), 1);
}

TEST_P(Watching, WhatIsNoVersionMeansTheWholeState) {
  cluster_.put(ns_, "a", "1");
  cluster_.put(ns_, "b", "1");
  start_gateway();
  const auto multiplexed = raw_multiplexer();
  const std::array<std::string, 7> none{"", "0", "undefined", "null", "-1", "12abc", "99999999999999999999999"};
  for (const auto& version : none) {
    SCOPED_TRACE(version);
    const std::string query = "watch=1&resourceVersion=" + version;
    multiplexed->send(request(query));
    EXPECT_TRUE(until([&] { return multiplexed->count(Type::complete, query) == 1; }));
    EXPECT_EQ(summaries(multiplexed->events(list_path(), query)), (Texts{"ADDED a", "ADDED b"}));
    const auto direct = raw(direct_path(query));
    EXPECT_TRUE(until([&] { return direct_summaries(*direct) == (Texts{"ADDED a", "ADDED b"}); }));
  }
  EXPECT_EQ(metric("fresnel_upstream_watches"), 1);
}

// Its kernel still acknowledges everything: only the watchdog can notice.
TEST_P(Watching, AStoppedApiServerIsNoticedWithinTheWatchdogsTimeAndCaughtUpWith) {
  cluster_.put(ns_, "a", "1");
  kube::WatcherOptions options;
  options.watch_timeout = seconds(2);  // asks for 2 to 4 s
  options.watchdog = seconds(1);
  LiveWatcher live(io_, clock_, kubeconfig_through_link(), {.path = list_path()}, options);
  ASSERT_TRUE(until([&] { return live.connected() && live.holds() == cluster_.truth(list_path()); }));
  cluster_.pause();
  const auto stopped = clock_.now();
  EXPECT_TRUE(until([&] { return !live.connected(); }, 10s));
  EXPECT_LE(clock_.now() - stopped, milliseconds(5500));
  ASSERT_FALSE(live.failures().empty());
  EXPECT_EQ(live.failures().front().code, Errc::timeout) << live.failures().front().message;
  cluster_.resume();
  cluster_.put(ns_, "b", "1");
  cluster_.remove(ns_, "a");
  const Truth truth = cluster_.truth(list_path());
  EXPECT_TRUE(until([&] { return live.connected() && live.holds() == truth; }, 60s));
  EXPECT_EQ(live.watcher().relists(), 0u);
}

// Nothing of what it selects changes; without its bookmarks it would come back with a version that is forgotten.
TEST_P(Watching, BookmarksKeepAQuietFilteredWatchResumableAcrossACompaction) {
  cluster_.put(ns_, "chosen", "1", "red");
  kube::WatcherOptions options;
  // kube-apiserver sends a bookmark 2 s before the end of a watch, the simulation at its end.
  options.watch_timeout = seconds(GetParam() == "sim" ? 1 : 4);
  options.backoff = {.first = milliseconds(50), .limit = milliseconds(200)};
  LiveWatcher live(io_, clock_, kubeconfig_through_link(), {.path = list_path(), .query = "labelSelector=color%3Dred"},
                   options);
  ASSERT_TRUE(until([&] { return live.connected() && live.holds().size() == 1; }));
  const auto at_first = live.watcher().version();
  for (const auto* name : {"w", "x", "y", "z"}) cluster_.put(ns_, name, "1", "blue");
  const auto newest = kube::parse_resource_version(cluster_.list_version(list_path()));
  const auto reached = [&] { return kube::parse_resource_version(live.watcher().version()); };
  ASSERT_TRUE(until([&] { return reached() >= newest; }, 15s)) << live.watcher().version();
  EXPECT_NE(live.watcher().version(), at_first);
  EXPECT_GE(live.bookmarks(), 1);

  server_link_.cut();
  ASSERT_TRUE(until([&] { return !live.connected(); }));
  cluster_.compact();
  server_link_.mend();
  ASSERT_TRUE(until([&] { return live.connected(); }));
  cluster_.put(ns_, "also", "1", "red");
  const Truth truth = cluster_.truth(list_path() + "?labelSelector=color%3Dred");
  EXPECT_TRUE(until([&] { return live.holds() == truth; }));
  EXPECT_EQ(live.watcher().relists(), 0u);
}

// A cold gateway gives its first clients what happened while nobody watched, and those who come too late a new start.
TEST_P(Watching, AColdGatewayTellsWhatWasDeletedBeforeItStarted) {
  for (const auto* name : {"a", "b", "c"}) cluster_.put(ns_, name, "1");
  const std::string query = "watch=1&resourceVersion=" + cluster_.list_version(list_path());
  cluster_.remove(ns_, "b");
  cluster_.change(ns_, "a", "2");
  start_gateway();
  const auto multiplexed = raw_multiplexer();
  multiplexed->send(request(query));
  ASSERT_TRUE(until([&] { return multiplexed->count(Type::complete, query) == 1; }));
  EXPECT_EQ(summaries(multiplexed->events(list_path(), query)), (Texts{"DELETED b", "MODIFIED a"}));

  kill_gateway();
  cluster_.remove(ns_, "c");
  cluster_.compact();
  start_gateway();
  const auto again = raw_multiplexer();
  again->send(request(query));
  ASSERT_TRUE(until([&] { return again->count(Type::complete, query) == 1; }));
  EXPECT_EQ(summaries(again->events(list_path(), query)), (Texts{"ERROR", "ADDED a"}));
}

TEST_P(Watching, EverySubscriberEndsWithTheTruthOfARestoredBackup) {
  for (const auto* name : {"a", "b"}) cluster_.put(ns_, name, "1");
  cluster_.back_up();
  start_gateway();
  const auto multiplexer = connect();
  Recorder recorder(*multiplexer, key());
  expect_truth(recorder);
  cluster_.put(ns_, "lost", "1");
  cluster_.remove(ns_, "a");
  cluster_.change(ns_, "b", "2");
  for (int i = 0; i < 20; ++i) cluster_.change(ns_, "lost", std::to_string(i));
  expect_truth(recorder);
  const auto from_then = cluster_.list_version(list_path());

  cluster_.restore();
  const auto holds_truth = [&] {
    const Truth truth = cluster_.truth(list_path());
    return until([&] { return recorder.live() && recorder.holds() == truth; });
  };
  EXPECT_TRUE(holds_truth());
  EXPECT_EQ(recorder.holds().size(), 2u);
  cluster_.put(ns_, "new", "1");
  EXPECT_TRUE(holds_truth());
  // One who was away brings a version of the history that never happened.
  const std::string query = "watch=1&resourceVersion=" + from_then;
  const auto returning = raw_multiplexer();
  returning->send(request(query));
  EXPECT_TRUE(until([&] { return summaries(returning->events(list_path(), query)).size() == 4; }));
  cluster_.remove(ns_, "a");
  EXPECT_TRUE(holds_truth());
  EXPECT_TRUE(until([&] { return summaries(returning->events(list_path(), query)).back() == "DELETED a"; }));
  EXPECT_EQ(summaries(returning->events(list_path(), query)).front(), "ERROR");
}

// The simulation as Kubernetes is from 1.32 on; kube-apiserver 1.20 refuses it.
TEST_P(Watching, AStreamingListIsAskedForWhereTheServerHasThemAndOnlyToBegin) {
  const bool offered = GetParam() == "sim";
  sim::ApiServerCounters before;
  const auto count = [](sim::ApiServerCounters& counters) {
    on_sim([&](sim::Cluster& sim) {
      sim.server().set_streaming_lists(true);
      counters = sim.server().counters();
    });
  };
  for (const auto* name : {"a", "b"}) cluster_.put(ns_, name, "1");
  count(before);
  kube::WatcherOptions options;
  options.streaming_lists = true;
  options.backoff = {.first = milliseconds(50), .limit = milliseconds(200)};
  LiveWatcher live(io_, clock_, kubeconfig_through_link(), {.path = list_path()}, options);
  ASSERT_TRUE(until([&] { return live.connected() && live.holds().size() == 2; }));
  sim::ApiServerCounters after;
  count(after);
  if (offered) {
    EXPECT_EQ(after.list_requests, before.list_requests);
    EXPECT_EQ(after.watch_requests, before.watch_requests + 1) << "the watch goes on behind its list";
  }
  server_link_.drop();
  cluster_.remove(ns_, "a");
  cluster_.put(ns_, "c", "1");
  const Truth truth = cluster_.truth(list_path());
  EXPECT_TRUE(until([&] { return live.connected() && live.holds() == truth; }));
  EXPECT_EQ(live.watcher().relists(), 0u);

  server_link_.cut();
  ASSERT_TRUE(until([&] { return !live.connected(); }));
  cluster_.remove(ns_, "b");
  if (offered) {
    cluster_.compact();
    count(before);
  }
  server_link_.mend();
  const Truth later = cluster_.truth(list_path());
  EXPECT_TRUE(until([&] { return live.connected() && live.holds() == later; }));
  on_sim([](sim::Cluster& sim) { sim.server().set_streaming_lists(false); });
  EXPECT_EQ(live.watcher().relists(), offered ? 1u : 0u);
}

// What the Watcher takes for "too large" is what the server says.
TEST_P(Watching, AVersionFromTheFutureIsToldAsTooLarge) {
  const auto reply = cluster_.request("GET", list_path() + "?resourceVersion=99999999");
  EXPECT_EQ(reply.status, 504) << reply.body;
  EXPECT_EQ(kube::error_of_status(reply.body).reason, "ResourceVersionTooLarge") << reply.body;
}

}  // namespace
}  // namespace fresnel::test

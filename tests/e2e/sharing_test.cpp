// One watch, many clients, and nobody's events are mixed up with another's.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <map>

#include "fresnel/kube/api_client.hpp"
#include "fresnel/kube/kubeconfig.hpp"
#include "fresnel/net/curl_client.hpp"
#include "tests/e2e/harness.hpp"

namespace fresnel::test {
namespace {

using Type = wire::ServerMessage::Type;

class Sharing : public EndToEnd {
 protected:
  void SetUp() override {
    cluster_.put(ns_, "a", "1", "red");
    cluster_.put(ns_, "b", "1", "blue");
    start_gateway();
  }

  [[nodiscard]] std::set<std::string> names(const RawClient& client, std::string_view query) const {
    std::set<std::string> names;
    for (const auto& event : client.events(list_path(), query)) names.insert(std::string(event.name));
    return names;
  }
};
INSTANTIATE_TEST_SUITE_P(Clusters, Sharing, testing::ValuesIn(cluster_kinds()), KindName());

using Names = std::set<std::string>;

TEST_P(Sharing, TwoSocketsOfOneUserBothGetEverything) {
  const auto first = raw_multiplexer();
  const auto second = raw_multiplexer();
  first->send(request("watch=1", "same"));
  second->send(request("watch=1", "same"));
  ASSERT_TRUE(until(
      [&] { return first->count(Type::complete, "watch=1") == 1 && second->count(Type::complete, "watch=1") == 1; }));
  cluster_.put(ns_, "c", "1");
  EXPECT_TRUE(until([&] { return names(*first, "watch=1") == Names{"a", "b", "c"}; }));
  EXPECT_TRUE(until([&] { return names(*second, "watch=1") == Names{"a", "b", "c"}; }));
}

TEST_P(Sharing, TwoSelectorsOnOnePathDoNotMix) {
  const std::string red = "watch=1&labelSelector=color%3Dred";
  const std::string blue = "watch=1&labelSelector=color%3Dblue";
  const auto client = raw_multiplexer();
  client->send(request(red));
  client->send(request(blue));
  ASSERT_TRUE(
      until([&] { return client->count(Type::complete, red) == 1 && client->count(Type::complete, blue) == 1; }));
  cluster_.put(ns_, "c", "1", "red");
  cluster_.put(ns_, "d", "1", "blue");
  EXPECT_TRUE(until([&] { return names(*client, red).contains("c") && names(*client, blue).contains("d"); }));
  EXPECT_EQ(names(*client, red), (Names{"a", "c"}));
  EXPECT_EQ(names(*client, blue), (Names{"b", "d"}));
}

TEST_P(Sharing, ClosingAnOldVersionLeavesTheNewWatchAlive) {
  const std::string before = "watch=1&resourceVersion=" + cluster_.list_version(list_path());
  cluster_.change(ns_, "a", "2");
  const std::string after = "watch=1&resourceVersion=" + cluster_.list_version(list_path());
  const auto client = raw_multiplexer();
  client->send(request(before));
  client->send(request(after));
  ASSERT_TRUE(
      until([&] { return client->count(Type::complete, before) == 1 && client->count(Type::complete, after) == 1; }));
  client->send(close_message(before));
  // An answered REQUEST says that the CLOSE before it has been read.
  client->send(request("watch=1"));
  ASSERT_TRUE(until([&] { return client->count(Type::complete, "watch=1") == 1; }));
  cluster_.put(ns_, "c", "1");
  ASSERT_TRUE(until([&] { return names(*client, after).contains("c") && names(*client, "watch=1").contains("c"); }));
  EXPECT_EQ(names(*client, before), Names{"a"});
}

TEST_P(Sharing, ARepeatedRequestIsNotServedTwice) {
  const auto client = raw_multiplexer();
  client->send(request("watch=1"));
  ASSERT_TRUE(until([&] { return client->count(Type::complete, "watch=1") == 1; }));
  client->send(request("watch=1"));
  // Of the same stream, which serves its joiners in their order once it is open.
  client->send(request("watch=1&resourceVersion=0"));
  ASSERT_TRUE(until([&] { return client->count(Type::complete, "watch=1&resourceVersion=0") == 1; }));
  EXPECT_EQ(client->count(Type::complete, "watch=1"), 1);
  EXPECT_EQ(client->count(Type::data, "watch=1"), 2);
}

TEST_P(Sharing, TwoHundredClientsCostOneUpstreamWatch) {
  const int before = cluster_.open_watches();
  std::vector<std::shared_ptr<RawClient>> multiplexed;
  std::vector<std::shared_ptr<RawClient>> direct;
  for (int i = 0; i < 100; ++i) {
    multiplexed.push_back(raw_multiplexer());
    multiplexed.back()->send(request("watch=1", "user" + std::to_string(i % 7)));
    direct.push_back(raw(direct_path("watch=1")));
    ASSERT_TRUE(direct.back()->connected());
  }
  cluster_.put(ns_, "c", "1");
  EXPECT_TRUE(until([&] {
    return std::all_of(multiplexed.begin(), multiplexed.end(),
                       [&](const auto& client) { return client->events(list_path(), "watch=1").size() == 3; });
  }));
  EXPECT_TRUE(until([&] {
    return std::all_of(direct.begin(), direct.end(), [](const auto& client) { return client->received().size() == 3; });
  }));
  EXPECT_EQ(cluster_.open_watches() - before, 1);
  EXPECT_EQ(metric("fresnel_upstream_watches"), 1);
  EXPECT_EQ(metric("fresnel_subscriptions"), 200);
}

// 100 objects, each changed 100 times as fast as the server takes it.
awaitable<void> change_often(kube::ApiClient& client, std::string path, int times, std::vector<std::string>& versions) {
  for (int i = 0; i < times; ++i) {
    kube::ApiRequest request{
        .method = "PATCH", .path = path, .body = R"({"data":{"n":")" + std::to_string(i) + R"("}})"};
    request.content_type = "application/merge-patch+json";
    auto asking = client.request(std::move(request));
    auto response = co_await std::move(asking);
    if (!response) {
      versions.push_back("refused: " + response.error().message);
      co_return;
    }
    const auto event = kube::parse_watch_event(
        SharedBytes(kube::make_event_text(kube::WatchEvent::Type::modified, response->body, {}, {})));
    versions.push_back(event ? std::string(event->resource_version) : "not understood");
  }
}

TEST_P(Sharing, ABurstOfTenThousandEventsArrivesInOrderAndOnce) {
  constexpr int kObjects = 100;
  constexpr int kChanges = 100;
  for (int i = 0; i < kObjects; ++i) cluster_.put(ns_, "burst-" + std::to_string(i), "0", "burst");
  const auto multiplexer = connect();
  std::map<std::string, std::vector<std::string>> told;
  std::size_t events = 0;
  const auto subscription =
      multiplexer->subscribe(key("labelSelector=color%3Dburst"), {.on_message = [&](const kube::WatchEvent& event) {
                               if (event.type == kube::WatchEvent::Type::added) return;
                               told[std::string(event.name)].push_back(std::string(event.resource_version));
                               ++events;
                             }});
  ASSERT_TRUE(until([&] { return subscription.status().completed; }));

  const auto file = dir_.write("writer", cluster_.kubeconfig("writer", cluster_.port()));
  const auto config = kube::load_kubeconfig({.explicit_path = file.string()}).value();
  net::CurlClient transport(io_.get_executor());
  kube::ApiClient writer(transport, config.find("writer").value());
  std::map<std::string, std::vector<std::string>> written;
  for (int i = 0; i < kObjects; ++i) {
    const std::string name = "burst-" + std::to_string(i);
    asio::co_spawn(io_, change_often(writer, list_path() + "/" + name, kChanges, written[name]), asio::detached);
  }
  EXPECT_TRUE(until([&] { return events >= std::size_t{kObjects} * kChanges; }, 120s)) << events << " events";
  EXPECT_TRUE(told == written) << "not every version arrived once and in order";
  EXPECT_EQ(events, static_cast<std::size_t>(kObjects * kChanges));
}

}  // namespace
}  // namespace fresnel::test

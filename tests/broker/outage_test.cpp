// What NatsBroker promises for the time that nats-server is away, and after.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "tests/broker/fixture.hpp"
#include "tests/broker/forwarder.hpp"

namespace fresnel::broker {
namespace {

const HistoryLimits kKept{.size = 1'000};

// Publishes one message after the other until `over`; remembers which were confirmed.
awaitable<void> publish_many(Node* node, std::string name, const bool* over, std::vector<std::string>* confirmed,
                             int* running) {
  for (int i = 0; !*over; ++i) {
    auto text = fmt::format("{}-{}", name, i);
    Publication publication{OutboundMessage::text(text), {}, 0, {}};
    auto publishing = node->publish("news", std::move(publication), kKept);
    const auto published = co_await std::move(publishing);
    if (published) confirmed->push_back(std::move(text));
  }
  --*running;
}

TEST_F(NatsBrokerTest, NothingIsLostAndNothingTwiceWhenTheServerIsKilledUnderLoad) {
  test::NatsServer server;
  Gateway a(io_, patient(server.url()));
  Gateway b(io_, patient(server.url()));
  for (auto* gateway : {&a, &b}) {
    (*gateway)->subscribe("news", kKept);
    gateway->wait_for_status(true);
    ASSERT_TRUE(gateway->history("news", kKept).has_value()) << "its log is there";
  }
  bool over = false;
  std::vector<std::string> confirmed;
  int running = 0;
  for (int i = 0; i < 8; ++i) {
    ++running;
    auto& node = i % 2 == 0 ? *a : *b;
    asio::co_spawn(io_, publish_many(&node, fmt::format("p{}", i), &over, &confirmed, &running), asio::detached);
  }
  for (int round = 0; round < 3; ++round) {
    const auto enough = confirmed.size() + 300;
    run_until(io_, [&] { return confirmed.size() >= enough; });
    server.kill();
    run_until(io_, [&] { return !a.statuses.back() && !b.statuses.back(); });
    server.start();
    run_until(io_, [&] { return a.statuses.back() && b.statuses.back(); });
  }
  const auto enough = confirmed.size() + 100;
  run_until(io_, [&] { return confirmed.size() >= enough; });
  over = true;
  run_until(io_, [&] { return running == 0; });
  run_until(io_, [&] { return a.told.size() >= confirmed.size() && b.told.size() >= confirmed.size(); });

  std::sort(confirmed.begin(), confirmed.end());
  EXPECT_EQ(a.told, b.told) << "one order for all";
  EXPECT_EQ(std::set<std::string>(a.told.begin(), a.told.end()).size(), a.told.size()) << "nothing twice";
  auto seen = a.told;
  std::sort(seen.begin(), seen.end());
  EXPECT_TRUE(std::includes(seen.begin(), seen.end(), confirmed.begin(), confirmed.end())) << "nothing lost";
  EXPECT_EQ(seen.size(), confirmed.size()) << "with 15 s to wait, each was confirmed";
  EXPECT_THAT(a.gaps, IsEmpty());
  EXPECT_THAT(b.gaps, IsEmpty());
}

TEST_F(NatsBrokerTest, PublishersGetAClearErrorWhileItIsAwayAndSubscribersAreTold) {
  test::NatsServer server;
  Gateway a(io_, quick(server.url()));
  a->subscribe("kept", kKept);
  a->subscribe("plain", HistoryLimits());
  a.wait_for_status(true);
  ASSERT_TRUE(a.publish("kept", "before", kKept).has_value());
  server.kill();
  a.wait_for_status(false);
  for (const auto& limits : {kKept, HistoryLimits()}) {
    const auto published = a.publish(limits.size > 0 ? "kept" : "plain", "never", limits);
    ASSERT_FALSE(published.has_value());
    EXPECT_EQ(published.error().code, Errc::closed);
    EXPECT_EQ(published.error().message, "there is no connection to NATS");
  }
  const auto had = a.history("kept", kKept);
  ASSERT_TRUE(had.has_value()) << "from the log: no server is needed";
  EXPECT_THAT(had->publications, SizeIs(1));

  server.start();
  a.wait_for_status(true);
  ASSERT_TRUE(a.publish("kept", "after", kKept).has_value());
  ASSERT_TRUE(a.publish("plain", "after, too").has_value());
  EXPECT_THAT(a.told, ElementsAre("before", "after", "after, too"));
  a.statuses.erase(a.statuses.begin(), a.statuses.end() - 2);
  EXPECT_THAT(a.statuses, ElementsAre(false, true));
}

TEST_F(NatsBrokerTest, WhatNobodyHereHearsIsConfirmedByTheServerAllTheSame) {
  test::NatsServer server;
  auto options = quick(server.url());
  options.publish_timeout = milliseconds(100);
  Gateway a(io_, options);
  a.wait_for_status(true);
  EXPECT_TRUE(a.publish("plain", "there").has_value());
  server.pause();
  EXPECT_EQ(a.publish("plain", "not there").error().code, Errc::timeout);
  server.resume();
  EXPECT_TRUE(a.publish("plain", "there again").has_value());
}

TEST_F(NatsBrokerTest, PublishersMayWaitForItsReturn) {
  test::NatsServer server;
  Gateway a(io_, patient(server.url()));
  a->subscribe("kept", kKept);
  a->subscribe("plain", HistoryLimits());
  a.wait_for_status(true);
  server.kill();
  a.wait_for_status(false);
  std::vector<std::string> ends;
  const auto publish_one = [&](std::string channel, HistoryLimits limits) -> awaitable<void> {
    Publication publication{OutboundMessage::text("in " + channel), {}, 0, {}};
    auto publishing = a->publish(channel, std::move(publication), limits);
    const auto published = co_await std::move(publishing);
    ends.push_back(published ? channel : published.error().message);
  };
  asio::co_spawn(io_, publish_one("kept", kKept), asio::detached);
  asio::co_spawn(io_, publish_one("plain", HistoryLimits()), asio::detached);
  server.start();
  run_until(io_, [&] { return ends.size() == 2; });
  EXPECT_THAT(ends, ::testing::UnorderedElementsAre("kept", "plain"));
  EXPECT_THAT(a.told, ::testing::UnorderedElementsAre("in kept", "in plain"));
}

TEST_F(NatsBrokerTest, WaitingHasAnEndAndABound) {
  test::NatsServer server(test::NatsServerOptions{.started = false});
  auto options = patient(server.url());
  options.publish_timeout = milliseconds(200);
  options.max_publishing = 1;
  Gateway a(io_, options);
  std::vector<Errc> ends;
  const auto publish_one = [&]() -> awaitable<void> {
    Publication publication{OutboundMessage::text("text"), {}, 0, {}};
    auto publishing = a->publish("kept", std::move(publication), kKept);
    const auto published = co_await std::move(publishing);
    ends.push_back(published ? Errc::internal : published.error().code);
  };
  asio::co_spawn(io_, publish_one(), asio::detached);
  asio::co_spawn(io_, publish_one(), asio::detached);
  run_until(io_, [&] { return ends.size() == 2; });
  EXPECT_THAT(ends, ElementsAre(Errc::throttled, Errc::timeout));
}

TEST_F(NatsBrokerTest, AGatewayMayStartBeforeTheServer) {
  test::NatsServer server(test::NatsServerOptions{.started = false});
  Gateway a(io_, patient(server.url()));
  a->subscribe("kept", kKept);
  a.wait_for_status(false);
  const auto had = a.history("kept", kKept);
  ASSERT_FALSE(had.has_value());
  EXPECT_EQ(had.error().code, Errc::closed);
  server.start();
  a.wait_for_status(true);
  ASSERT_TRUE(a.publish("kept", "one", kKept).has_value());
  EXPECT_THAT(a.told, ElementsAre("one"));
}

// One gateway is cut off while the other publishes: less than the history holds, and more.
TEST_F(NatsBrokerTest, HistoryClosesAGatewaysGapAsFarAsItReaches) {
  test::NatsServer server;
  test::Forwarder forwarder(io_, server.port());
  const HistoryLimits limits{.size = 3};
  Gateway a(io_, quick(server.url()));
  Gateway b(io_, quick(forwarder.url()));
  for (auto* gateway : {&a, &b}) {
    (*gateway)->subscribe("news", limits);
    gateway->wait_for_status(true);
    ASSERT_TRUE(gateway->history("news", limits).has_value());
  }
  ASSERT_TRUE(a.publish("news", "1", limits).has_value());
  run_until(io_, [&] { return b.told.size() == 1; });

  forwarder.cut();
  b.wait_for_status(false);
  for (const auto* text : {"2", "3", "4"}) ASSERT_TRUE(a.publish("news", text, limits).has_value());
  forwarder.mend();
  b.wait_for_status(true);
  EXPECT_THAT(b.told, ElementsAre("1", "2", "3", "4")) << "all there before it is said to be back";

  forwarder.cut();
  b.wait_for_status(false);
  for (const auto* text : {"5", "6", "7", "8", "9"}) ASSERT_TRUE(a.publish("news", text, limits).has_value());
  forwarder.mend();
  b.wait_for_status(true);
  b.told.erase(b.told.begin(), b.told.begin() + 4);
  EXPECT_THAT(b.told, ElementsAre("gap in news", "6", "7", "8", "9"));
  ASSERT_THAT(b.gaps, SizeIs(1));
  EXPECT_EQ(b.gaps[0], (Position{a.positions[0].epoch, a.positions[4].offset})) << "up to the fifth";
  ASSERT_TRUE(a.publish("news", "10", limits).has_value());
  run_until(io_, [&] { return b.told.back() == "10"; });
  EXPECT_THAT(a.gaps, IsEmpty());
}

// It is stored, the answer does not arrive, the connection goes: sent again, it is known by its name.
TEST_F(NatsBrokerTest, APublicationWhoseAnswerIsLostIsStoredOnce) {
  test::NatsServer server;
  test::Forwarder forwarder(io_, server.port());
  Gateway a(io_, patient(forwarder.url()));
  Gateway b(io_, quick(server.url()));
  b->subscribe("news", kKept);
  for (auto* gateway : {&a, &b}) gateway->wait_for_status(true);
  ASSERT_TRUE(a.publish("news", "1", kKept).has_value());
  forwarder.stall();
  bool done = false;
  const auto publish_second = [&]() -> awaitable<void> {
    Publication publication{OutboundMessage::text("2"), {}, 0, {}};
    auto publishing = a->publish("news", std::move(publication), kKept);
    const auto published = co_await std::move(publishing);
    EXPECT_TRUE(published.has_value());
    done = true;
  };
  asio::co_spawn(io_, publish_second(), asio::detached);
  run_until(io_, [&] { return b.told.size() == 2; });
  forwarder.cut();
  a.wait_for_status(false);
  forwarder.mend();
  run_until(io_, [&] { return done; });
  ASSERT_TRUE(a.publish("news", "3", kKept).has_value());
  run_until(io_, [&] { return b.told.back() == "3"; });
  EXPECT_THAT(b.told, ElementsAre("1", "2", "3"));
}

// A quiet channel has lost nothing, however much was published to others.
TEST_F(NatsBrokerTest, AQuietChannelHasNoGap) {
  test::NatsServer server;
  test::Forwarder forwarder(io_, server.port());
  const HistoryLimits limits{.size = 2};
  Gateway a(io_, quick(server.url()));
  Gateway b(io_, quick(forwarder.url()));
  a.wait_for_status(true);
  b->subscribe("quiet", limits);
  b.wait_for_status(true);
  ASSERT_TRUE(b.history("quiet", limits).has_value());
  forwarder.cut();
  b.wait_for_status(false);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(a.publish("busy", "text", limits).has_value());
  ASSERT_TRUE(a.publish("quiet", "1", limits).has_value());
  forwarder.mend();
  b.wait_for_status(true);
  EXPECT_THAT(b.told, ElementsAre("1"));
}

TEST_F(NatsBrokerTest, AStoreThatIsLostIsAGapAndAnotherEpoch) {
  test::NatsServer server;
  Gateway a(io_, quick(server.url()));
  a->subscribe("news", kKept);
  a.wait_for_status(true);
  const auto before = a.publish("news", "1", kKept).value().position;
  server.kill();
  a.wait_for_status(false);
  server.lose_store();
  server.start();
  a.wait_for_status(true);
  const auto after = a.publish("news", "2", kKept).value().position;
  EXPECT_NE(after.epoch, before.epoch);
  EXPECT_THAT(a.told, ElementsAre("1", "gap in news", "2"));
  EXPECT_FALSE(a.history("news", kKept, before).value().recovered);
  EXPECT_EQ(a.positions.back(), after);
}

// A connection over which nothing comes any more is given up after two pings without an answer.
TEST_F(NatsBrokerTest, AHalfOpenConnectionIsGivenUp) {
  test::NatsServer server;
  test::Forwarder forwarder(io_, server.port());
  auto options = quick(forwarder.url());
  options.ping_interval = milliseconds(100);
  Gateway a(io_, options);
  a.wait_for_status(true);
  forwarder.stall();
  a.wait_for_status(false);
  EXPECT_FALSE(a.publish("news", "text").has_value());
}

}  // namespace
}  // namespace fresnel::broker

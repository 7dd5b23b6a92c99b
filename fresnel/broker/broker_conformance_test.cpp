// What every Broker keeps of its promises (broker.hpp). The brokers live on a thread of their own where they can, so
// that their answers come from elsewhere.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <set>
#include <thread>

#include "fresnel/broker/memory_broker.hpp"
#include "fresnel/net/testing.hpp"

namespace fresnel::broker {
namespace {

using net::OutboundMessage;
using net::testing::run;
using net::testing::run_until;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

enum class Place { same_thread, other_thread };

class BrokerConformanceTest : public ::testing::TestWithParam<Place> {
 protected:
  BrokerConformanceTest() {
    if (GetParam() == Place::other_thread) thread_ = std::thread([this] { home_.run(); });
    const Executor home =
        GetParam() == Place::same_thread ? Executor(io_.get_executor()) : Executor(home_.get_executor());
    broker_ = std::make_unique<MemoryBroker>(home, clock_);
  }
  ~BrokerConformanceTest() override {
    nodes_.clear();
    settle();
    broker_.reset();
    guard_.reset();
    if (thread_.joinable()) thread_.join();
    io_.restart();
    io_.poll();
  }

  struct TestNode {
    std::unique_ptr<Node> node;
    std::vector<std::string> told;
    std::vector<std::uint64_t> offsets;
    Delivery answer{.queued = 1};
  };
  TestNode& join() {
    auto& node = *nodes_.emplace_back(std::make_unique<TestNode>());
    Handlers handlers;
    handlers.on_publication = [&node](const std::string& channel, const PublicationPtr& publication) {
      node.told.push_back(channel + " " + std::string(publication->message.payload().view()));
      node.offsets.push_back(publication->offset);
      return node.answer;
    };
    handlers.on_control = [&node](const Control& control) {
      node.told.push_back(control.kind == Control::Kind::close_user ? "close " + control.user_id : "to all");
      return node.answer;
    };
    node.node = broker_->join(io_.get_executor(), std::move(handlers));
    return node;
  }
  // Until the broker has done what was asked of it so far.
  void settle() {
    bool done = false;
    asio::post(broker_home(), [&] { asio::post(io_, [&] { done = true; }); });
    run_until(io_, [&] { return done; });
  }
  Executor broker_home() {
    return GetParam() == Place::same_thread ? Executor(io_.get_executor()) : Executor(home_.get_executor());
  }
  Published publish(TestNode& node, const std::string& channel, const std::string& text, HistoryLimits limits = {}) {
    Published published;
    run(io_, [&]() -> awaitable<void> {
      Publication publication{OutboundMessage::text(text), {}, 0, {}};
      auto publishing = node.node->publish(channel, std::move(publication), limits);
      const auto outcome = co_await std::move(publishing);
      published = outcome.value();
    });
    return published;
  }
  History history(TestNode& node, const std::string& channel, HistoryLimits limits,
                  std::optional<Position> since = {}) {
    History history;
    run(io_, [&]() -> awaitable<void> {
      auto asking = node.node->history(channel, since, limits);
      const auto outcome = co_await std::move(asking);
      history = outcome.value();
    });
    return history;
  }
  std::vector<std::string> present(TestNode& node, const std::string& channel) {
    std::vector<std::string> connections;
    run(io_, [&]() -> awaitable<void> {
      auto asking = node.node->presence(channel);
      const auto outcome = co_await std::move(asking);
      for (const auto& one : outcome.value()) connections.push_back(one.connection_id + " " + one.user_id);
    });
    return connections;
  }
  static std::vector<std::string> texts(const History& history) {
    std::vector<std::string> all;
    for (const auto& publication : history.publications) all.emplace_back(publication->message.payload().view());
    return all;
  }

  SteadyClock clock_;
  asio::io_context io_;
  asio::io_context home_;
  asio::executor_work_guard<asio::io_context::executor_type> guard_ = asio::make_work_guard(home_);
  asio::executor_work_guard<asio::io_context::executor_type> own_guard_ = asio::make_work_guard(io_);
  std::thread thread_;
  std::unique_ptr<Broker> broker_;
  std::vector<std::unique_ptr<TestNode>> nodes_;
};

TEST_P(BrokerConformanceTest, APublicationReachesEverySubscribedNodeOnceAndItsOwnToo) {
  auto& a = join();
  auto& b = join();
  auto& c = join();
  a.node->subscribe("news");
  b.node->subscribe("news");
  b.node->subscribe("news");
  c.node->subscribe("other");
  EXPECT_EQ(publish(a, "news", "one").delivery, (Delivery{.queued = 2}));
  EXPECT_EQ(publish(c, "news", "two").delivery, (Delivery{.queued = 2})) << "from one that has not subscribed itself";
  EXPECT_THAT(a.told, ElementsAre("news one", "news two"));
  EXPECT_THAT(b.told, ElementsAre("news one", "news two"));
  EXPECT_THAT(c.told, IsEmpty());
}

TEST_P(BrokerConformanceTest, WhatTheNodesGaveIsSummedUp) {
  auto& a = join();
  auto& b = join();
  a.node->subscribe("news");
  b.node->subscribe("news");
  a.answer = {.queued = 10, .skipped = 2, .slow = 1};
  b.answer = {.queued = 5, .skipped = 1, .slow = 3};
  EXPECT_EQ(publish(a, "news", "one").delivery, (Delivery{.queued = 15, .skipped = 3, .slow = 4}));
  EXPECT_EQ(publish(a, "nobody", "one").delivery, Delivery());
}

TEST_P(BrokerConformanceTest, ANodeThatLeavesIsToldNothingMore) {
  auto& a = join();
  auto& b = join();
  a.node->subscribe("news");
  b.node->subscribe("news");
  b.node->unsubscribe("news");
  EXPECT_EQ(publish(a, "news", "one").delivery.queued, 1u);
  b.node->subscribe("news");
  b.node.reset();
  EXPECT_EQ(publish(a, "news", "two").delivery.queued, 1u);
  EXPECT_THAT(b.told, IsEmpty());
}

TEST_P(BrokerConformanceTest, EveryNodeSeesAChannelsPublicationsInOneOrder) {
  auto& a = join();
  auto& b = join();
  a.node->subscribe("news");
  b.node->subscribe("news");
  int done = 0;
  const auto publish_some = [&](TestNode& node, std::string name) -> awaitable<void> {
    for (int i = 0; i < 50; ++i) {
      Publication publication{OutboundMessage::text(name + std::to_string(i)), {}, 0, {}};
      auto publishing = node.node->publish("news", std::move(publication), {.size = 10});
      (void)co_await std::move(publishing);
    }
    ++done;
  };
  asio::co_spawn(io_, publish_some(a, "a"), [](const std::exception_ptr&) {});
  asio::co_spawn(io_, publish_some(b, "b"), [](const std::exception_ptr&) {});
  run_until(io_, [&] { return done == 2; });
  EXPECT_THAT(a.told, SizeIs(100));
  EXPECT_EQ(a.told, b.told);
  for (std::size_t i = 0; i < a.offsets.size(); ++i) EXPECT_EQ(a.offsets[i], i + 1) << "without gaps";
}

TEST_P(BrokerConformanceTest, HistoryTellsWhatCameAfterAPosition) {
  auto& a = join();
  const HistoryLimits limits{.size = 3};
  std::vector<Position> positions;
  for (const auto* text : {"one", "two", "three", "four", "five"}) {
    positions.push_back(publish(a, "news", text, limits).position);
  }
  EXPECT_EQ(positions[4].offset, 5u);
  const auto since_four = history(a, "news", limits, positions[3]);
  EXPECT_THAT(texts(since_four), ElementsAre("five"));
  EXPECT_TRUE(since_four.recovered);
  EXPECT_EQ(since_four.position, positions[4]);
  EXPECT_TRUE(history(a, "news", limits, positions[4]).recovered);
  EXPECT_THAT(texts(history(a, "news", limits, positions[4])), IsEmpty());
  EXPECT_TRUE(history(a, "news", limits, positions[1]).recovered) << "all of the three";
  EXPECT_FALSE(history(a, "news", limits, positions[0]).recovered) << "two is gone";
  EXPECT_FALSE(history(a, "news", limits, Position{"another epoch", 4}).recovered);
  EXPECT_FALSE(history(a, "news", limits, Position{positions[0].epoch, 99}).recovered) << "from the future";
  EXPECT_THAT(texts(history(a, "news", limits)), ElementsAre("three", "four", "five"));
}

TEST_P(BrokerConformanceTest, AChannelWithoutHistoryKeepsNone) {
  auto& a = join();
  a.node->subscribe("news");
  const auto published = publish(a, "news", "one");
  EXPECT_EQ(published.position, Position());
  EXPECT_THAT(a.offsets, ElementsAre(0u));
  EXPECT_THAT(texts(history(a, "news", {.size = 10})), IsEmpty());
}

// Subscribe first, then the history: what is published between is in one of the two.
TEST_P(BrokerConformanceTest, HistoryAndSubscriptionLeaveNoGap) {
  auto& publisher = join();
  const HistoryLimits limits{.size = 1000};
  bool over = false;
  const auto publish_all = [&]() -> awaitable<void> {
    for (int i = 1; i <= 200; ++i) {
      Publication publication{OutboundMessage::text(std::to_string(i)), {}, 0, {}};
      auto publishing = publisher.node->publish("news", std::move(publication), limits);
      (void)co_await std::move(publishing);
    }
    over = true;
  };
  asio::co_spawn(io_, publish_all(), [](const std::exception_ptr&) {});
  run_until(io_, [&] { return history(publisher, "news", limits).position.offset >= 50; });
  auto& late = join();
  late.node->subscribe("news");
  const auto had = history(late, "news", limits);
  run_until(io_, [&] { return over; });
  std::set<std::uint64_t> seen;
  for (const auto& publication : had.publications) seen.insert(publication->offset);
  for (const auto offset : late.offsets) seen.insert(offset);
  EXPECT_THAT(seen, SizeIs(200));
}

TEST_P(BrokerConformanceTest, PresenceIsThatOfAllNodesAndEndsWithThem) {
  auto& a = join();
  auto& b = join();
  a.node->add_presence("room", {"c1", "ada"});
  b.node->add_presence("room", {"c2", "bob"});
  b.node->add_presence("room", {"c3", "ada"});
  EXPECT_THAT(present(a, "room"), UnorderedElementsAre("c1 ada", "c2 bob", "c3 ada"));
  b.node->remove_presence("room", "c2");
  EXPECT_THAT(present(a, "room"), UnorderedElementsAre("c1 ada", "c3 ada"));
  b.node.reset();
  EXPECT_THAT(present(a, "room"), UnorderedElementsAre("c1 ada"));
  EXPECT_THAT(present(a, "empty"), IsEmpty());
}

TEST_P(BrokerConformanceTest, AControlReachesEveryNode) {
  auto& a = join();
  auto& b = join();
  Control control;
  control.kind = Control::Kind::close_user;
  control.user_id = "ada";
  run(io_, [&]() -> awaitable<void> {
    auto asking = a.node->control(control);
    const auto answer = co_await std::move(asking);
    EXPECT_EQ(answer.value(), (Delivery{.queued = 2}));
  });
  EXPECT_THAT(a.told, ElementsAre("close ada"));
  EXPECT_THAT(b.told, ElementsAre("close ada"));
}

INSTANTIATE_TEST_SUITE_P(Memory, BrokerConformanceTest, ::testing::Values(Place::same_thread, Place::other_thread),
                         [](const auto& place) {
                           return place.param == Place::same_thread ? "SameThread" : "OtherThread";
                         });

}  // namespace
}  // namespace fresnel::broker

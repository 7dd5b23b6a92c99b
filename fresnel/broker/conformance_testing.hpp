// What every Broker keeps of its promises (broker.hpp): one suite for all of them. A program includes this and
// instantiates BrokerConformanceTest with what makes its brokers.
//
// Nodes join one gateway after the other, as far as there are several. What a publication came to is then that of the
// publisher's gateway; nodes of another are told soon after.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "fresnel/broker/broker.hpp"
#include "fresnel/net/testing.hpp"

namespace fresnel::broker {

using net::OutboundMessage;
using net::testing::run;
using net::testing::run_until;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

struct BrokerKind {
  std::string name;
  bool has_own_thread = false;  // the brokers live on a thread of their own, so that their answers come from elsewhere
  // The brokers of an installation, one a gateway, that share nothing with those made before.
  std::function<std::vector<std::unique_ptr<Broker>>(const Executor& home, Clock& clock)> make;
};

class BrokerConformanceTest : public ::testing::TestWithParam<BrokerKind> {
 protected:
  BrokerConformanceTest() {
    const bool apart = GetParam().has_own_thread;
    if (apart) thread_ = std::thread([this] { home_.run(); });
    brokers_ = GetParam().make(apart ? Executor(home_.get_executor()) : Executor(io_.get_executor()), clock_);
    for (auto& broker : brokers_) watches_.push_back(watch(*broker));
    run_until(io_, [&] { return away_ == 0; });
  }
  ~BrokerConformanceTest() override {
    nodes_.clear();
    watches_.clear();
    brokers_.clear();
    bool done = false;
    const auto home = GetParam().has_own_thread ? Executor(home_.get_executor()) : Executor(io_.get_executor());
    asio::post(home, [&] { asio::post(io_, [&] { done = true; }); });
    run_until(io_, [&] { return done; });
    guard_.reset();
    own_guard_.reset();
    if (thread_.joinable()) thread_.join();
    io_.restart();
    io_.poll();
  }

  struct TestNode {
    std::unique_ptr<Node> node;
    std::size_t gateway = 0;
    std::vector<std::string> told;
    std::vector<std::uint64_t> offsets;
    Delivery answer{.queued = 1};
  };
  TestNode& join() {
    auto& node = *nodes_.emplace_back(std::make_unique<TestNode>());
    node.gateway = (nodes_.size() - 1) % brokers_.size();
    Handlers handlers;
    handlers.on_publication = [&node](const std::string& channel, const PublicationPtr& publication) {
      if (channel == "settle") return Delivery();
      node.told.push_back(channel + " " + std::string(publication->message.payload().view()));
      node.offsets.push_back(publication->offset);
      return node.answer;
    };
    handlers.on_control = [&node](const Control& control) {
      node.told.push_back(control.kind == Control::Kind::close_user ? "close " + control.user_id : "to all");
      return node.answer;
    };
    node.node = brokers_[node.gateway]->join(io_.get_executor(), std::move(handlers));
    return node;
  }
  // Until what nodes have asked for so far is in force for the publications of all.
  void settle() {
    for (const auto& node : nodes_) {
      if (!node->node) continue;
      node->node->subscribe("settle", HistoryLimits());
      (void)publish(*node, "settle", "");
    }
  }
  // What `publisher` is told its message came to at these nodes.
  static Delivery at(const TestNode& publisher, const std::vector<const TestNode*>& nodes) {
    Delivery sum;
    for (const auto* node : nodes) {
      if (node->gateway == publisher.gateway) sum += node->answer;
    }
    return sum;
  }
  std::vector<std::string> told(TestNode& node, std::size_t count) {
    run_until(io_, [&] { return node.told.size() >= count; });
    return node.told;
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
  std::vector<std::unique_ptr<Broker>> brokers_;
  std::vector<std::unique_ptr<TestNode>> nodes_;

 private:
  // Told when its broker is away and when it is back.
  std::unique_ptr<Node> watch(Broker& broker) {
    Handlers handlers;
    handlers.on_publication = [](const std::string&, const PublicationPtr&) { return Delivery(); };
    handlers.on_control = [](const Control&) { return Delivery(); };
    handlers.on_status = [this](bool connected) { away_ += connected ? -1 : 1; };
    auto node = broker.join(io_.get_executor(), std::move(handlers));
    run(io_, [&]() -> awaitable<void> {  // it has joined, and been told, when it gets an answer
      auto asking = node->history("settle", std::nullopt, HistoryLimits());
      (void)co_await std::move(asking);
    });
    return node;
  }

  int away_ = 0;
  std::vector<std::unique_ptr<Node>> watches_;
};

TEST_P(BrokerConformanceTest, APublicationReachesEverySubscribedNodeOnceAndItsOwnToo) {
  auto& a = join();
  auto& b = join();
  auto& c = join();
  a.node->subscribe("news", HistoryLimits());
  b.node->subscribe("news", HistoryLimits());
  b.node->subscribe("news", HistoryLimits());
  c.node->subscribe("other", HistoryLimits());
  settle();
  EXPECT_EQ(publish(a, "news", "one").delivery, at(a, {&a, &b}));
  EXPECT_EQ(publish(c, "news", "two").delivery, at(c, {&a, &b})) << "from one that has not subscribed itself";
  EXPECT_THAT(told(a, 2), ElementsAre("news one", "news two"));
  EXPECT_THAT(told(b, 2), ElementsAre("news one", "news two"));
  settle();
  EXPECT_THAT(b.told, SizeIs(2));
  EXPECT_THAT(c.told, IsEmpty());
}

TEST_P(BrokerConformanceTest, WhatTheNodesGaveIsSummedUp) {
  auto& a = join();
  auto& b = join();
  auto& c = join();
  for (auto* node : {&a, &b, &c}) node->node->subscribe("news", HistoryLimits());
  a.answer = {.queued = 10, .skipped = 2, .slow = 1};
  b.answer = {.queued = 5, .skipped = 1, .slow = 3};
  c.answer = {.queued = 7, .skipped = 4, .slow = 2};
  EXPECT_EQ(publish(a, "news", "one").delivery, at(a, {&a, &b, &c}));
  EXPECT_EQ(publish(a, "nobody", "one").delivery, Delivery());
}

TEST_P(BrokerConformanceTest, ANodeThatLeavesIsToldNothingMore) {
  auto& a = join();
  auto& b = join();
  a.node->subscribe("news", HistoryLimits());
  b.node->subscribe("news", HistoryLimits());
  b.node->unsubscribe("news");
  settle();
  EXPECT_EQ(publish(a, "news", "one").delivery.queued, 1u);
  b.node->subscribe("news", HistoryLimits());
  b.node.reset();
  EXPECT_EQ(publish(a, "news", "two").delivery.queued, 1u);
  settle();
  EXPECT_THAT(b.told, IsEmpty());
}

TEST_P(BrokerConformanceTest, EveryNodeSeesAChannelsPublicationsInOneOrder) {
  auto& a = join();
  auto& b = join();
  const HistoryLimits limits{.size = 10};
  a.node->subscribe("news", limits);
  b.node->subscribe("news", limits);
  settle();
  int done = 0;
  const auto publish_some = [&](TestNode& node, std::string name) -> awaitable<void> {
    for (int i = 0; i < 50; ++i) {
      Publication publication{OutboundMessage::text(name + std::to_string(i)), {}, 0, {}};
      auto publishing = node.node->publish("news", std::move(publication), limits);
      (void)co_await std::move(publishing);
    }
    ++done;
  };
  asio::co_spawn(io_, publish_some(a, "a"), [](const std::exception_ptr&) {});
  asio::co_spawn(io_, publish_some(b, "b"), [](const std::exception_ptr&) {});
  run_until(io_, [&] { return done == 2 && a.told.size() + b.told.size() >= 200; });
  EXPECT_THAT(a.told, SizeIs(100));
  EXPECT_EQ(a.told, b.told);
  EXPECT_EQ(a.offsets, b.offsets);
  for (std::size_t i = 1; i < a.offsets.size(); ++i) EXPECT_LT(a.offsets[i - 1], a.offsets[i]);
}

TEST_P(BrokerConformanceTest, HistoryTellsWhatCameAfterAPosition) {
  auto& a = join();
  const HistoryLimits limits{.size = 3};
  std::vector<Position> positions;
  for (const auto* text : {"one", "two", "three", "four", "five"}) {
    positions.push_back(publish(a, "news", text, limits).position);
  }
  for (std::size_t i = 1; i < positions.size(); ++i) EXPECT_LT(positions[i - 1].offset, positions[i].offset);
  const auto since_four = history(a, "news", limits, positions[3]);
  EXPECT_THAT(texts(since_four), ElementsAre("five"));
  EXPECT_TRUE(since_four.recovered);
  EXPECT_EQ(since_four.position, positions[4]);
  EXPECT_TRUE(history(a, "news", limits, positions[4]).recovered);
  EXPECT_THAT(texts(history(a, "news", limits, positions[4])), IsEmpty());
  EXPECT_TRUE(history(a, "news", limits, positions[1]).recovered) << "all of the three";
  EXPECT_FALSE(history(a, "news", limits, positions[0]).recovered) << "two is gone";
  EXPECT_FALSE(history(a, "news", limits, Position{"another epoch", 4}).recovered);
  EXPECT_FALSE(history(a, "news", limits, Position{positions[0].epoch, 1'000'000}).recovered) << "from the future";
  EXPECT_THAT(texts(history(a, "news", limits)), ElementsAre("three", "four", "five"));
}

TEST_P(BrokerConformanceTest, AChannelWithoutHistoryKeepsNone) {
  auto& a = join();
  a.node->subscribe("news", HistoryLimits());
  const auto published = publish(a, "news", "one");
  EXPECT_EQ(published.position, Position());
  EXPECT_THAT(a.offsets, ElementsAre(0u));
  EXPECT_THAT(texts(history(a, "news", {.size = 10})), IsEmpty());
}

// Subscribe first, then the history: what is published between is in one of the two.
TEST_P(BrokerConformanceTest, HistoryAndSubscriptionLeaveNoGap) {
  auto& publisher = join();
  auto& late = join();
  const HistoryLimits limits{.size = 1000};
  bool over = false;
  int published = 0;
  const auto publish_all = [&]() -> awaitable<void> {
    for (int i = 1; i <= 200; ++i) {
      Publication publication{OutboundMessage::text(std::to_string(i)), {}, 0, {}};
      auto publishing = publisher.node->publish("news", std::move(publication), limits);
      (void)co_await std::move(publishing);
      published = i;
    }
    over = true;
  };
  asio::co_spawn(io_, publish_all(), [](const std::exception_ptr&) {});
  run_until(io_, [&] { return published >= 50; });
  late.node->subscribe("news", limits);
  const auto had = history(late, "news", limits);
  EXPECT_GE(had.publications.size(), 50u);
  std::set<std::uint64_t> seen;
  for (const auto& publication : had.publications) seen.insert(publication->offset);
  run_until(io_, [&] {
    for (const auto offset : late.offsets) seen.insert(offset);
    return over && seen.size() >= 200;
  });
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
    EXPECT_EQ(answer.value(), at(a, {&a, &b}));
  });
  EXPECT_THAT(told(a, 1), ElementsAre("close ada"));
  EXPECT_THAT(told(b, 1), ElementsAre("close ada"));
}

// Positions of two gateways mean the same, and what was published on one is another's history.
TEST_P(BrokerConformanceTest, APositionIsGoodAtEveryNode) {
  auto& a = join();
  auto& b = join();
  const HistoryLimits limits{.size = 10};
  a.node->subscribe("news", limits);
  const auto first = publish(a, "news", "one", limits).position;
  (void)publish(b, "news", "two", limits);
  b.node->subscribe("news", limits);
  const auto since = history(b, "news", limits, first);
  EXPECT_TRUE(since.recovered);
  EXPECT_THAT(texts(since), ElementsAre("two"));
  EXPECT_THAT(told(a, 2), ElementsAre("news one", "news two"));
}

// A position from before the first message.
TEST_P(BrokerConformanceTest, APositionOfAnEmptyChannelIsOneToComeBackTo) {
  auto& a = join();
  const HistoryLimits limits{.size = 10};
  (void)publish(a, "other", "one", limits);
  const auto begin = history(a, "news", limits).position;
  (void)publish(a, "other", "two", limits);
  (void)publish(a, "news", "first", limits);
  const auto back = history(a, "news", limits, begin);
  EXPECT_TRUE(back.recovered);
  EXPECT_THAT(texts(back), ElementsAre("first"));
}

// Whatever a message is, it comes as what it was; which subscribers it is for, too.
TEST_P(BrokerConformanceTest, AMessageComesAsWhatItWas) {
  auto& a = join();
  auto& b = join();
  std::vector<PublicationPtr> seen;
  Handlers handlers;
  handlers.on_publication = [&](const std::string&, const PublicationPtr& publication) {
    seen.push_back(publication);
    return Delivery();
  };
  handlers.on_control = [](const Control&) { return Delivery(); };
  const auto node = brokers_[b.gateway]->join(io_.get_executor(), std::move(handlers));
  Selection selection;
  selection.user_ids = {"ada", "b\r\nob"};
  selection.attributes = {{"role", "\"admin\""}};
  selection.exclude_connection_id = "c7";
  const std::vector<OutboundMessage> messages = {
      OutboundMessage::text("gr\u00fc\u00dfe\n"), OutboundMessage::binary(std::string("\0\xff\r\n", 4)),
      OutboundMessage::serialized_json(R"({"n":1.50})").with_key("k\r\ney"), OutboundMessage::text("")};
  for (const auto& limits : {HistoryLimits(), HistoryLimits{.size = 10}}) {
    const std::string name = limits.size > 0 ? "kept.channel/a:b@c" : "channel.a";
    node->subscribe(name, limits);
    b.node->subscribe(name, limits);
    settle();
    seen.clear();
    run(io_, [&]() -> awaitable<void> {
      for (const auto& message : messages) {
        Publication publication{message, selection, 0, {}};
        auto publishing = a.node->publish(name, std::move(publication), limits);
        const auto published = co_await std::move(publishing);
        EXPECT_TRUE(published.has_value());
      }
    });
    run_until(io_, [&] { return seen.size() == messages.size(); });
    for (std::size_t i = 0; i < messages.size(); ++i) {
      EXPECT_EQ(seen[i]->message.kind(), messages[i].kind());
      EXPECT_EQ(seen[i]->message.payload(), messages[i].payload());
      EXPECT_EQ(seen[i]->message.key(), messages[i].key());
      EXPECT_EQ(seen[i]->selection, selection);
    }
  }
}

}  // namespace fresnel::broker

#include "fresnel/broker/memory_broker.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "fresnel/net/testing.hpp"

namespace fresnel::broker {
namespace {

using net::testing::run;
using ::testing::ElementsAre;

class MemoryBrokerTest : public ::testing::Test {
 protected:
  MemoryBrokerTest() : broker_(io_.get_executor(), clock_, {.max_publishing = 2}) {
    Handlers handlers;
    handlers.on_publication = [](const std::string&, const PublicationPtr&) { return Delivery(); };
    node_ = broker_.join(io_.get_executor(), std::move(handlers));
  }
  ~MemoryBrokerTest() override {
    node_.reset();
    poll();
  }
  void poll() {
    io_.restart();
    io_.poll();
  }
  Position publish(const std::string& channel, HistoryLimits limits) {
    Position position;
    run(io_, [&]() -> awaitable<void> {
      Publication publication{net::OutboundMessage::text("text"), {}, 0, {}};
      auto publishing = node_->publish(channel, std::move(publication), limits);
      const auto published = co_await std::move(publishing);
      position = published.value().position;
    });
    return position;
  }
  History history(const std::string& channel, HistoryLimits limits, std::optional<Position> since = {}) {
    History history;
    run(io_, [&]() -> awaitable<void> {
      auto asking = node_->history(channel, since, limits);
      history = (co_await std::move(asking)).value();
    });
    return history;
  }

  ManualClock clock_;
  asio::io_context io_;
  MemoryBroker broker_;
  std::unique_ptr<Node> node_;
};

TEST_F(MemoryBrokerTest, HistoryEndsWithItsLifetime) {
  const HistoryLimits limits{.size = 10, .lifetime = seconds(60)};
  const auto first = publish("news", limits);
  clock_.advance(seconds(40));
  (void)publish("news", limits);
  EXPECT_TRUE(history("news", limits, Position{first.epoch, 0}).recovered);
  clock_.advance(seconds(20));
  EXPECT_FALSE(history("news", limits, Position{first.epoch, 0}).recovered);
  EXPECT_TRUE(history("news", limits, first).recovered);
  EXPECT_EQ(history("news", limits).publications.size(), 1u);
}

TEST_F(MemoryBrokerTest, AChannelThatNobodyNeedsIsForgottenAndItsEpochWithIt) {
  const HistoryLimits limits{.size = 10, .lifetime = seconds(10)};
  const auto before = publish("news", limits);
  EXPECT_EQ(broker_.channels(), 1u);
  for (int i = 0; i < 2; ++i) {
    clock_.advance(seconds(30));
    poll();
  }
  EXPECT_EQ(broker_.channels(), 0u);
  EXPECT_EQ(clock_.armed(), 0u) << "nothing is left to look for";
  const auto after = publish("news", limits);
  EXPECT_EQ(after.offset, 1u);
  EXPECT_NE(after.epoch, before.epoch);
}

TEST_F(MemoryBrokerTest, APositionIsGoodForTheHistorysLifetimeThoughNobodyIsThere) {
  const HistoryLimits limits{.size = 10, .lifetime = seconds(100)};
  node_->subscribe("news", HistoryLimits());
  const auto begin = history("news", limits).position;
  node_->unsubscribe("news");
  clock_.advance(seconds(60));
  poll();
  (void)publish("news", limits);
  const auto back = history("news", limits, begin);
  EXPECT_TRUE(back.recovered);
  EXPECT_EQ(back.publications.size(), 1u);
}

TEST_F(MemoryBrokerTest, TooManyPublicationsUnderWayAreRefused) {
  node_->subscribe("news", HistoryLimits());
  std::vector<std::string> ends;
  const auto publish_one = [&]() -> awaitable<void> {
    Publication publication{net::OutboundMessage::text("text"), {}, 0, {}};
    auto publishing = node_->publish("news", std::move(publication), HistoryLimits());
    const auto published = co_await std::move(publishing);
    ends.emplace_back(published ? "published" : published.error().message);
  };
  for (int i = 0; i < 3; ++i) asio::co_spawn(io_, publish_one(), asio::detached);
  poll();
  EXPECT_THAT(ends, ElementsAre("too many messages are being published", "published", "published"));
  asio::co_spawn(io_, publish_one(), asio::detached);
  poll();
  EXPECT_EQ(ends.back(), "published") << "room again";
}

TEST_F(MemoryBrokerTest, SubscribersAndPresenceKeepAChannel) {
  node_->subscribe("news", HistoryLimits());
  node_->add_presence("room", {"c", "ada"});
  poll();
  for (int i = 0; i < 3; ++i) {
    clock_.advance(seconds(30));
    poll();
  }
  EXPECT_EQ(broker_.channels(), 2u);
  node_->unsubscribe("news");
  node_->remove_presence("room", "c");
  poll();
  EXPECT_EQ(broker_.channels(), 0u);
}

}  // namespace
}  // namespace fresnel::broker

#include "fresnel/websocket/slow_consumer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <random>
#include <vector>

namespace fresnel::websocket {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

OutboundMessage message(const std::string& text, std::string key = {}) {
  return OutboundMessage::text(text).with_key(std::move(key));
}

std::vector<std::string> drain(WaitingMessages& waiting) {
  std::vector<std::string> texts;
  while (const auto next = waiting.pop()) texts.emplace_back(next->payload().view());
  return texts;
}

TEST(WaitingMessages, TheOldestGoBeyondTheBound) {
  WaitingMessages waiting(10, 0);
  EXPECT_EQ(waiting.push(message("aaaa"), SlowConsumer::drop_oldest).dropped, 0u);
  EXPECT_EQ(waiting.push(message("bbbb"), SlowConsumer::drop_oldest).dropped, 0u);
  EXPECT_EQ(waiting.push(message("cc"), SlowConsumer::drop_oldest).dropped, 0u) << "10 bytes";
  EXPECT_EQ(waiting.push(message("ddddd"), SlowConsumer::drop_oldest).dropped, 2u);
  EXPECT_EQ(waiting.bytes(), 7u);
  EXPECT_THAT(drain(waiting), ElementsAre("cc", "ddddd"));
  EXPECT_TRUE(waiting.empty());
  EXPECT_EQ(waiting.bytes(), 0u);
}

TEST(WaitingMessages, WhatIsLargerAloneThanTheBoundIsDroppedItself) {
  WaitingMessages waiting(10, 0);
  (void)waiting.push(message("a"), SlowConsumer::drop_oldest);
  EXPECT_EQ(waiting.push(message(std::string(11, 'x')), SlowConsumer::drop_oldest).dropped, 1u);
  EXPECT_THAT(drain(waiting), ElementsAre("a"));
}

TEST(WaitingMessages, OfOneKeyTheNewestStaysAndComesLast) {
  WaitingMessages waiting(100, 0);
  (void)waiting.push(message("a1", "a"), SlowConsumer::conflate);
  (void)waiting.push(message("b1", "b"), SlowConsumer::conflate);
  (void)waiting.push(message("none"), SlowConsumer::conflate);
  const auto displaced = waiting.push(message("a2", "a"), SlowConsumer::conflate);
  EXPECT_EQ(displaced.conflated, 1u);
  EXPECT_EQ(displaced.dropped, 0u);
  EXPECT_THAT(drain(waiting), ElementsAre("b1", "none", "a2"));
  EXPECT_EQ(waiting.push(message("a3", "a"), SlowConsumer::conflate).conflated, 0u)
      << "what has been sent is nobody's to displace";
}

TEST(WaitingMessages, KeysMeanNothingToTheOtherPolicies) {
  WaitingMessages waiting(100, 0);
  (void)waiting.push(message("a1", "a"), SlowConsumer::drop_oldest);
  EXPECT_EQ(waiting.push(message("a2", "a"), SlowConsumer::drop_oldest).conflated, 0u);
  EXPECT_THAT(drain(waiting), ElementsAre("a1", "a2"));
}

TEST(WaitingMessages, EmptyMessagesAreBoundedToo) {
  WaitingMessages waiting(10 * WaitingMessages::kOverhead);
  std::size_t dropped = 0;
  for (int i = 0; i < 1000; ++i) dropped += waiting.push(message(""), SlowConsumer::drop_oldest).dropped;
  EXPECT_EQ(waiting.size(), 10u);
  EXPECT_EQ(dropped, 990u);
}

// Against the plainest model: a list that is searched.
TEST(WaitingMessages, BehavesAsItsModel) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    constexpr std::size_t kMax = 20;
    WaitingMessages waiting(kMax, 0);
    std::deque<std::pair<std::string, std::string>> model;  // key, text
    for (int step = 0; step < 100; ++step) {
      if (random() % 4 == 0) {
        const auto next = waiting.pop();
        ASSERT_EQ(next.has_value(), !model.empty());
        if (!next) continue;
        EXPECT_EQ(next->payload().view(), model.front().second);
        model.pop_front();
        continue;
      }
      const std::string key = random() % 3 == 0 ? "" : std::string(1, static_cast<char>('a' + random() % 3));
      const std::string text = std::to_string(step) + std::string(random() % 6, 'x');
      (void)waiting.push(message(text, key), SlowConsumer::conflate);
      if (!key.empty()) std::erase_if(model, [&](const auto& entry) { return entry.first == key; });
      model.emplace_back(key, text);
      const auto bytes = [&] {
        std::size_t sum = 0;
        for (const auto& entry : model) sum += entry.first.size() + entry.second.size();
        return sum;
      };
      while (bytes() > kMax) model.pop_front();
      ASSERT_EQ(waiting.size(), model.size());
      ASSERT_EQ(waiting.bytes(), bytes());
    }
    std::vector<std::string> rest;
    for (const auto& entry : model) rest.push_back(entry.second);
    EXPECT_EQ(drain(waiting), rest);
  }
}

}  // namespace
}  // namespace fresnel::websocket

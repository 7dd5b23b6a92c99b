#include "fresnel/broker/nats_log.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fresnel::broker {
namespace {

using nats_wire::Received;
using nats_wire::StreamInfo;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Taken = NatsLog::Taken;

const TimePoint kNow = TimePoint(std::chrono::hours(10));
const WallTime kWall = WallTime(std::chrono::hours(500'000));

StreamInfo stream(std::uint64_t first, std::uint64_t last, std::string epoch = "e1") {
  StreamInfo info;
  info.epoch = std::move(epoch);
  info.first = first;
  info.last = last;
  return info;
}

Received message(std::uint64_t sequence, std::uint64_t previous = 0) {
  Received received;
  received.id = "id" + std::to_string(sequence);
  received.sequence = sequence;
  received.previous = previous;
  return received;
}

nats_wire::Stored messages(const std::vector<std::uint64_t>& sequences, bool truncated = false) {
  nats_wire::Stored all;
  for (const auto sequence : sequences) all.messages.push_back(message(sequence));
  all.truncated = truncated;
  return all;
}

NatsLog log_of(const StreamInfo& info, const std::vector<std::uint64_t>& sequences, HistoryLimits limits) {
  NatsLog log(limits);
  log.restart(info, messages(sequences), kNow, kWall);
  return log;
}

std::vector<std::uint64_t> offsets(const History& history) {
  std::vector<std::uint64_t> all;
  for (const auto& publication : history.publications) all.push_back(publication->offset);
  return all;
}

std::vector<std::uint64_t> offsets(const NatsLog::CaughtUp& caught_up) {
  std::vector<std::uint64_t> all;
  for (const auto& entry : caught_up.fresh) all.push_back(entry.publication->offset);
  return all;
}

const HistoryLimits kThree{.size = 3, .lifetime = seconds(80)};

TEST(NatsLogTest, HowFarItReaches) {
  struct Case {
    std::string name;
    StreamInfo info;
    std::vector<std::uint64_t> stored;
    std::uint64_t floor;
    std::uint64_t last;
  };
  const std::vector<Case> cases = {
      {"a stream that has never had a message", stream(1, 0), {}, 0, 0},
      {"nothing was ever dropped", stream(1, 9), {4, 9}, 0, 9},
      {"the oldest of the stream are gone, perhaps this channel's, too", stream(5, 9), {7, 9}, 4, 9},
      {"one more than the history has", stream(1, 9), {2, 4, 6, 8}, 2, 8},
      {"nothing is left of this channel", stream(5, 9), {}, 4, 9},
  };
  for (const auto& one : cases) {
    const auto log = log_of(one.info, one.stored, kThree);
    EXPECT_EQ(log.floor(), one.floor) << one.name;
    EXPECT_EQ(log.last(), one.last) << one.name;
  }
}

TEST(NatsLogTest, WhatComesExtendsItUnlessSomethingIsMissing) {
  auto log = log_of(stream(1, 5), {5}, kThree);
  const auto take = [&](std::uint64_t sequence, std::uint64_t previous) {
    auto received = message(sequence, previous);
    return log.take(received, kNow);
  };
  EXPECT_EQ(take(7, 5), Taken::next);
  EXPECT_EQ(take(7, 5), Taken::known);
  EXPECT_EQ(take(12, 9), Taken::gap);
  EXPECT_EQ(log.last(), 7u);
  EXPECT_EQ(take(9, 7), Taken::next);
  EXPECT_EQ(take(12, 9), Taken::next);
  EXPECT_EQ(take(20, 0), Taken::next) << "all before it have run out";
  EXPECT_EQ(take(10, 9), Taken::late) << "overtaken by 12";
  EXPECT_EQ(log.taken().publication->offset, 10u);
  EXPECT_EQ(take(10, 9), Taken::known);
  EXPECT_EQ(log.last(), 20u);
  EXPECT_EQ(take(6, 5), Taken::old);
  EXPECT_EQ(log.floor(), 9u) << "three are kept";
  auto other = message(12, 9);
  other.id = "of another stream's life";
  EXPECT_EQ(log.take(other, kNow), Taken::old);
}

TEST(NatsLogTest, CatchingUp) {
  struct Case {
    std::string name;
    StreamInfo info;
    std::vector<std::uint64_t> stored;
    bool nothing_aged;
    std::vector<std::uint64_t> fresh;
    std::optional<std::uint64_t> lost;
    bool truncated = false;
  };
  const std::vector<Case> cases = {
      {"nothing new", stream(1, 5), {5}, false, {}, {}},
      {"the last known is there: so is what followed", stream(5, 9), {5, 7, 9}, false, {7, 9}, {}},
      {"it has run out, but nothing since can have", stream(8, 9), {8, 9}, true, {8, 9}, {}},
      {"it has run out, and others may have", stream(8, 9), {8, 9}, false, {8, 9}, 7},
      {"it was pushed out, the oldest of the stream is older", stream(2, 9), {7, 8, 9}, false, {7, 8, 9}, {}},
      {"more came than the history has", stream(1, 9), {6, 7, 8, 9}, true, {6, 7, 8, 9}, 5},
      {"all has run out", stream(10, 9), {}, false, {}, 9},
      {"it was pushed out while it was read, and more with it", stream(1, 9), {8, 9}, true, {8, 9}, 7, true},
      {"all that was read was pushed out meanwhile", stream(1, 9), {}, true, {}, 9, true},
  };
  for (const auto& one : cases) {
    auto log = log_of(stream(1, 5), {3, 5}, kThree);
    const auto caught_up = log.catch_up(one.info, messages(one.stored, one.truncated), one.nothing_aged, kNow, kWall);
    EXPECT_EQ(offsets(caught_up), one.fresh) << one.name;
    const auto lost = caught_up.lost ? std::optional(caught_up.lost->offset) : std::nullopt;
    EXPECT_EQ(lost, one.lost) << one.name;
  }
}

TEST(NatsLogTest, AnotherLifeOfTheStreamIsNotTheSame) {
  const auto log = log_of(stream(1, 5), {3, 5}, kThree);
  EXPECT_TRUE(log.is_same(stream(1, 9)));
  EXPECT_FALSE(log.is_same(stream(1, 9, "e2")));
  EXPECT_FALSE(log.is_same(stream(1, 4))) << "it has lost what it had";
  EXPECT_EQ(log.read_from(stream(1, 9)), 5u);
  EXPECT_EQ(log.read_from(stream(1, 9, "e2")), 1u);
}

TEST(NatsLogTest, WhoComesBackGetsWhatItMissedOrIsToldOtherwise) {
  auto log = log_of(stream(1, 9), {2, 4, 6, 8}, kThree);
  const auto since = [&](std::uint64_t offset, std::string epoch = "e1") {
    return *log.history(Position{std::move(epoch), offset}, 3, kNow);
  };
  EXPECT_TRUE(since(2).recovered);
  EXPECT_THAT(offsets(since(2)), ElementsAre(4, 6, 8));
  EXPECT_FALSE(since(1).recovered);
  EXPECT_THAT(offsets(since(6)), ElementsAre(8));
  EXPECT_THAT(offsets(since(8)), IsEmpty());
  EXPECT_TRUE(since(8).recovered);
  EXPECT_FALSE(since(9).recovered) << "from the future";
  EXPECT_FALSE(since(6, "e0").recovered);
  EXPECT_THAT(offsets(*log.history(Position{"e1", 2}, 2, kNow)), ElementsAre(6, 8)) << "who wants fewer";
  EXPECT_FALSE(log.history(Position{"e1", 2}, 2, kNow)->recovered);
}

TEST(NatsLogTest, PublicationsRunOut) {
  NatsLog log(kThree);
  auto stored = messages({4, 6});
  stored.messages[0].stored_at = kWall - seconds(60);
  stored.messages[1].stored_at = kWall - seconds(10);
  log.restart(stream(1, 6), std::move(stored), kNow, kWall);
  EXPECT_THAT(offsets(*log.history({}, 3, kNow + seconds(19))), ElementsAre(4, 6));
  EXPECT_THAT(offsets(*log.history({}, 3, kNow + seconds(20))), ElementsAre(6));
  EXPECT_FALSE(log.history(Position{"e1", 3}, 3, kNow + seconds(20))->recovered);
  EXPECT_TRUE(log.history(Position{"e1", 4}, 3, kNow + seconds(20))->recovered);
}

TEST(NatsLogTest, ForWhatWasForgottenForLackOfRoomTheStreamIsAsked) {
  auto log = log_of(stream(1, 6), {4, 5, 6}, kThree);
  log.shrink(1);
  EXPECT_FALSE(log.history(Position{"e1", 4}, 3, kNow).has_value());
  EXPECT_TRUE(log.history(Position{"e1", 5}, 3, kNow)->recovered);
}

TEST(NatsLogTest, HistoryOfAChannelThatNobodyFollows) {
  const auto recovered = [&](const StreamInfo& info, const std::vector<std::uint64_t>& stored, std::uint64_t since) {
    return history_of(info, messages(stored), kThree, Position{info.epoch, since}, kNow, kWall).recovered;
  };
  EXPECT_TRUE(recovered(stream(1, 9), {4, 9}, 2));
  EXPECT_FALSE(recovered(stream(4, 9), {4, 9}, 2)) << "a message of it may have run out";
  EXPECT_TRUE(recovered(stream(4, 9), {4, 9}, 4));
  EXPECT_TRUE(recovered(stream(8, 9), {8, 9}, 8));
  EXPECT_TRUE(recovered(stream(4, 20), {4, 9}, 15)) << "a position of when it had none, behind what there is";
  EXPECT_FALSE(recovered(stream(4, 20), {4, 9}, 21)) << "from the future";
  EXPECT_FALSE(recovered(stream(18, 20), {}, 15));
  EXPECT_TRUE(recovered(stream(16, 20), {}, 15));
  const auto info = stream(1, 9);
  const Position before{info.epoch, 2};
  EXPECT_FALSE(history_of(info, messages({8, 9}, true), kThree, before, kNow, kWall).recovered);
}

}  // namespace
}  // namespace fresnel::broker

#include "fresnel/hub/event_log.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace fresnel::hub {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

kube::WatchEvent event(std::string_view type, std::string_view name, std::uint64_t version) {
  const std::string text = R"({"type":")" + std::string(type) + R"(","object":{"metadata":{"name":")" +
                           std::string(name) + R"(","uid":"u-)" + std::string(name) + R"(","resourceVersion":")" +
                           std::to_string(version) + R"("}}})";
  return kube::parse_watch_event(SharedBytes(text)).value();
}

std::string line(const kube::WatchEvent& event) {
  return std::string(to_string(event.type)) + " " + std::string(event.name) + "@" + std::string(event.resource_version);
}

class EventLogTest : public ::testing::Test {
 protected:
  void append(std::string_view type, std::string_view name, std::uint64_t version) {
    auto made = event(type, name, version);
    ClusterMetrics counters;
    log.append(publish(std::move(made), {}, counters));
  }
  void bound(EventLogOptions options) {
    log = EventLog(options);
    log.reset(10);
  }
  std::vector<std::string> after(std::uint64_t version) const {
    std::vector<std::string> lines;
    for (const auto& published : log.after(version)) lines.push_back(line(published->event));
    return lines;
  }
  std::vector<std::string> deleted_after(std::uint64_t version) {
    std::vector<std::string> lines;
    ClusterMetrics counters;
    for (const auto& published : log.deleted_after(version, {}, counters)) lines.push_back(line(published->event));
    return lines;
  }
  void SetUp() override { log.reset(10); }

  EventLog log;
};

TEST_F(EventLogTest, ClaimsNothingBeforeItsStart) {
  EXPECT_EQ(log.horizon(), 10u);
  EXPECT_EQ(log.tombstone_horizon(), 10u);
  EXPECT_FALSE(log.tells_after(9));
  EXPECT_FALSE(log.tells_difference(9));
  EXPECT_TRUE(log.tells_after(10));
  EXPECT_TRUE(log.tells_after(1000));
  EXPECT_THAT(after(10), IsEmpty());
}

TEST_F(EventLogTest, TellsWhatCameAfterAVersion) {
  append("ADDED", "a", 11);
  append("MODIFIED", "a", 13);
  append("DELETED", "a", 14);
  EXPECT_THAT(after(10), ElementsAre("ADDED a@11", "MODIFIED a@13", "DELETED a@14"));
  EXPECT_THAT(after(11), ElementsAre("MODIFIED a@13", "DELETED a@14"));
  EXPECT_THAT(after(12), ElementsAre("MODIFIED a@13", "DELETED a@14"));
  EXPECT_THAT(after(14), IsEmpty());
  EXPECT_THAT(after(99), IsEmpty());
}

TEST_F(EventLogTest, KeepsOnlyWhatChangesAnObject) {
  ClusterMetrics counters;
  log.append(publish(event("BOOKMARK", "", 12), {}, counters));
  log.append(publish(kube::make_expired_event("old"), {}, counters));
  EXPECT_EQ(log.size(), 0u);
}

TEST_F(EventLogTest, DropsTheOldestBeyondItsCountAndSaysSo) {
  bound({.max_events = 2});
  for (std::uint64_t version = 11; version <= 14; ++version) append("ADDED", std::to_string(version), version);
  EXPECT_EQ(log.size(), 2u);
  EXPECT_EQ(log.horizon(), 12u);
  EXPECT_FALSE(log.tells_after(11));
  EXPECT_TRUE(log.tells_difference(11));
  EXPECT_THAT(after(12), ElementsAre("ADDED 13@13", "ADDED 14@14"));
}

TEST_F(EventLogTest, DropsTheOldestBeyondItsBytesButNeverTheLatest) {
  const std::size_t one = event("ADDED", "a", 11).bytes.size();
  bound({.max_bytes = 2 * one});
  for (std::uint64_t version = 11; version <= 13; ++version) append("ADDED", "a", version);
  EXPECT_EQ(log.size(), 2u);
  EXPECT_EQ(log.horizon(), 11u);
  append("ADDED", std::string(4 * one, 'x'), 14);
  EXPECT_EQ(log.size(), 1u);
  EXPECT_EQ(log.horizon(), 13u);
}

TEST_F(EventLogTest, TellsWhatWasDeletedAfterAVersion) {
  append("ADDED", "a", 11);
  append("DELETED", "gone", 12);
  append("MODIFIED", "a", 13);
  append("ADDED", "short", 14);
  append("DELETED", "short", 15);
  EXPECT_THAT(deleted_after(10), ElementsAre("DELETED gone@12", "DELETED short@15"));
  EXPECT_THAT(deleted_after(12), ElementsAre("DELETED short@15"));
  EXPECT_THAT(deleted_after(15), IsEmpty());
}

TEST_F(EventLogTest, ATombstonesFormsAreMadeOnce) {
  append("DELETED", "gone", 12);
  ClusterMetrics counters;
  const auto first = log.deleted_after(10, {.data_body = true}, counters);
  const auto second = log.deleted_after(10, {.data_body = true}, counters);
  EXPECT_FALSE(second.front()->data_body.empty());
  EXPECT_EQ(first.front(), second.front());
  EXPECT_EQ(counters.escaped, 1u);
}

TEST_F(EventLogTest, TombstonesOutliveTheLogAndAreBounded) {
  bound({.max_events = 1, .max_tombstones = 2});
  for (std::uint64_t version = 11; version <= 13; ++version) append("DELETED", std::to_string(version), version);
  EXPECT_EQ(log.tombstone_horizon(), 11u);
  EXPECT_FALSE(log.tells_difference(10));
  EXPECT_THAT(deleted_after(11), ElementsAre("DELETED 12@12", "DELETED 13@13"));
}

TEST_F(EventLogTest, TombstonesAreBoundedByBytesToo) {
  const std::size_t one = event("DELETED", "11", 11).bytes.size();
  bound({.max_tombstone_bytes = one});
  append("DELETED", "11", 11);
  EXPECT_EQ(log.tombstone_horizon(), 10u);
  append("DELETED", "12", 12);
  EXPECT_EQ(log.tombstone_horizon(), 11u);
  EXPECT_TRUE(log.tells_after(10)) << "the log still has every event";
}

TEST_F(EventLogTest, NothingIsClaimedWithinAGap) {
  append("ADDED", "a", 11);
  log.relisted(12, 20);
  append("DELETED", "a", 13);
  append("ADDED", "b", 19);
  for (const std::uint64_t known : {10u, 11u, 12u, 20u, 21u}) {
    EXPECT_TRUE(log.tells_after(known) && log.tells_difference(known)) << known;
  }
  for (const std::uint64_t unknown : {13u, 15u, 19u}) {
    EXPECT_FALSE(log.tells_after(unknown) || log.tells_difference(unknown)) << unknown;
  }
  EXPECT_THAT(after(12), ElementsAre("DELETED a@13", "ADDED b@19"));
}

TEST_F(EventLogTest, GapsAreBounded) {
  bound({.max_gaps = 2});
  log.relisted(10, 20);
  log.relisted(20, 30);
  EXPECT_TRUE(log.tells_difference(10));
  log.relisted(30, 40);
  EXPECT_FALSE(log.tells_difference(10));
  EXPECT_FALSE(log.tells_after(15));
  EXPECT_TRUE(log.tells_after(20));
  EXPECT_FALSE(log.tells_after(25));
}

TEST_F(EventLogTest, AResetForgetsEverything) {
  append("DELETED", "a", 11);
  log.relisted(11, 20);
  log.reset(15);
  EXPECT_EQ(log.size(), 0u);
  EXPECT_TRUE(log.tells_after(16));
  EXPECT_THAT(deleted_after(15), IsEmpty());
}

}  // namespace
}  // namespace fresnel::hub

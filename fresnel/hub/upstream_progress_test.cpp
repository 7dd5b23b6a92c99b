#include "fresnel/hub/upstream_progress.hpp"

#include <gtest/gtest.h>

#include <string>

namespace fresnel::hub {
namespace {

kube::WatchEvent event(std::string_view type, std::string_view uid, std::uint64_t version) {
  const std::string text = R"({"type":")" + std::string(type) + R"(","object":{"metadata":{"uid":")" +
                           std::string(uid) + R"(","resourceVersion":")" + std::to_string(version) + R"("}}})";
  return kube::parse_watch_event(SharedBytes(text)).value();
}

class UpstreamProgressTest : public ::testing::Test {
 protected:
  void saw(std::string_view type, std::string_view uid, std::uint64_t version) {
    progress.saw(event(type, uid, version), index, now);
  }
  bool has_told(std::uint64_t version) const { return progress.has_told(version, now); }
  void pass(Duration duration) { now += duration; }

  UpstreamProgress progress;
  kube::ObjectIndex index;
  TimePoint now = TimePoint(seconds(1));
};

TEST_F(UpstreamProgressTest, AListTellsEverythingUpToItsVersion) {
  progress.listed(20, {}, index);
  EXPECT_EQ(progress.reached(), 20u);
  EXPECT_FALSE(progress.replaying());
  EXPECT_TRUE(has_told(20));
}

TEST_F(UpstreamProgressTest, AVersionNewerThanTheStreamIsToldOnceTheWatchStands) {
  progress.listed(20, {}, index);
  EXPECT_FALSE(has_told(21));
  progress.connected(now);
  EXPECT_FALSE(has_told(21)) << "a 410 may follow the response's header";
  pass(UpstreamProgress::kQuiet);
  EXPECT_TRUE(has_told(21));
  progress.disconnected();
  EXPECT_FALSE(has_told(21));
  progress.connected(now);
  saw("BOOKMARK", "", 20);
  EXPECT_TRUE(has_told(21)) << "an event says as much";
}

TEST_F(UpstreamProgressTest, AReplayIsOverWhenTheStreamHasPassedTheList) {
  index.apply(event("ADDED", "a", 18));
  progress.listed(20, 10, index);
  progress.connected(now);
  EXPECT_EQ(progress.reached(), 10u);
  saw("MODIFIED", "other", 15);
  EXPECT_FALSE(has_told(10));
  saw("BOOKMARK", "", 20);
  EXPECT_FALSE(progress.replaying());
  EXPECT_TRUE(has_told(10));
}

TEST_F(UpstreamProgressTest, AReplayIsToldWhenNothingIsOwedAndTheWatchIsQuiet) {
  index.apply(event("ADDED", "a", 18));
  index.apply(event("ADDED", "old", 9));
  progress.listed(20, 10, index);
  progress.connected(now);
  pass(seconds(5));
  EXPECT_FALSE(has_told(10)) << "a is owed, however long it takes";
  saw("MODIFIED", "a", 12);
  pass(seconds(5));
  EXPECT_FALSE(has_told(10)) << "that was not its last change";
  saw("MODIFIED", "a", 18);
  EXPECT_FALSE(has_told(10)) << "a deletion may follow";
  pass(UpstreamProgress::kQuiet);
  EXPECT_TRUE(has_told(10));
  EXPECT_TRUE(has_told(20)) << "the list's own state";
}

TEST_F(UpstreamProgressTest, AReplayThatOwesNothingStillWaitsForTheServersWord) {
  progress.listed(20, 10, index);
  EXPECT_FALSE(has_told(10));
  progress.connected(now);
  EXPECT_FALSE(has_told(10));
  EXPECT_EQ(progress.quiet_at(), now + UpstreamProgress::kQuiet);
  pass(UpstreamProgress::kQuiet);
  EXPECT_TRUE(has_told(10));
}

TEST_F(UpstreamProgressTest, ALostStartBeginsAtTheList) {
  index.apply(event("ADDED", "a", 18));
  progress.listed(20, 10, index);
  progress.connected(now);
  progress.start_lost();
  EXPECT_EQ(progress.reached(), 20u);
  EXPECT_TRUE(has_told(20));
  EXPECT_EQ(progress.quiet_at(), std::nullopt);
}

TEST_F(UpstreamProgressTest, ARelistsDifferenceDoesNotMoveTheStreamBack) {
  progress.listed(20, {}, index);
  progress.relisted(40);
  saw("DELETED", "a", 21);
  EXPECT_EQ(progress.reached(), 40u);
  EXPECT_FALSE(progress.replaying());
}

TEST_F(UpstreamProgressTest, AnEventWithoutAVersionMovesNothing) {
  progress.listed(20, {}, index);
  progress.saw(kube::make_expired_event("old"), index, now);
  EXPECT_EQ(progress.reached(), 20u);
}

}  // namespace
}  // namespace fresnel::hub

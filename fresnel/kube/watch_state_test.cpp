#include "fresnel/kube/watch_state.hpp"

#include <gtest/gtest.h>

#include <map>

#include "fresnel/base/backoff.hpp"
#include "fresnel/kube/object_index.hpp"

namespace fresnel::kube {
namespace {

Error http(int status) { return {code_of_http_status(status), "refused", status}; }
const Error kLinkDown{Errc::connect_failed, "no route"};

template <class T>
T& as(Transition& step) {
  EXPECT_TRUE(std::holds_alternative<T>(step.state)) << "state " << step.state.index();
  return std::get<T>(step.state);
}

TEST(WatchState, ListsThenWatchesFromTheListsVersion) {
  auto step = next(Empty{}, Start{});
  as<Listing>(step);
  EXPECT_TRUE(std::holds_alternative<DoList>(step.effect));
  step = next(step.state, ListDone{"40", ""});
  EXPECT_EQ(as<Watching>(step).version, "40");
  EXPECT_EQ(std::get<DoWatch>(step.effect).version, "40");
  step = next(step.state, WatchOpened{});
  EXPECT_TRUE(step.connected);
  EXPECT_TRUE(std::holds_alternative<DoRead>(step.effect));
}

TEST(WatchState, EventsAndBookmarksMoveTheVersionAndGarbageDoesNot) {
  Transition step{.state = Watching{.version = "40"}, .effect = DoRead{}};
  for (const auto& [seen, expected] : std::vector<std::pair<std::string_view, std::string>>{
           {"41", "41"}, {"44", "44"}, {"", "44"}, {"0", "44"}, {"undefined", "44"}, {"45", "45"}}) {
    step = next(step.state, EventSeen{seen});
    EXPECT_EQ(as<Watching>(step).version, expected);
  }
}

TEST(WatchState, ADropResumesAtTheVersionReached) {
  auto step = next(Watching{.version = "40", .opened = true}, EventSeen{"43"});
  step = next(step.state, WatchEnded{kLinkDown, seconds(5)});
  EXPECT_FALSE(std::get<DoSleep>(step.effect).fixed.has_value());
  EXPECT_EQ(step.report->code, Errc::connect_failed);
  step = next(step.state, TimerFired{});
  EXPECT_EQ(std::get<DoWatch>(step.effect).version, "43");
}

TEST(WatchState, TheServersTimeoutReopensAtOnce) {
  auto step = next(Watching{.version = "40", .opened = true, .events = 1}, WatchEnded{std::nullopt, seconds(300)});
  EXPECT_EQ(std::get<DoWatch>(step.effect).version, "40");
  EXPECT_TRUE(step.reset_backoff);
}

TEST(WatchState, GoneAsStatusAndAsEventRelists) {
  for (const WatchInput& input : {WatchInput{WatchEnded{http(410), Duration::zero()}}, WatchInput{ErrorSeen{http(410)}},
                                  WatchInput{ErrorSeen{Error{Errc::api, "too old", 0, "Expired"}}}}) {
    auto step = next(Watching{.version = "40", .opened = true, .events = 3}, input);
    EXPECT_EQ(as<Relisting>(step).last_version, "40");
    EXPECT_TRUE(std::holds_alternative<DoList>(step.effect));
  }
}

TEST(WatchState, AnErrorEventNeverMovesTheVersion) {
  auto step = next(Watching{.version = "40", .opened = true}, ErrorSeen{http(500)});
  step = next(step.state, TimerFired{});
  EXPECT_EQ(std::get<DoWatch>(step.effect).version, "40");
}

TEST(WatchState, AnOlderStartIsReplayedAndAGoneStartFallsBackToTheList) {
  auto step = next(Listing{}, ListDone{"40", "30"});
  EXPECT_EQ(std::get<DoWatch>(step.effect).version, "30");
  step = next(step.state, ErrorSeen{http(410)});
  EXPECT_TRUE(step.start_lost);
  EXPECT_EQ(std::get<DoWatch>(step.effect).version, "40");
}

TEST(WatchState, AStartThatIsNotOlderIsTheListsVersion) {
  for (const std::string start : {"40", "41", "0", "undefined", ""}) {
    auto step = next(Listing{}, ListDone{"40", start});
    EXPECT_EQ(std::get<DoWatch>(step.effect).version, "40") << start;
  }
}

TEST(WatchState, AnInterruptedReplayIsStillAReplay) {
  auto step = next(Listing{}, ListDone{"40", "30"});
  step = next(step.state, EventSeen{"33"});
  step = next(step.state, WatchEnded{kLinkDown, seconds(2)});
  step = next(step.state, TimerFired{});
  EXPECT_EQ(std::get<DoWatch>(step.effect).version, "33");
  step = next(step.state, WatchEnded{http(410), Duration::zero()});
  EXPECT_TRUE(step.start_lost);
}

TEST(WatchState, AReplayEndsAtTheListsVersion) {
  auto step = next(Listing{}, ListDone{"40", "30"});
  step = next(step.state, EventSeen{"40"});
  EXPECT_TRUE(as<Watching>(step).catch_up_to.empty());
  step = next(step.state, ErrorSeen{http(410)});
  as<Relisting>(step);
}

TEST(WatchState, WhoResumesAfterAFailureChecksTheServersVersionFirst) {
  auto step = next(Watching{.version = "40", .opened = true}, WatchEnded{std::nullopt, seconds(300)});
  EXPECT_FALSE(std::get<DoWatch>(step.effect).after_failure) << "the server's own timeout is no failure";
  step = next(step.state, WatchEnded{kLinkDown, seconds(5)});
  step = next(step.state, TimerFired{});
  EXPECT_TRUE(std::get<DoWatch>(step.effect).after_failure);
  step = next(step.state, HistoryRewound{});
  EXPECT_EQ(as<Relisting>(step).last_version, "40");
  EXPECT_FALSE(step.start_lost);
}

TEST(WatchState, ARewoundHistoryEndsAReplayToo) {
  auto step = next(Listing{}, ListDone{"40", "30"});
  step = next(step.state, HistoryRewound{});
  EXPECT_EQ(as<Relisting>(step).last_version, "40");
  EXPECT_TRUE(step.start_lost);
}

TEST(WatchState, ATooLargeVersionRelists) {
  Error error = http(504);
  error.reason = "ResourceVersionTooLarge";
  error.retry_after_ms = 1000;
  auto step = next(Watching{.version = "40", .opened = true}, ErrorSeen{error});
  as<Relisting>(step);
  step = next(Watching{.version = "40", .relisted = true}, ErrorSeen{error});
  EXPECT_EQ(std::get<DoSleep>(step.effect).fixed, Duration(seconds(1)));
}

TEST(WatchState, ThreeInstantEmptyClosesRelist) {
  Transition step{.state = Watching{.version = "40"}, .effect = DoRead{}};
  for (int close = 1; close <= 2; ++close) {
    step = next(step.state, WatchEnded{std::nullopt, milliseconds(5)});
    EXPECT_TRUE(std::holds_alternative<DoSleep>(step.effect));
    step = next(step.state, TimerFired{});
  }
  step = next(step.state, WatchEnded{std::nullopt, milliseconds(5)});
  as<Relisting>(step);
}

// The list's state is not that of the version reached: a difference would begin at the wrong version.
TEST(WatchState, AReplayThatIsClosedInstantlyThreeTimesFallsBackToTheList) {
  auto step = next(Listing{}, ListDone{"40", "30"});
  for (int close = 1; close <= 2; ++close) {
    step = next(step.state, WatchEnded{std::nullopt, milliseconds(5)});
    step = next(step.state, TimerFired{});
    EXPECT_EQ(std::get<DoWatch>(step.effect).version, "30");
  }
  step = next(step.state, WatchEnded{std::nullopt, milliseconds(5)});
  EXPECT_TRUE(step.start_lost);
  EXPECT_EQ(std::get<DoWatch>(step.effect).version, "40");
}

TEST(WatchState, A410RightAfterARelistBacksOffBeforeTheNext) {
  auto step = next(Relisting{"30"}, ListDone{"40", ""});
  step = next(step.state, WatchOpened{});
  step = next(step.state, ErrorSeen{http(410)});
  EXPECT_TRUE(std::holds_alternative<DoSleep>(step.effect));
  step = next(step.state, TimerFired{});
  EXPECT_EQ(as<Relisting>(step).last_version, "40");
  EXPECT_TRUE(std::holds_alternative<DoList>(step.effect));
}

TEST(WatchState, A410AfterARelistAndAnEventRelistsAtOnce) {
  auto step = next(Relisting{"30"}, ListDone{"40", ""});
  step = next(step.state, EventSeen{"41"});
  step = next(step.state, ErrorSeen{http(410)});
  EXPECT_EQ(as<Relisting>(step).last_version, "41");
}

TEST(WatchState, RefusalsAreReportedAndRetriedSlowly) {
  for (const int status : {400, 401, 403, 404}) {
    auto step = next(Listing{}, ListFailed{http(status)});
    EXPECT_EQ(std::get<DoSleep>(step.effect).fixed, kSlowRetry) << status;
    EXPECT_EQ(step.report->status, status);
    step = next(step.state, TimerFired{});
    as<Listing>(step);
  }
}

TEST(WatchState, RetryAfterIsHonoured) {
  Error busy = http(429);
  busy.retry_after_ms = 7000;
  auto step = next(Watching{.version = "40"}, WatchEnded{busy, Duration::zero()});
  EXPECT_EQ(std::get<DoSleep>(step.effect).fixed, seconds(7));
}

TEST(WatchState, AFailedRelistKeepsWhatIsKnown) {
  auto step = next(Relisting{"40"}, ListFailed{kLinkDown});
  step = next(step.state, TimerFired{});
  EXPECT_EQ(as<Relisting>(step).last_version, "40");
}

TEST(WatchState, EveryStateStops) {
  for (const WatchState& state : {WatchState{Empty{}}, WatchState{Listing{}}, WatchState{Relisting{}},
                                  WatchState{Watching{}}, WatchState{BackingOff{}}}) {
    auto step = next(state, Stop{});
    as<Stopped>(step);
    EXPECT_TRUE(std::holds_alternative<DoFinish>(step.effect));
  }
}

// --- the difference of a relist

WatchEvent object(std::string_view uid, std::string_view name, int version) {
  const std::string text = R"({"kind":"Pod","metadata":{"name":")" + std::string(name) + R"(","uid":")" +
                           std::string(uid) + R"(","resourceVersion":")" + std::to_string(version) + R"("}})";
  return parse_watch_event(SharedBytes(make_event_text(WatchEvent::Type::added, text, {}, {}))).value();
}

std::vector<std::string> told(const std::vector<WatchEvent>& events) {
  std::vector<std::string> lines;
  for (const auto& event : events) {
    lines.push_back(std::string(to_string(event.type)) + " " + std::string(event.uid) + " " +
                    std::string(event.resource_version));
  }
  return lines;
}

TEST(RelistDifference, TellsWhatChangedInStrictlyAscendingVersions) {
  ObjectIndex known;
  for (const auto& event : {object("same", "a", 3), object("changed", "b", 4), object("gone", "c", 5)})
    known.apply(event);
  const ListPage list{.resource_version = "20",
                      .items = {object("same", "a", 3), object("changed", "b", 15), object("new", "d", 11)}};
  EXPECT_EQ(told(relist_difference(known, "10", list)),
            (std::vector<std::string>{"ADDED new 11", "DELETED gone 12", "MODIFIED changed 15"}));
}

TEST(RelistDifference, ADeletionComesBeforeItsRecreation) {
  ObjectIndex known;
  for (const auto& event : {object("x", "other", 2), object("old", "web", 3)}) known.apply(event);
  const ListPage list{.resource_version = "20", .items = {object("new", "web", 12)}};
  EXPECT_EQ(told(relist_difference(known, "10", list)),
            (std::vector<std::string>{"DELETED old 11", "ADDED new 12", "DELETED x 13"}));
}

TEST(RelistDifference, NoChangeIsNoEvent) {
  ObjectIndex known;
  known.apply(object("same", "a", 3));
  EXPECT_TRUE(
      relist_difference(known, "10", ListPage{.resource_version = "20", .items = {object("same", "a", 3)}}).empty());
}

// The rule of Headlamp's lists: an update that is not newer than the list is skipped.
TEST(RelistDifference, NothingIsSkippedByReadersThatKeepOnlyWhatIsNewer) {
  Random random(11);
  for (int round = 0; round < 200; ++round) {
    ObjectIndex known;
    int revision = 1;
    std::vector<WatchEvent> objects;
    for (int i = 0; i < 8; ++i) objects.push_back(object("u" + std::to_string(i), "n" + std::to_string(i), ++revision));
    for (const auto& event : objects) known.apply(event);
    const int last = revision;
    std::map<std::string, WatchEvent> now;
    for (const auto& event : objects) now.emplace(event.uid, event);
    for (int change = 0; change < 12; ++change) {
      const std::string name = std::to_string(random() % 8);
      const std::string uid = "u" + name;
      ++revision;
      if (now.contains(uid) && random() % 2 == 0) {
        now.erase(uid);
      } else if (now.contains(uid)) {
        now.insert_or_assign(uid, object(uid, "n" + name, revision));
      }
    }
    ListPage list{std::to_string(revision), "", "", {}};
    for (const auto& [uid, event] : now) list.items.push_back(event);

    auto held = known;
    auto reached = static_cast<std::uint64_t>(last);
    for (const auto& event : relist_difference(known, std::to_string(last), list)) {
      const auto version = parse_resource_version(event.resource_version);
      ASSERT_TRUE(version && *version > reached && *version <= static_cast<std::uint64_t>(revision));
      reached = *version;
      held.apply(event);
    }
    EXPECT_EQ(held.size(), now.size());
    for (const auto& [uid, event] : now) {
      ASSERT_NE(held.find(uid), nullptr);
      EXPECT_EQ(held.find(uid)->resource_version, event.resource_version);
    }
  }
}

}  // namespace
}  // namespace fresnel::kube

#include "fresnel/hub/shared_stream.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fresnel/hub/testing_subscriber.hpp"

namespace fresnel::hub {
namespace {

using testing::Client;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::Program;
using testing::Recorder;
using ::testing::SizeIs;
using GoneForm = testing::ModelCluster::GoneForm;

constexpr Duration kQuiet = UpstreamProgress::kQuiet;

class SharedStreamTest : public testing::StreamTest {};

INSTANTIATE_TEST_SUITE_P(Threads, SharedStreamTest, ::testing::Values(1, 3));

// --- sharing

TEST_P(SharedStreamTest, ManySubscribersCostOneUpstreamWatch) {
  cluster.put("a");
  std::vector<Client> clients;
  for (int i = 0; i < 200; ++i) clients.push_back(join());
  cluster.put("b");
  run();
  EXPECT_EQ(cluster.lists(), 1u);
  EXPECT_EQ(cluster.watches_asked(), 1u);
  EXPECT_EQ(program.metrics().upstream_watches, 1);
  EXPECT_EQ(program.metrics().subscriptions, 200);
  EXPECT_EQ(program.metrics().events_in, 1u);
  EXPECT_EQ(program.metrics().events_out, 400u);
  for (const auto& client : clients) {
    ASSERT_THAT(client->told, ElementsAre("ADDED a@1", "COMPLETE", "ADDED b@2"));
  }
}

TEST_P(SharedStreamTest, AnEventIsEscapedOnceForAll) {
  struct Keeper : Recorder {
    void on_events(std::span<const EventPtr> events, std::uint64_t /*position*/) override {
      kept.insert(kept.end(), events.begin(), events.end());
    }
    std::vector<EventPtr> kept;
  };
  cluster.put("a");
  std::vector<std::shared_ptr<Keeper>> keepers;
  std::vector<Client> clients(3);
  for (auto& client : clients) {
    keepers.push_back(std::make_shared<Keeper>());
    client.recorder = keepers.back();
    program.subscribe(client, {});
  }
  run();
  cluster.put("b");
  run();
  for (const auto& keeper : keepers) {
    ASSERT_THAT(keeper->kept, SizeIs(2));
    EXPECT_FALSE(keeper->kept[1]->data_body.empty());
    EXPECT_EQ(keeper->kept[0], keepers[0]->kept[0]) << "the state that was given in one turn";
    EXPECT_EQ(keeper->kept[1], keepers[0]->kept[1]) << "a live event";
  }
}

TEST_P(SharedStreamTest, AnEventIsParsedEscapedAndCompressedOnceWhateverTheNumberOfReaders) {
  const std::string large(2000, 'x');
  std::vector<Client> clients;
  const auto join_four_kinds = [&] {
    for (const bool escaped : {true, false}) {
      for (const bool deflated : {true, false}) {
        clients.push_back(join({}, {.escaped = escaped, .deflated = deflated}));
      }
    }
  };
  auto counted = [&, before = std::array<std::uint64_t, 3>()]() mutable {
    const auto& metrics = program.metrics();
    const std::array now{metrics.events_in.load(), metrics.escaped.load(), metrics.compressed.load()};
    const std::array difference{now[0] - before[0], now[1] - before[1], now[2] - before[2]};
    before = now;
    return difference;
  };
  cluster.put("first");
  join_four_kinds();
  (void)counted();
  cluster.put(large);
  cluster.put("small");
  run();
  EXPECT_THAT(counted(), ElementsAre(2, 2, 2)) << "the large one's plain and escaped text";
  for (int i = 0; i < 100; ++i) join_four_kinds();
  (void)counted();
  cluster.put(large);
  cluster.put("small");
  run();
  EXPECT_THAT(counted(), ElementsAre(2, 2, 2));
  clients.clear();
  auto only = join({}, {.escaped = false});
  (void)counted();
  cluster.put(large);
  run();
  EXPECT_THAT(counted(), ElementsAre(1, 0, 0)) << "nobody reads the other forms";
}

TEST_P(SharedStreamTest, ALateReaderAddsTheFormThatItReads) {
  const std::string large(2000, 'x');
  cluster.put("first");
  auto plain = join({}, {.escaped = false});
  cluster.put(large);
  run();
  struct Keeper : Recorder {
    void on_events(std::span<const EventPtr> events, std::uint64_t /*position*/) override {
      kept.insert(kept.end(), events.begin(), events.end());
    }
    std::vector<EventPtr> kept;
  };
  for (const std::string version : {"1", ""}) {  // from the log, and the state
    const auto keeper = std::make_shared<Keeper>();
    Client late;
    late.recorder = keeper;
    program.subscribe(late, {.resource_version = version, .deflated = true});
    run();
    ASSERT_FALSE(keeper->kept.empty());
    EXPECT_FALSE(keeper->kept.back()->data_body.empty());
    EXPECT_FALSE(keeper->kept.back()->deflated_body.empty());
    EXPECT_TRUE(keeper->kept.back()->deflated_event.empty());
  }
}

TEST_P(SharedStreamTest, JoinersThatComeCloseTogetherShareTheStatesTexts) {
  cluster.put("a");
  std::vector<Client> clients;
  const auto joins_escape = [&](int joiners) {
    const auto before = program.metrics().escaped.load();
    for (int i = 0; i < joiners; ++i) clients.push_back(join());
    return program.metrics().escaped - before;
  };
  (void)join();
  EXPECT_EQ(joins_escape(100), 0u) << "each in a turn of its own";
  advance(milliseconds(900));
  EXPECT_EQ(joins_escape(1), 0u);
  advance(milliseconds(900));
  EXPECT_EQ(joins_escape(1), 0u);
  advance(seconds(1));
  EXPECT_EQ(joins_escape(2), 1u) << "it is not kept for ever";
  cluster.put("b");
  run();
  EXPECT_EQ(joins_escape(1), 1u) << "what has not changed is kept";
  cluster.remove("a");
  run();
  EXPECT_EQ(joins_escape(1), 0u);
  cluster.put("a");
  run();
  EXPECT_EQ(joins_escape(1), 1u);
  EXPECT_THAT(clients.back()->told, ElementsAre("ADDED b@2", "ADDED a@4", "COMPLETE"));
}

TEST_P(SharedStreamTest, WhatWasMissedIsEscapedOnceForAllWhoReturn) {
  cluster.put("a");
  auto first = join();
  first.lease.release();
  cluster.put("b");
  cluster.put("c");
  run();
  const auto before = program.metrics().escaped.load();
  std::vector<Client> clients;
  for (int i = 0; i < 50; ++i) clients.push_back(join(1));
  EXPECT_EQ(program.metrics().escaped - before, 2u);
  EXPECT_THAT(clients.back()->told, ElementsAre("ADDED b@2", "ADDED c@3", "COMPLETE"));
}

TEST_P(SharedStreamTest, StreamsOfDifferentKeysDoNotMix) {
  cluster.put("a");
  auto one = join();
  auto as_another = Client();
  StreamKey key = Program::key();
  key.identity = "somebody else";
  program.subscribe(as_another, {}, key);
  Client table;
  program.subscribe(table, {}, Program::key("/api/v1/things", testing::kTable));
  Client selected;
  key = Program::key();
  key.query = "labelSelector=app%3Dweb";
  program.subscribe(selected, {}, key);
  run();
  EXPECT_EQ(cluster.watches_asked(), 4u);
  EXPECT_THAT(one->columns, IsEmpty());
  EXPECT_THAT(table->columns, ElementsAre(true));
  EXPECT_EQ(program.metrics().upstream_watches, 4);
  one.lease.release();
  advance(seconds(6));
  EXPECT_EQ(program.metrics().upstream_watches, 3);
  cluster.put("b");
  run();
  expect_whole(selected);
  EXPECT_THAT(one->told, ElementsAre("ADDED a@1", "COMPLETE"));
}

// --- joining

TEST_P(SharedStreamTest, AJoinerWithoutAVersionGetsTheStateThenLiveEvents) {
  cluster.put("a");
  cluster.put("b");
  auto first = join();
  cluster.put("a");
  cluster.remove("b");
  cluster.put("c");
  run();
  auto late = join();
  cluster.put("d");
  run();
  EXPECT_THAT(late->told, ElementsAre("ADDED a@3", "ADDED c@5", "COMPLETE", "ADDED d@6"));
  expect_whole(late);
  expect_whole(first);
}

TEST_P(SharedStreamTest, WhatIsNoVersionMeansTheState) {
  cluster.put("a");
  for (const auto* version : {"", "0", "undefined", "-1", "1x", "99999999999999999999999"}) {
    Client client;
    program.subscribe(client, {.resource_version = version});
    run();
    EXPECT_THAT(client->told, ElementsAre("ADDED a@1", "COMPLETE")) << version;
  }
}

TEST_P(SharedStreamTest, AListOfManyPagesIsOneState) {
  SharedStreamOptions options;
  options.watcher.page_size = 2;
  Program paged(GetParam(), options);
  for (const auto* name : {"a", "b", "c", "d", "e"}) paged.cluster.put(name);
  auto client = paged.join();
  EXPECT_EQ(paged.cluster.lists(), 3u);
  EXPECT_EQ(client->objects, paged.cluster.state());
  EXPECT_EQ(client->completions, 1);
}

TEST_P(SharedStreamTest, AJoinerWithAVersionInTheLogGetsWhatCameAfterIt) {
  cluster.put("a");
  auto first = join();
  cluster.put("b");
  cluster.put("a");
  cluster.remove("b");
  run();
  auto late = join(2);
  EXPECT_THAT(late->told, ElementsAre("MODIFIED a@3", "DELETED b@4", "COMPLETE"));
  cluster.put("c");
  run();
  EXPECT_EQ(late->told.back(), "ADDED c@5");
  expect_whole(late);
}

TEST_P(SharedStreamTest, AJoinerOlderThanTheLogGetsTheDifferenceWithItsDeletions) {
  SharedStreamOptions options;
  options.log.max_events = 2;
  Program small(GetParam(), options);
  for (const auto* name : {"a", "b", "gone"}) small.cluster.put(name);
  auto first = small.join();
  small.cluster.remove("gone");
  for (int i = 0; i < 3; ++i) small.cluster.put("a");
  small.run();
  auto late = small.join(3);
  EXPECT_THAT(late->told, ElementsAre("DELETED gone@4", "MODIFIED a@7", "COMPLETE"));
  small.cluster.put("c");
  small.run();
  EXPECT_EQ(late->told.back(), "ADDED c@8");
  EXPECT_EQ(late->by_skip_rule, small.cluster.state());
}

TEST_P(SharedStreamTest, AJoinerOlderThanEverythingIsToldGoneThenTheWholeState) {
  cluster.put("a");
  cluster.put("gone");
  cluster.remove("gone");
  auto first = join();
  auto late = join(2);
  EXPECT_THAT(late->told, ElementsAre("410", "ADDED a@1", "COMPLETE"));
  EXPECT_EQ(late->failed, std::nullopt);
  cluster.put("b");
  run();
  expect_whole(late);
  EXPECT_EQ(program.metrics().expired, 1u);
}

TEST_P(SharedStreamTest, AJoinerOlderThanEverythingFailsWhereItAskedForNoNewStart) {
  cluster.put("a");
  cluster.put("a");
  auto first = join();
  auto late = join(1, {.restart_after_gone = false});
  EXPECT_THAT(late->told, ElementsAre("410", "FAILED gone"));
  cluster.put("b");
  run();
  EXPECT_THAT(late->told, SizeIs(2)) << "nothing follows a failure";
  EXPECT_THAT(first->told, ElementsAre("ADDED a@2", "COMPLETE", "ADDED b@3"));
}

TEST_P(SharedStreamTest, AJoinerNewerThanTheStreamIsNotSentWhatItKnows) {
  cluster.put("a");
  cluster.touch(10);
  auto first = join();
  cluster.hold_watches(true);
  cluster.drop_watches(true);
  advance(seconds(1));
  cluster.put("b");  // 12
  cluster.put("c");  // 13
  auto ahead = join(12);
  EXPECT_THAT(ahead->told, IsEmpty()) << "whether its version still exists is not known yet";
  cluster.hold_watches(false);
  advance(seconds(1));
  EXPECT_THAT(ahead->told, ElementsAre("ADDED c@13", "COMPLETE"));
  expect_whole(ahead);
  expect_whole(first);
}

TEST_P(SharedStreamTest, AJoinerNewerThanAnIdleStreamIsCompleteOnceTheWatchStands) {
  cluster.put("a");
  auto first = join();
  cluster.touch(20);
  advance(seconds(1));
  auto ahead = join(15);
  EXPECT_THAT(ahead->told, ElementsAre("COMPLETE"));
  cluster.put("b");
  run();
  expect_whole(ahead);
}

// --- a cold gateway: the first joiner brings a version from before the list

TEST_P(SharedStreamTest, WhatWasDeletedWhileTheGatewayWasDownIsReported) {
  cluster.put("a");
  cluster.put("gone");
  cluster.touch(5);
  cluster.put("a");
  cluster.remove("gone");
  auto client = join(2);
  EXPECT_THAT(client->told, ElementsAre("MODIFIED a@8", "DELETED gone@9", "COMPLETE"));
  expect_whole(client);
}

TEST_P(SharedStreamTest, TheOldestOfTheFirstJoinersDecidesWhereTheWatchStarts) {
  for (const auto* name : {"a", "b", "c"}) cluster.put(name);
  cluster.remove("b");
  cluster.hold_lists(true);
  auto newer = join(3);
  auto oldest = join(1);
  auto fresh = join();
  cluster.hold_lists(false);
  run();
  EXPECT_THAT(oldest->told, ElementsAre("ADDED b@2", "ADDED c@3", "DELETED b@4", "COMPLETE"));
  EXPECT_THAT(newer->told, ElementsAre("DELETED b@4", "COMPLETE"));
  EXPECT_THAT(fresh->told, ElementsAre("ADDED a@1", "ADDED c@3", "COMPLETE"));
}

TEST_P(SharedStreamTest, AnIdleReplayIsCompleteAfterAQuietMoment) {
  cluster.put("a");
  cluster.touch(10);
  auto client = join(1);
  EXPECT_THAT(client->told, IsEmpty());
  auto meanwhile = join(5);
  advance(kQuiet);
  EXPECT_THAT(client->told, ElementsAre("COMPLETE"));
  EXPECT_THAT(meanwhile->told, ElementsAre("COMPLETE"));
  auto later = join(3);
  EXPECT_THAT(later->told, ElementsAre("COMPLETE"));
}

TEST_P(SharedStreamTest, ADeletionOnlyReplayIsNotCompleteBeforeIt) {
  cluster.put("a");
  cluster.put("gone");
  cluster.remove("gone");
  cluster.touch(10);
  cluster.set_read_size(7);
  cluster.hold_watches(true);
  auto client = join(2);
  EXPECT_THAT(client->told, IsEmpty());
  cluster.hold_watches(false);
  advance(kQuiet);
  EXPECT_THAT(client->told, ElementsAre("DELETED gone@3", "COMPLETE"));
}

TEST_P(SharedStreamTest, AStartVersionThatIsGoneMeansANewStartWithOneComplete) {
  for (const auto form : {GoneForm::event, GoneForm::status}) {
    Program cold(GetParam());
    cold.cluster.set_gone_form(form);
    cold.cluster.put("a");
    cold.cluster.put("gone");
    cold.cluster.touch(5);
    cold.cluster.remove("gone");
    cold.cluster.touch(5);
    cold.cluster.compact();
    auto client = cold.join(2);
    cold.advance(seconds(1));
    EXPECT_THAT(client->told, ElementsAre("410", "ADDED a@1", "COMPLETE"));
    EXPECT_EQ(cold.cluster.lists(), 1u) << "the list is already there";
    cold.cluster.put("b");
    cold.run();
    EXPECT_EQ(client->by_skip_rule, cold.cluster.state());
    EXPECT_THAT(client->faults, IsEmpty());
  }
}

TEST_P(SharedStreamTest, ALostStartConcernsOnlyThoseWhoNeededIt) {
  for (const auto* name : {"a", "b", "c"}) cluster.put(name);
  cluster.compact();
  cluster.hold_lists(true);
  auto old = join(1);
  auto direct = join(1, {.restart_after_gone = false});
  auto current = join(3);
  auto fresh = join();
  cluster.hold_lists(false);
  run();
  advance(kQuiet);
  EXPECT_THAT(old->told, ElementsAre("410", "ADDED a@1", "ADDED b@2", "ADDED c@3", "COMPLETE"));
  EXPECT_THAT(direct->told, ElementsAre("410", "FAILED gone"));
  EXPECT_THAT(current->told, ElementsAre("COMPLETE"));
  EXPECT_THAT(fresh->told, ElementsAre("ADDED a@1", "ADDED b@2", "ADDED c@3", "COMPLETE"));
}

// The replay is cut in the middle, and what is left of it has been compacted since.
TEST_P(SharedStreamTest, AReplayThatIsLostHalfwayMeansANewStart) {
  cluster.put("a");
  cluster.put("gone");
  cluster.put("b");
  cluster.remove("gone");
  cluster.put("b");
  cluster.touch();
  cluster.hold_watches(true);
  auto client = join(2);
  auto fresh = join();
  cluster.fail_watches({.status = 500, .reason = "InternalError"});
  cluster.hold_watches(false);
  run();
  cluster.compact();
  advance(seconds(1));
  EXPECT_THAT(client->told, ElementsAre("410", "ADDED a@1", "ADDED b@5", "COMPLETE"));
  EXPECT_THAT(fresh->told, ElementsAre("ADDED a@1", "ADDED b@5", "COMPLETE"));
  cluster.put("c");
  run();
  expect_whole(client);
  expect_whole(fresh);
}

TEST_P(SharedStreamTest, AJoinerOlderThanTheLogDuringTheReplayIsToldGone) {
  SharedStreamOptions options;
  options.log.max_events = 1;
  Program small(GetParam(), options);
  for (const auto* name : {"a", "b", "gone"}) small.cluster.put(name);
  for (int i = 0; i < 4; ++i) small.cluster.put(i < 2 ? "a" : "b");  // 4 to 7
  small.cluster.remove("gone");                                      // 8
  small.cluster.touch();
  small.cluster.pace(3);
  auto first = small.join(3);
  EXPECT_THAT(first->told, ElementsAre("MODIFIED a@4", "MODIFIED a@5", "MODIFIED b@6"));
  auto late = small.join(3);
  EXPECT_THAT(late->told, ElementsAre("410", "ADDED a@5", "ADDED b@7", "COMPLETE"))
      << "the log begins at 5, and what was deleted since 3 is not known yet";
  small.cluster.pace({});
  small.run();
  small.advance(kQuiet);
  EXPECT_THAT(late->told, SizeIs(4)) << "not sent again what it was given";
  EXPECT_EQ(first->objects, small.cluster.state());
  EXPECT_EQ(first->completions, 1);
}

// Some servers end a watch that they cannot serve at once, without a word.
TEST_P(SharedStreamTest, AReplayThatIsClosedAtOnceAgainAndAgainMeansANewStart) {
  cluster.put("a");
  cluster.put("gone");
  cluster.remove("gone");
  cluster.touch(5);
  cluster.hold_watches(true);
  auto client = join(2);
  auto fresh = join();
  for (int close = 0; close < 3; ++close) {
    cluster.fail_watches({.status = 204});
    cluster.hold_watches(false);
    run();
    cluster.hold_watches(true);
    advance(seconds(5));
  }
  cluster.remove("a");
  cluster.compact();
  cluster.put("b");
  cluster.hold_watches(false);
  advance(seconds(60));
  EXPECT_EQ(client->gones, 1);
  expect_whole(client);
  expect_whole(fresh);
}

TEST_P(SharedStreamTest, AJoinerDuringTheReplayMissesNothing) {
  cluster.put("a");
  cluster.put("gone");
  cluster.put("b");
  cluster.remove("gone");
  cluster.put("a");
  cluster.touch();
  cluster.hold_watches(true);
  auto first = join(2);
  auto at_list = join(6);
  auto within = join(3);
  auto fresh = join();
  auto older = join(1);
  EXPECT_THAT(older->told, ElementsAre("410", "ADDED b@3", "ADDED a@5", "COMPLETE"));
  EXPECT_THAT(at_list->told, ElementsAre("COMPLETE"));
  cluster.hold_watches(false);
  advance(kQuiet);
  EXPECT_THAT(first->told, ElementsAre("ADDED b@3", "DELETED gone@4", "MODIFIED a@5", "COMPLETE"));
  EXPECT_THAT(within->told, ElementsAre("DELETED gone@4", "MODIFIED a@5", "COMPLETE"));
  EXPECT_THAT(fresh->told, ElementsAre("ADDED b@3", "ADDED a@5", "COMPLETE"));
  cluster.put("c");
  run();
  for (const auto* client : {&first, &at_list, &within, &fresh, &older}) expect_whole(*client);
}

}  // namespace
}  // namespace fresnel::hub

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

class SharedStreamLeaveTest : public testing::StreamTest {};

INSTANTIATE_TEST_SUITE_P(Threads, SharedStreamLeaveTest, ::testing::Values(1, 3));

// --- what subscribers asked for

TEST_P(SharedStreamLeaveTest, BookmarksReachOnlyThoseWhoAsked) {
  cluster.put("a");
  auto without = join();
  auto with = join({}, {.bookmarks = true});
  cluster.touch(5);
  cluster.bookmark();
  run();
  cluster.put("b");
  run();
  EXPECT_THAT(with->told, ElementsAre("ADDED a@1", "BOOKMARK @1", "COMPLETE", "BOOKMARK @6", "ADDED b@7"));
  EXPECT_THAT(without->told, ElementsAre("ADDED a@1", "COMPLETE", "ADDED b@7"));
}

// The objects of an empty list, or of one whose last change was a deletion, do not tell where it stands.
TEST_P(SharedStreamLeaveTest, TheInitialDataEndsWithABookmarkToResumeFrom) {
  cluster.touch(3);
  auto keeper = join();
  auto empty = join({}, {.bookmarks = true});
  EXPECT_THAT(empty->told, ElementsAre("BOOKMARK @3", "COMPLETE"));
  cluster.put("a");
  cluster.remove("a");
  run();
  auto direct = join({}, {.bookmarks = true, .escaped = false});
  auto knowing = join(4, {.bookmarks = true});
  EXPECT_THAT(direct->told, ElementsAre("BOOKMARK @5", "COMPLETE"));
  EXPECT_THAT(knowing->told, ElementsAre("DELETED a@5", "BOOKMARK @5", "COMPLETE"));
  expire_upstream();
  auto after_a_relist = join({}, {.bookmarks = true});
  EXPECT_THAT(after_a_relist->told, ElementsAre("BOOKMARK @6", "COMPLETE"));
}

// The state of the first list, while what led to it is still being replayed for an older joiner.
TEST_P(SharedStreamLeaveTest, ABookmarkNeverClaimsMoreThanWasTold) {
  cluster.touch();
  cluster.put("a");
  cluster.put("b");
  cluster.hold_watches(true);
  Client older;
  older->know(cluster.state_at(1), 1);
  program.subscribe(older, {.resource_version = "1", .bookmarks = true});
  Client fresh;
  program.subscribe(fresh, {.bookmarks = true});
  run();
  EXPECT_THAT(fresh->told, ElementsAre("ADDED a@2", "ADDED b@3", "BOOKMARK @3", "COMPLETE"));
  EXPECT_THAT(older->told, IsEmpty());
  cluster.hold_watches(false);
  run();
  EXPECT_THAT(older->told, ElementsAre("ADDED a@2", "ADDED b@3", "BOOKMARK @3", "COMPLETE"));
}

// What comes in one piece, bookmark and events, is told apart for each subscriber.
TEST_P(SharedStreamLeaveTest, ABookmarkAmongEventsIsLeftOut) {
  cluster.touch();
  auto without = join();
  auto with = join({}, {.bookmarks = true});
  cluster.put("a");
  cluster.bookmark();
  run();
  EXPECT_THAT(with->told, ElementsAre("BOOKMARK @1", "COMPLETE", "ADDED a@2", "BOOKMARK @2"));
  EXPECT_THAT(without->told, ElementsAre("COMPLETE", "ADDED a@2"));
}

TEST_P(SharedStreamLeaveTest, ATablesColumnsComeWithEachSubscribersFirstRow) {
  cluster.put("a");
  cluster.put("b");
  const StreamKey key = Program::key("/api/v1/things", testing::kTable);
  Client first;
  program.subscribe(first, {}, key);
  run();
  EXPECT_THAT(first->columns, ElementsAre(true, false));
  cluster.put("c");
  run();
  cluster.drop_watches();  // a new watch repeats them
  run();
  cluster.put("d");
  run();
  EXPECT_THAT(first->columns, ElementsAre(true, false, false, false));
  Client resumed;
  program.subscribe(resumed, {.resource_version = "3"}, key);
  Client fresh;
  program.subscribe(fresh, {}, key);
  Client waiting;
  program.subscribe(waiting, {.resource_version = "4", .bookmarks = true}, key);
  run();
  EXPECT_THAT(resumed->columns, ElementsAre(true));
  EXPECT_THAT(fresh->columns, ElementsAre(true, false, false, false));
  cluster.put("e");
  run();
  EXPECT_THAT(waiting->columns, ElementsAre(true));
  EXPECT_THAT(first->columns, SizeIs(5));
  EXPECT_FALSE(first->columns.back());
}

TEST_P(SharedStreamLeaveTest, ATablesColumnsComeBehindA410) {
  cluster.put("a");
  cluster.put("b");
  const StreamKey key = Program::key("/api/v1/things", testing::kTable);
  Client first;
  program.subscribe(first, {}, key);
  run();
  Client late;
  program.subscribe(late, {.resource_version = "1"}, key);
  run();
  EXPECT_THAT(late->told, ElementsAre("410", "ADDED a@1", "ADDED b@2", "COMPLETE"));
  EXPECT_THAT(late->columns, ElementsAre(true, false));
}

TEST_P(SharedStreamLeaveTest, WhoReadsNoEscapedTextCostsNone) {
  struct Keeper : Recorder {
    void on_events(std::span<const EventPtr> events, std::uint64_t /*position*/) override {
      kept.insert(kept.end(), events.begin(), events.end());
    }
    std::vector<EventPtr> kept;
  };
  cluster.put("a");
  auto keeper = std::make_shared<Keeper>();
  Client direct{.recorder = keeper, .lease = {}};
  program.subscribe(direct, {.escaped = false});
  run();
  cluster.put("b");
  run();
  for (const auto& event : keeper->kept) EXPECT_TRUE(event->data_body.empty());
  // A later one that does is given it for what the log and the state hold, too.
  auto late_keeper = std::make_shared<Keeper>();
  Client late{.recorder = late_keeper, .lease = {}};
  program.subscribe(late, {.resource_version = "1"});
  auto fresh_keeper = std::make_shared<Keeper>();
  Client fresh{.recorder = fresh_keeper, .lease = {}};
  program.subscribe(fresh, {});
  run();
  EXPECT_THAT(late_keeper->kept, SizeIs(1));
  EXPECT_THAT(fresh_keeper->kept, SizeIs(2));
  for (const auto& event : late_keeper->kept) EXPECT_FALSE(event->data_body.empty());
  for (const auto& event : fresh_keeper->kept) EXPECT_FALSE(event->data_body.empty());
}

// --- leaving

TEST_P(SharedStreamLeaveTest, WhoComesBackWithinTheLingerFindsTheWatch) {
  cluster.put("a");
  auto client = join();
  client.lease.release();
  run();
  advance(milliseconds(4900));
  EXPECT_EQ(cluster.open_watches(), 1u);
  auto again = join(1);
  EXPECT_THAT(again->told, ElementsAre("COMPLETE"));
  advance(seconds(10));
  EXPECT_EQ(cluster.watches_asked(), 1u);
  EXPECT_EQ(program.metrics().upstream_watches, 1);
  again.lease.release();
  run();
  advance(milliseconds(4900));
  EXPECT_EQ(cluster.open_watches(), 1u) << "the linger starts over";
  advance(milliseconds(200));
  EXPECT_EQ(cluster.open_watches(), 0u);
  EXPECT_EQ(program.metrics().upstream_watches, 0);
  EXPECT_EQ(program.clock.armed(), 0u);
  auto third = join();
  EXPECT_EQ(cluster.watches_asked(), 2u);
}

TEST_P(SharedStreamLeaveTest, LeavingAndComingBackInOneTurnKeepsTheStream) {
  cluster.put("a");
  auto client = join();
  for (int i = 0; i < 5; ++i) {
    Client next;
    program.subscribe(next, {});
    client.lease.release();
    client = std::move(next);
  }
  client.lease.release();
  Client last;
  program.subscribe(last, {});
  run();
  advance(seconds(60));
  EXPECT_EQ(cluster.watches_asked(), 1u);
  EXPECT_THAT(last->told, ElementsAre("ADDED a@1", "COMPLETE"));
}

TEST_P(SharedStreamLeaveTest, LeavingDuringTheOpeningEndsIt) {
  cluster.hold_lists(true);
  cluster.put("a");
  auto client = join();
  client.lease.release();
  run();
  advance(seconds(6));
  EXPECT_EQ(program.metrics().upstream_watches, 0);
  cluster.hold_lists(false);
  run();
  EXPECT_EQ(cluster.requests().size(), 0u) << "the request that was held was cancelled";
  EXPECT_THAT(client->told, IsEmpty());
}

TEST_P(SharedStreamLeaveTest, ASubscriberThatIsDestroyedWithoutLeavingHurtsNobody) {
  cluster.put("a");
  auto lost = join();
  auto client = join();
  auto lease = std::move(lost.lease);
  lost.recorder.reset();
  cluster.put("b");
  run();
  cluster.drop_watches(true);
  advance(seconds(1));
  cluster.put("c");
  run();
  expect_whole(client);
  EXPECT_EQ(program.metrics().subscriptions, 2) << "until its lease ends";
  lease.release();
  run();
  EXPECT_EQ(program.metrics().subscriptions, 1);
}

// The subscriber ends its subscription from within its Nth call, whichever that is.
TEST_P(SharedStreamLeaveTest, ASubscriberMayLeaveWithinAnyCall) {
  bool left = true;
  for (int call = 1; left; ++call) {
    ASSERT_LT(call, 100);
    Program one(GetParam());
    one.cluster.put("a");
    one.cluster.put("a");
    auto other = one.join();
    Client client;
    int calls = 0;
    client->hook = [&] {
      if (++calls == call) client.lease.release();
    };
    one.subscribe(client, {.resource_version = "1", .bookmarks = true});  // 410, the state, COMPLETE
    one.run();
    one.cluster.put("b");
    one.cluster.bookmark();
    one.run();
    one.cluster.drop_watches(true);
    one.advance(seconds(1));
    one.cluster.put("c");
    one.run();
    left = calls >= call;
    EXPECT_EQ(one.metrics().subscriptions, left ? 1 : 2);
    EXPECT_EQ(other->objects, one.cluster.state());
    const int when_over = calls;
    one.cluster.put("d");
    one.run();
    EXPECT_TRUE(!left || calls == when_over) << "nothing comes once the lease's end has arrived";
  }
}

TEST_P(SharedStreamLeaveTest, ASubscriberMayLeaveWithinItsFailure) {
  cluster.fail_lists({.status = 403, .reason = "Forbidden"});
  Client client;
  client->hook = [&] {
    if (client->failed) client.lease.release();
  };
  program.subscribe(client, {});
  run();
  EXPECT_TRUE(client->failed);
  EXPECT_EQ(program.metrics().upstream_watches, 0);
  EXPECT_EQ(program.clock.armed(), 0u);
}

// A failed subscriber asks again from within its failure, and fails again: each time one request.
TEST_P(SharedStreamLeaveTest, ASubscriberMaySubscribeAgainWithinItsFailure) {
  cluster.fail_lists({.status = 403, .reason = "Forbidden"}, 3);
  cluster.put("a");
  Client client;
  int failures = 0;
  client->hook = [&] {
    if (!client->failed) return;
    client->failed.reset();
    ++failures;
    program.subscribe(client, {});
  };
  program.subscribe(client, {});
  run();
  EXPECT_EQ(failures, 3);
  EXPECT_EQ(cluster.lists(), 4u);
  EXPECT_EQ(client->objects, cluster.state());
  EXPECT_EQ(program.metrics().subscriptions, 1);
  client->hook = nullptr;
}

TEST_P(SharedStreamLeaveTest, StoppingEndsEverythingAndCallsNobody) {
  cluster.put("a");
  auto client = join();
  auto lingering = Client();
  program.subscribe(lingering, {}, Program::key("/api/v1/others"));
  run();
  lingering.lease.release();
  run();
  cluster.fail_lists({});
  auto waiting = Client();
  program.subscribe(waiting, {}, Program::key("/api/v1/failing"));
  run();
  auto replaying = Client();
  program.subscribe(replaying, {.resource_version = "1"}, Program::key("/api/v1/replaying"));
  cluster.touch(5);
  run();
  const auto calls = client->told.size() + client->statuses.size();
  program.hub->stop();
  run();
  EXPECT_EQ(cluster.open_watches(), 0u);
  EXPECT_EQ(program.metrics().upstream_watches, 0);
  EXPECT_EQ(program.metrics().subscriptions, 0);
  EXPECT_EQ(program.clock.armed(), 0u) << "neither a linger nor a backoff keeps the program";
  const auto requests = cluster.requests().size();
  auto late = join();
  EXPECT_EQ(cluster.requests().size(), requests);
  EXPECT_THAT(late->told, IsEmpty());
  EXPECT_EQ(client->told.size() + client->statuses.size(), calls);
}

TEST_P(SharedStreamLeaveTest, CountersReturnToZero) {
  cluster.put("a");
  {
    std::vector<Client> clients;
    for (int i = 0; i < 7; ++i) clients.push_back(join(i % 2 ? std::optional<std::uint64_t>(1) : std::nullopt));
    cluster.put("b");
    expire_upstream();
    EXPECT_EQ(program.metrics().subscriptions, 7);
  }
  run();
  EXPECT_EQ(program.metrics().subscriptions, 0);
  advance(seconds(6));
  EXPECT_EQ(program.metrics().upstream_watches, 0);
  EXPECT_EQ(cluster.open_watches(), 0u);
}

}  // namespace
}  // namespace fresnel::hub

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
using ::testing::SizeIs;
using Phase = kube::WatchStatus::Phase;
using GoneForm = testing::ModelCluster::GoneForm;

constexpr Duration kQuiet = UpstreamProgress::kQuiet;

class SharedStreamRelistTest : public testing::StreamTest {};

INSTANTIATE_TEST_SUITE_P(Threads, SharedStreamRelistTest, ::testing::Values(1, 3));

// --- relists

TEST_P(SharedStreamRelistTest, ARelistHealsEverybodyUnseen) {
  for (const auto form : {GoneForm::event, GoneForm::status}) {
    for (const auto* name : {"a", "b", "c"}) cluster.put(name);
    auto multiplexed = join();
    auto resumed = join(cluster.revision());
    auto direct = join({}, {.escaped = false, .restart_after_gone = false});
    cluster.hold_watches(true);
    cluster.drop_watches();
    run();
    cluster.remove("a");
    cluster.put("b");
    cluster.put("d");
    cluster.remove("c");
    cluster.put("c");
    cluster.compact();
    cluster.set_gone_form(form);
    cluster.hold_watches(false);
    advance(seconds(1));
    EXPECT_EQ(program.metrics().relists, form == GoneForm::event ? 1u : 2u);
    for (const auto* client : {&multiplexed, &resumed, &direct}) {
      expect_whole(*client);
      EXPECT_EQ((*client)->gones, 0);
      EXPECT_EQ((*client)->completions, 1);
      EXPECT_EQ((*client)->failed, std::nullopt);
    }
    cluster.put("after");
    run();
    for (const auto* client : {&multiplexed, &resumed, &direct}) expect_whole(*client);
  }
}

TEST_P(SharedStreamRelistTest, AJoinerAfterARelistGetsTheDifferenceFromTheLog) {
  cluster.put("a");
  cluster.put("gone");
  auto first = join();
  cluster.hold_watches(true);
  cluster.drop_watches();
  run();
  cluster.touch(10);
  cluster.remove("gone");  // 13
  cluster.put("b");        // 14
  cluster.touch();
  cluster.compact();
  cluster.hold_watches(false);
  advance(seconds(1));
  auto late = join(2);
  EXPECT_THAT(late->told, ElementsAre("DELETED gone@3", "ADDED b@14", "COMPLETE"));
  expect_whole(late);
}

// The relist's deletions have made-up versions: who knows a state in between cannot be served by them.
TEST_P(SharedStreamRelistTest, AJoinerThatKnowsAStateWithinAGapIsToldGone) {
  cluster.put("a");
  cluster.put("gone");
  auto first = join();
  cluster.hold_watches(true);
  cluster.drop_watches();
  run();
  cluster.put("unseen");  // 3
  cluster.touch(5);
  cluster.remove("gone");    // 9
  cluster.remove("unseen");  // 10
  cluster.put("a");          // 11
  cluster.compact();
  cluster.hold_watches(false);
  advance(seconds(1));
  auto inside = join(7);
  EXPECT_THAT(inside->told, ElementsAre("410", "ADDED a@11", "COMPLETE")) << "at 7 it knew gone and unseen";
  auto at_its_end = join(11);
  EXPECT_THAT(at_its_end->told, ElementsAre("COMPLETE"));
  cluster.put("b");
  run();
  expect_whole(inside);
  expect_whole(at_its_end);
  expect_whole(first);
}

TEST_P(SharedStreamRelistTest, AJoinerDuringARelistIsCompleteOnce) {
  cluster.put("a");
  cluster.put("gone");
  auto first = join();
  cluster.hold_watches(true);
  cluster.drop_watches();
  run();
  cluster.put("unseen");   // 3
  cluster.remove("gone");  // 4
  cluster.put("b");        // 5
  cluster.compact();
  cluster.hold_lists(true);
  cluster.hold_watches(false);
  run();
  ASSERT_EQ(cluster.lists(), 1u) << "the relist is under way";
  auto fresh = join();
  auto at_the_streams = join(2);
  auto ahead = join(3);
  auto direct = join(3, {.restart_after_gone = false});
  EXPECT_THAT(fresh->told, ElementsAre("ADDED a@1", "ADDED gone@2", "COMPLETE"));
  EXPECT_THAT(at_the_streams->told, ElementsAre("COMPLETE"));
  EXPECT_THAT(ahead->told, IsEmpty());
  cluster.put("late");  // 6
  auto newest = join(6);
  cluster.hold_lists(false);
  advance(seconds(1));
  EXPECT_THAT(ahead->told, ElementsAre("410", "ADDED a@1", "ADDED unseen@3", "ADDED b@5", "ADDED late@6", "COMPLETE"));
  EXPECT_THAT(direct->told, ElementsAre("410", "FAILED gone"));
  EXPECT_THAT(newest->told, ElementsAre("COMPLETE")) << "not sent what it knows";
  for (const auto* client : {&first, &fresh, &at_the_streams, &ahead, &newest}) expect_whole(*client);
  cluster.remove("a");
  run();
  for (const auto* client : {&first, &fresh, &at_the_streams, &ahead, &newest}) expect_whole(*client);
}

// --- a cluster that was restored from a backup

// No server says so: a watch from a version that is yet to come is accepted and silent.
TEST_P(SharedStreamRelistTest, RevisionsThatStartOverMeanANewStartForAll) {
  cluster.touch(100);
  cluster.put("a");
  auto client = join();
  auto direct = join(cluster.revision(), {.restart_after_gone = false});
  cluster.rewind(10);
  cluster.put("b");
  run();
  advance(seconds(1));
  EXPECT_EQ(client->gones, 1);
  EXPECT_EQ(direct->failed->code, Errc::gone);
  EXPECT_EQ(program.metrics().relists, 1u);
  cluster.put("c");
  run();
  expect_whole(client);
  auto late = join(11);
  expect_whole(late);
}

TEST_P(SharedStreamRelistTest, AJoinerFromARewoundHistoryIsToldGone) {
  cluster.touch(100);
  cluster.put("a");
  const auto known = cluster.state();
  cluster.rewind(10);
  cluster.put("b");
  Client with_the_first;
  with_the_first->know(known, 101);
  program.subscribe(with_the_first, {.resource_version = "101"});
  run();
  Client later;
  later->know(known, 101);
  program.subscribe(later, {.resource_version = "101"});
  Client direct;
  program.subscribe(direct, {.resource_version = "101", .restart_after_gone = false});
  run();
  for (const auto* client : {&with_the_first, &later}) {
    EXPECT_EQ((*client)->gones, 1);
    expect_whole(*client);
  }
  EXPECT_EQ(direct->failed->code, Errc::gone);
  cluster.remove("b");
  cluster.put("c");
  run();
  for (const auto* client : {&with_the_first, &later}) expect_whole(*client);
}

// Other lists have moved the server on: what such joiners know is the future of this stream only.
TEST_P(SharedStreamRelistTest, ManyJoinersNewerThanTheStreamCostOneQuestion) {
  cluster.put("a");
  auto first = join();
  const auto before = cluster.requests().size();
  const auto version = cluster.touch(50);
  std::vector<Client> newer(20);
  for (auto& client : newer) {
    client->know(cluster.state(), version);
    program.subscribe(client, {.resource_version = std::to_string(version)});
  }
  run();
  advance(kQuiet);
  for (const auto& client : newer) EXPECT_THAT(client->told, ElementsAre("COMPLETE"));
  EXPECT_LE(cluster.requests().size() - before, 2u);
  cluster.put("b");
  run();
  for (const auto& client : newer) expect_whole(client);
}

// --- deletions as some servers send them

TEST_P(SharedStreamRelistTest, ADeletedWithTheVersionLastSeenReachesEverybody) {
  cluster.put("a");                 // 1
  const auto b = cluster.put("b");  // 2
  auto first = join();
  auto at_that_version = join(b);
  cluster.remove_at_its_version("b");
  run();
  auto late = join(b);
  for (const auto* client : {&first, &at_that_version, &late}) {
    EXPECT_EQ((*client)->objects, cluster.state());
    EXPECT_EQ((*client)->told.back(), client == &late ? "COMPLETE" : "DELETED b@2");
  }
  cluster.put("c");
  run();
  for (const auto* client : {&first, &at_that_version, &late}) EXPECT_EQ((*client)->objects, cluster.state());
}

// --- the upstream watch's troubles

TEST_P(SharedStreamRelistTest, ADroppedWatchGoesOnWithoutALossOrARepeat) {
  cluster.touch();
  auto client = join();
  for (int round = 0; round < 20; ++round) {
    cluster.put("a" + std::to_string(round % 3));
    cluster.set_read_size(std::size_t{5} + static_cast<std::size_t>(round));
    run();
    cluster.drop_watches(round % 2 == 0);
    cluster.put("b");
    if (round % 5 == 0) cluster.fail_watches({});
    advance(seconds(31));
  }
  expect_whole(client);
  EXPECT_EQ(program.metrics().relists, 0u);
}

TEST_P(SharedStreamRelistTest, ARefusalAtTheOpeningIsToldToEachAndANewSubscriberAsksAgain) {
  for (const int status : {400, 401, 403, 404}) {
    Program refused(GetParam());
    refused.cluster.hold_lists(true);
    refused.cluster.fail_lists({.status = status, .reason = "Refused"});
    std::vector<Client> clients;
    for (int i = 0; i < 4; ++i) clients.push_back(refused.join());
    refused.cluster.hold_lists(false);
    refused.run();
    for (const auto& client : clients) {
      EXPECT_THAT(client->told, SizeIs(1)) << status;
      ASSERT_TRUE(client->failed) << status;
      EXPECT_EQ(client->failed->status, status);
      EXPECT_EQ(client->failed->message, "refused");
    }
    EXPECT_EQ(refused.metrics().upstream_watches, 0);
    EXPECT_EQ(refused.metrics().subscriptions, 0);
    refused.cluster.put("a");
    auto again = refused.join();
    EXPECT_THAT(again->told, ElementsAre("ADDED a@1", "COMPLETE"));
    clients.clear();
    refused.run();
    EXPECT_EQ(refused.metrics().upstream_watches, 1);
    refused.advance(seconds(1));  // the state that joiners share is given up
    EXPECT_EQ(refused.clock.armed(), 1u) << "the watch's own deadline, and no linger of the refused stream";
  }
}

TEST_P(SharedStreamRelistTest, AServerThatIsAwayAtTheOpeningIsWaitedFor) {
  cluster.fail_lists({}, 2);
  cluster.put("a");
  auto client = join();
  EXPECT_EQ(client->statuses.back().phase, Phase::failing);
  EXPECT_EQ(client->failed, std::nullopt);
  auto second = join();
  EXPECT_EQ(second->statuses.back().phase, Phase::failing) << "a joiner learns how things stand";
  advance(seconds(1));
  advance(seconds(2));
  for (const auto* each : {&client, &second}) {
    EXPECT_THAT((*each)->told, ElementsAre("ADDED a@1", "COMPLETE"));
    EXPECT_EQ((*each)->statuses.back().phase, Phase::connected);
  }
}

TEST_P(SharedStreamRelistTest, AFailureLaterIsAStatusOnly) {
  cluster.put("a");
  auto client = join();
  cluster.fail_watches({.status = 403, .reason = "Forbidden"});
  cluster.put("b");
  run();
  cluster.drop_watches();
  run();
  EXPECT_EQ(client->statuses.back().phase, Phase::failing);
  EXPECT_EQ(client->statuses.back().error.code, Errc::forbidden);
  EXPECT_EQ(client->failed, std::nullopt);
  cluster.put("c");
  advance(seconds(31));
  EXPECT_EQ(client->statuses.back().phase, Phase::connected);
  expect_whole(client);
}

// Who comes from another server: its versions mean nothing here.
TEST_P(SharedStreamRelistTest, AJoinerFromAnotherServerIsToldGoneAndStartsOver) {
  cluster.put("a");
  auto first = join();
  JoinOptions options;
  options.start_over = true;
  auto other = join(cluster.revision(), options);
  run();
  EXPECT_EQ(other->gones, 1);
  EXPECT_EQ(other->completions, 1);
  EXPECT_EQ(other->objects, cluster.state());
}

// A token that the API server does not take any more: everybody is told, and may come with another.
TEST_P(SharedStreamRelistTest, A401LaterEndsEachSubscription) {
  cluster.put("a");
  auto first = join();
  auto second = join();
  cluster.fail_watches({.status = 401, .reason = "Unauthorized"});
  cluster.put("b");
  run();
  cluster.drop_watches();
  run();
  for (const Client* client_ptr : {&first, &second}) {
    const auto& client = *client_ptr;
    ASSERT_TRUE(client->failed);
    EXPECT_EQ(client->failed->code, Errc::unauthorized);
  }
  cluster.put("b");
  expect_whole(join());
}

// A server that lists what it cannot watch is not asked in a loop.
TEST_P(SharedStreamRelistTest, A410RightAfterARelistIsRetriedWithAPause) {
  cluster.put("a");
  auto client = join();
  cluster.fail_watches({.status = 410, .reason = "Expired"}, 50);
  cluster.put("b");
  run();
  cluster.drop_watches();
  run();
  EXPECT_LE(cluster.lists(), 2u);
  EXPECT_EQ(client->statuses.back().phase, Phase::failing);
  advance(seconds(1));
  EXPECT_LE(cluster.lists(), 3u);
  cluster.heal();
  cluster.put("c");
  advance(seconds(31));
  expect_whole(client);
}

TEST_P(SharedStreamRelistTest, ARelistIsShownAsConnecting) {
  cluster.put("a");
  auto client = join();
  client->statuses.clear();
  // Its 410 comes while the watch is open, so that nothing else is listed before.
  cluster.hold_lists(true);
  cluster.pace(0);
  cluster.put("b");
  cluster.compact();
  cluster.pace({});
  run();
  EXPECT_EQ(client->statuses.back().phase, Phase::connecting);
  cluster.hold_lists(false);
  run();
  EXPECT_EQ(client->statuses.back().phase, Phase::connected);
}

}  // namespace
}  // namespace fresnel::hub

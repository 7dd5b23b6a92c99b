// Subscriptions that move between the streams of two users of one cluster, in virtual time.
#include "fresnel/session/movable_subscription.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fresnel/hub/testing_subscriber.hpp"

namespace fresnel::session {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Hands on what its subscription is told to a Recorder, which knows what may be told.
class Follower final : public MovableSubscription {
 public:
  hub::testing::Recorder recorder;

 private:
  void take_events(std::span<const hub::EventPtr> events) override { recorder.on_events(events, 0); }
  void take_complete() override { recorder.on_complete(); }
  void take_status(const kube::WatchStatus& status) override { recorder.on_status(status); }
  void take_failure(const Error& error) override { recorder.on_failed(error); }
};

class MovableSubscriptionTest : public hub::testing::StreamTest {
 protected:
  // As that user, of that server; nothing is run.
  void go_to(const std::shared_ptr<Follower>& follower, const std::string& user, hub::JoinOptions options = {},
             const std::string& server = "http://cluster") {
    kube::ClusterContext context{.name = "prod", .server = server};
    context.credential.bearer_token = user;
    hub::StreamSource source{{"prod", context.identity(), "/api/v1/things", std::string(kube::kJson), ""}, context};
    const SessionServices services{*program.hub, 0, program.clock, metrics_, sessions_};
    follower->join(services, std::move(source), std::move(options), follower);
  }
  std::shared_ptr<Follower> follow(const std::string& user, hub::JoinOptions options = {}) {
    auto follower = std::make_shared<Follower>();
    go_to(follower, user, std::move(options));
    run();
    return follower;
  }
  void expect_whole(const Follower& follower) {
    EXPECT_EQ(follower.recorder.objects, cluster.state());
    EXPECT_THAT(follower.recorder.faults, IsEmpty());
  }

  SessionMetrics metrics_;
  LiveSessions sessions_;
};
INSTANTIATE_TEST_SUITE_P(Threads, MovableSubscriptionTest, ::testing::Values(1, 3));

TEST_P(MovableSubscriptionTest, AMoveLeavesNoGapAndRepeatsNothing) {
  cluster.put("a");
  const auto follower = follow("ann");
  go_to(follower, "bob");
  cluster.put("b");
  run();
  advance(seconds(10));  // ann's stream is gone
  cluster.put("c");
  run();
  EXPECT_THAT(follower->recorder.told, ElementsAre("ADDED a@1", "COMPLETE", "ADDED b@2", "ADDED c@3"));
  EXPECT_EQ(program.metrics().upstream_watches, 1);
  expect_whole(*follower);
}

TEST_P(MovableSubscriptionTest, AMoveBeforeTheFirstListAndTwoAtOnceAreOne) {
  cluster.put("a");
  const auto follower = std::make_shared<Follower>();
  go_to(follower, "ann");
  go_to(follower, "bob");
  go_to(follower, "ann");
  run();
  cluster.put("b");
  run();
  EXPECT_THAT(follower->recorder.told, ElementsAre("ADDED a@1", "COMPLETE", "ADDED b@2"));
  expect_whole(*follower);
}

TEST_P(MovableSubscriptionTest, AMoveToAStreamThatRunsAlreadyMissesNothing) {
  cluster.put("a");
  const auto other = follow("bob");
  const auto follower = follow("ann");
  cluster.put("b");
  go_to(follower, "bob");
  cluster.remove("a");
  run();
  advance(seconds(1));
  EXPECT_THAT(follower->recorder.told.size(), 4u) << ::testing::PrintToString(follower->recorder.told);
  expect_whole(*follower);
  expect_whole(*other);
}

TEST_P(MovableSubscriptionTest, APositionThatIsGoneMeansANewStartWithItsOwnComplete) {
  cluster.put("a");
  const auto follower = follow("ann");
  cluster.hold_watches(true);
  cluster.put("b");
  cluster.remove("a");
  cluster.compact();
  go_to(follower, "bob");
  cluster.hold_watches(false);
  run();
  advance(seconds(1));
  EXPECT_EQ(follower->recorder.gones, 1);
  EXPECT_EQ(follower->recorder.completions, 2);
  expect_whole(*follower);
}

TEST_P(MovableSubscriptionTest, AnotherServersVersionsMeanNothing) {
  cluster.put("a");
  const auto follower = follow("ann");
  go_to(follower, "ann", {}, "http://restored");
  run();
  EXPECT_EQ(follower->recorder.gones, 1);
  EXPECT_EQ(follower->recorder.completions, 2);
  expect_whole(*follower);
}

TEST_P(MovableSubscriptionTest, OneThatFailedElsewhereHearsOfItOnce) {
  cluster.put("a");
  const auto follower = follow("ann");
  cluster.fail_watches({.status = 401, .reason = "Unauthorized"});
  cluster.put("b");
  run();
  cluster.drop_watches();
  run();
  ASSERT_TRUE(follower->recorder.failed);
  EXPECT_EQ(follower->recorder.failed->status, 401);
}

// Whatever happens between moves, the end is the cluster's state, and nothing was told twice.
TEST_P(MovableSubscriptionTest, AnyHistoryWithMovesEndsWithTheTruth) {
  for (std::uint32_t seed = 1; seed <= 100; ++seed) {
    Random random(seed);
    const auto one_of = [&](int count) { return std::uniform_int_distribution<int>(0, count - 1)(random); };
    const auto follower = follow("user 0");
    for (int step = 0; step < 60; ++step) {
      const std::string name = "o" + std::to_string(one_of(6));
      switch (one_of(9)) {
        case 0: cluster.remove(name); break;
        case 1: go_to(follower, "user " + std::to_string(one_of(3))); break;
        case 2: advance(milliseconds(one_of(6000))); break;
        case 3: cluster.drop_watches(); break;
        case 4: run(); break;
        case 5:
          for (int i = one_of(12); i > 0; --i) program.run_one(static_cast<std::size_t>(one_of(3)));
          break;
        default: cluster.put(name); break;
      }
    }
    advance(seconds(60));
    advance(seconds(1));
    expect_whole(*follower);
    EXPECT_EQ(follower->recorder.completions, 1 + follower->recorder.gones_after_complete);
    ASSERT_FALSE(HasFailure()) << "seed " << seed << ": " << ::testing::PrintToString(follower->recorder.told);
  }
}

}  // namespace
}  // namespace fresnel::session

// sendInitialEvents: served from the shared stream, whatever the API server knows of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fresnel/hub/shared_stream.hpp"
#include "fresnel/hub/testing_subscriber.hpp"

namespace fresnel::hub {
namespace {

using testing::Client;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class InitialEventsTest : public testing::StreamTest {
 protected:
  Client watch_list(std::string version = {}, bool bookmarks = true) {
    return join({}, {.resource_version = std::move(version), .bookmarks = bookmarks, .initial_events = true});
  }
};
INSTANTIATE_TEST_SUITE_P(Threads, InitialEventsTest, ::testing::Values(1, 3));

TEST_P(InitialEventsTest, ComeBeforeABookmarkThatEndsThemAndThenTheStreamIsLive) {
  cluster.put("a");
  cluster.put("b");
  for (const auto* version : {"", "0", "1", "2"}) {
    SCOPED_TRACE(version);
    auto client = watch_list(version);
    EXPECT_THAT(client->told, ElementsAre("ADDED a@1", "ADDED b@2", "BOOKMARK @2 ends", "COMPLETE"));
  }
  auto first = watch_list();
  auto without = watch_list("1", false);
  EXPECT_THAT(without->told, ElementsAre("ADDED a@1", "ADDED b@2", "COMPLETE"));
  cluster.put("c");
  cluster.bookmark();
  run();
  EXPECT_THAT(first->told,
              ElementsAre("ADDED a@1", "ADDED b@2", "BOOKMARK @2 ends", "COMPLETE", "ADDED c@3", "BOOKMARK @3"));
  EXPECT_THAT(without->told, ElementsAre("ADDED a@1", "ADDED b@2", "COMPLETE", "ADDED c@3"));
  EXPECT_EQ(cluster.open_watches(), 1u);
  for (const auto& request : cluster.requests()) EXPECT_EQ(request.find("sendInitialEvents"), std::string::npos);
}

TEST_P(InitialEventsTest, OfAnEmptyListAreTheBookmarkAlone) {
  cluster.touch(7);
  auto client = watch_list();
  EXPECT_THAT(client->told, ElementsAre("BOOKMARK @7 ends", "COMPLETE"));
}

TEST_P(InitialEventsTest, AreAtLeastAsNewAsTheVersionAskedFor) {
  cluster.put("a");
  auto keeper = join();
  cluster.hold_watches(true);
  cluster.drop_watches();
  run();
  const auto version = cluster.put("b");
  auto client = watch_list(std::to_string(version));
  EXPECT_THAT(client->told, ElementsAre("ADDED a@1"));
  cluster.hold_watches(false);
  advance(seconds(1));
  EXPECT_THAT(client->told, ElementsAre("ADDED a@1", "ADDED b@2", "BOOKMARK @2 ends", "COMPLETE"));
}

TEST_P(InitialEventsTest, ComeAgainAfterARewind) {
  cluster.touch(100);
  cluster.put("a");
  auto client = watch_list();
  cluster.rewind(10);
  cluster.put("b");
  run();
  advance(seconds(1));
  EXPECT_THAT(client->told, ElementsAre("ADDED a@101", "BOOKMARK @101 ends", "COMPLETE", "410", "ADDED b@11",
                                        "BOOKMARK @11 ends", "COMPLETE"));
}

TEST_P(InitialEventsTest, MayBeDeclined) {
  cluster.put("a");
  auto keeper = join();
  auto client = join({}, {.bookmarks = true, .initial_events = false});
  auto resumed = join({}, {.resource_version = "0", .initial_events = false});
  cluster.put("b");
  run();
  EXPECT_THAT(client->told, ElementsAre("BOOKMARK @1", "COMPLETE", "ADDED b@2"));
  EXPECT_THAT(resumed->told, ElementsAre("COMPLETE", "ADDED b@2"));
}

}  // namespace
}  // namespace fresnel::hub

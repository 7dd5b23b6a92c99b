#include "fresnel/client/watch_object.hpp"

#include "fresnel/client/testing/multiplexer_fixture.hpp"

namespace fresnel::client {
namespace {

using testing::bookmark_event;
using testing::brief;
using ::testing::ElementsAre;
using testing::error_event;
using ::testing::IsEmpty;
using testing::MultiplexerTest;
using testing::parsed;
using testing::pod_event;

// The state after these events, starting with nothing; "" when ignored.
class WatchObjectRule : public ::testing::Test {
 protected:
  std::string apply(const std::string& text) {
    const auto next = WatchObject::next(current_, parsed(text));
    if (!next) return "";
    current_ = *next;
    return std::string(current_.object->resource_version) + (current_.deleted ? " deleted" : "");
  }
  WatchObject::Current current_;
};

TEST_F(WatchObjectRule, TheFirstAddedIsTheObject) {
  EXPECT_EQ(current_.object, nullptr);
  EXPECT_EQ(apply(pod_event("ADDED", "a", 1)), "1");
}

TEST_F(WatchObjectRule, AddedOfAKnownObjectIsIgnored) {
  apply(pod_event("ADDED", "a", 1));
  EXPECT_EQ(apply(pod_event("ADDED", "a", 2)), "");
}

TEST_F(WatchObjectRule, ModifiedAndDeletedReplaceIt) {
  apply(pod_event("ADDED", "a", 1));
  EXPECT_EQ(apply(pod_event("MODIFIED", "a", 2)), "2");
  EXPECT_EQ(apply(pod_event("DELETED", "a", 3)), "3 deleted");
}

TEST_F(WatchObjectRule, AModifiedMayBeTheFirst) { EXPECT_EQ(apply(pod_event("MODIFIED", "a", 2)), "2"); }

TEST_F(WatchObjectRule, ARecreatedObjectReplacesTheDeletedOne) {
  apply(pod_event("ADDED", "a", 1));
  apply(pod_event("DELETED", "a", 2));
  auto again = pod_event("ADDED", "a", 5);
  again.replace(again.find("uid-a"), 5, "uid-z");
  EXPECT_EQ(apply(again), "5");
}

TEST_F(WatchObjectRule, AResyncTellsTheNewObjectBeforeTheEndOfTheOld) {
  apply(pod_event("ADDED", "a", 1));
  auto again = pod_event("ADDED", "a", 5);
  again.replace(again.find("uid-a"), 5, "uid-z");
  EXPECT_EQ(apply(again), "5");
  EXPECT_EQ(apply(pod_event("DELETED", "a", 1)), "");
  EXPECT_FALSE(current_.deleted);
}

TEST_F(WatchObjectRule, EventsWithoutAnObjectAndOtherTypesAreIgnored) {
  apply(pod_event("ADDED", "a", 1));
  EXPECT_EQ(apply(R"({"type":"MODIFIED","object":{}})"), "");
  EXPECT_EQ(apply(bookmark_event("9")), "");
  EXPECT_EQ(apply(error_event(500, "InternalError")), "");
}

using WatchObjectTest = MultiplexerTest;

TEST_F(WatchObjectTest, SelectsOneObjectByItsName) {
  std::vector<std::string> told;
  WatchObject pod(*multiplexer_, {"prod", "/api/v1/pods", "a/b"},
                  {.on_change = [&](const WatchObject::Current& current) { told.push_back(brief(*current.object)); },
                   .on_error = [&](const Error& error) { told.push_back("error: " + error.message); },
                   .on_complete = [&] { told.emplace_back("COMPLETE"); }});
  accept();
  const std::string query = "watch=1&fieldSelector=metadata.name%3Da%2Fb&allowWatchBookmarks=true";
  EXPECT_THAT(sent(), ElementsAre("REQUEST " + query));
  data(pod_event("ADDED", "a", 1), query);
  complete(query);
  data(pod_event("MODIFIED", "a", 2), query);
  data(R"({"type":"MODIFIED","object":{}})", query);
  data("{nonsense", query);
  EXPECT_THAT(told, ElementsAre("ADDED a@1", "COMPLETE", "MODIFIED a@2", ::testing::StartsWith("error: "),
                                ::testing::StartsWith("error: ")));
  EXPECT_EQ(pod.current().object->resource_version, "2");
  EXPECT_EQ(pod.status().state, SubscriptionState::live);
}

TEST_F(WatchObjectTest, MovesAndEndsWithItsOwner) {
  int changes = 0;
  auto first = std::make_unique<WatchObject>(
      *multiplexer_, WatchObject::Target{"prod", "/api/v1/pods", "a"},
      WatchObject::Handlers{.on_change = [&](const WatchObject::Current&) { ++changes; }});
  auto second = std::make_unique<WatchObject>(std::move(*first));
  first.reset();
  accept();
  const std::string query = "watch=1&fieldSelector=metadata.name%3Da&allowWatchBookmarks=true";
  data(pod_event("ADDED", "a", 1), query);
  EXPECT_EQ(changes, 1);
  EXPECT_EQ(second->current().object->name, "a");
  second.reset();
  data(pod_event("MODIFIED", "a", 2), query);
  EXPECT_EQ(changes, 1);
}

}  // namespace
}  // namespace fresnel::client

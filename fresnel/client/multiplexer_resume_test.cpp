// What reconnects and resyncs do to a subscription's data.
#include "fresnel/client/multiplexer.hpp"
#include "fresnel/client/testing/multiplexer_fixture.hpp"

namespace fresnel::client {
namespace {

using testing::bookmark_event;
using ::testing::ElementsAre;
using testing::error_event;
using ::testing::IsEmpty;
using testing::kFreshQuery;
using testing::kPods;
using testing::MultiplexerTest;
using testing::pod_event;
using testing::Record;
using ::testing::SizeIs;

class ResumeTest : public MultiplexerTest {
 protected:
  static std::string from(std::string_view version) {
    return std::string(kFreshQuery) + "&resourceVersion=" + std::string(version);
  }
  // A live subscription with objects a@1 and b@2.
  void start() {
    subscription_ = multiplexer_->subscribe(kPods, record_.handlers());
    accept();
    data(pod_event("ADDED", "a", 1));
    data(pod_event("ADDED", "b", 2));
    complete();
    record_.take();
    sent();
  }
  void reconnect() {
    drop();
    accept();
  }
  [[nodiscard]] std::vector<std::string> content() const {
    std::vector<std::string> objects;
    for (const auto& object : *subscription_.snapshot())
      objects.push_back(std::string(object->name).append("@").append(object->resource_version));
    return objects;
  }

  Record record_;
  Subscription subscription_;
};

TEST_F(ResumeTest, ResumesFromTheLastVersionAfterAReconnect) {
  start();
  data(pod_event("MODIFIED", "a", 7));
  reconnect();
  EXPECT_THAT(sent(), ElementsAre("REQUEST " + from("7")));
  data(pod_event("DELETED", "b", 8), from("7"));
  complete(from("7"));
  EXPECT_THAT(record_.told, ElementsAre("MODIFIED a@7", "DELETED b@8", "COMPLETE"));
  EXPECT_THAT(content(), ElementsAre("a@7"));
}

TEST_F(ResumeTest, TheVersionFollowsTheStreamsOrderAndBookmarks) {
  start();
  EXPECT_EQ(subscription_.status().resource_version, "2");
  data(bookmark_event("30"));
  EXPECT_EQ(subscription_.status().resource_version, "30");
  data(pod_event("MODIFIED", "a", 25));  // stream order, not the greatest number
  EXPECT_EQ(subscription_.status().resource_version, "25");
  data(pod_event("DELETED", "a", 31));
  EXPECT_EQ(subscription_.status().resource_version, "31");
}

TEST_F(ResumeTest, TheVersionNeverComesFromAnErrorEvent) {
  start();
  data(error_event(500, "InternalError"));  // its metadata has a version
  EXPECT_EQ(subscription_.status().resource_version, "2");
  data(R"({"type":"ODD","object":{"metadata":{"name":"x","uid":"x","resourceVersion":"77"}}})");
  EXPECT_EQ(subscription_.status().resource_version, "2");
  reconnect();
  EXPECT_THAT(sent(), ElementsAre("REQUEST " + from("2")));
}

TEST_F(ResumeTest, AVersionThatIsNoneIsNeverResumedFrom) {
  start();
  for (const char* version : {"", "0", "undefined", "garbage"}) {
    data(bookmark_event(version));
    EXPECT_EQ(subscription_.status().resource_version, "2") << version;
  }
  for (const char* version : {"", "0", "undefined", "garbage"}) {
    auto key = kPods;
    key.path = std::string("/api/v1/") + (*version != 0 ? version : "empty");
    key.query = std::string("resourceVersion=") + version;
    const auto subscription = multiplexer_->subscribe(key, {});
    settle();
    EXPECT_THAT(sent(), ElementsAre("REQUEST " + std::string(kFreshQuery))) << version;
  }
}

TEST_F(ResumeTest, WithoutAVersionTheStateIsReplacedAndGhostsAreDeleted) {
  start();
  data(error_event(410, "Expired"));  // an unfinished resync: nothing to resume from
  reconnect();
  EXPECT_THAT(sent(), ElementsAre("REQUEST " + std::string(kFreshQuery)));
  data(pod_event("ADDED", "a", 1));
  data(pod_event("ADDED", "c", 9));
  EXPECT_THAT(record_.told, ElementsAre("ADDED c@9"));
  complete();
  EXPECT_THAT(record_.told, ElementsAre("ADDED c@9", "DELETED b@2", "COMPLETE"));
  EXPECT_THAT(content(), ElementsAre("a@1", "c@9"));
  EXPECT_EQ(subscription_.status().resource_version, "9");
}

TEST_F(ResumeTest, ALossBeforeTheFirstCompletionStartsFreshToo) {
  subscription_ = multiplexer_->subscribe(kPods, record_.handlers());
  accept();
  data(pod_event("ADDED", "b", 5));
  data(pod_event("ADDED", "a", 3));
  reconnect();
  EXPECT_THAT(sent(), ElementsAre("REQUEST " + std::string(kFreshQuery)));
  data(pod_event("ADDED", "a", 8));
  complete();
  EXPECT_THAT(record_.told, ElementsAre("ADDED b@5", "ADDED a@3", "MODIFIED a@8", "DELETED b@5", "COMPLETE"));
}

TEST_F(ResumeTest, AnEmptyListHasNoVersionToResumeFromUnlessABookmarkTells) {
  subscription_ = multiplexer_->subscribe(kPods, record_.handlers());
  accept();
  complete();
  EXPECT_EQ(subscription_.status().resource_version, "");
  reconnect();
  data(bookmark_event("70"));
  complete();
  EXPECT_EQ(subscription_.status().resource_version, "70");
}

TEST_F(ResumeTest, TheStatesVersionIsThatOfItsNewestObjectWhateverTheOrder) {
  subscription_ = multiplexer_->subscribe(kPods, record_.handlers());
  accept();
  data(pod_event("ADDED", "a", 9));
  data(pod_event("ADDED", "b", 90));
  data(pod_event("ADDED", "c", 10));
  EXPECT_EQ(subscription_.status().resource_version, "");
  complete();
  EXPECT_EQ(subscription_.status().resource_version, "90");
}

TEST_F(ResumeTest, AGoneEventReplacesTheStoreAndTellsTheDifference) {
  start();
  data(error_event(410, "Expired"));
  EXPECT_FALSE(subscription_.status().completed);
  EXPECT_EQ(subscription_.status().resource_version, "");
  data(pod_event("ADDED", "a", 12));
  data(pod_event("ADDED", "c", 11));
  EXPECT_THAT(content(), ElementsAre("a@12", "b@2", "c@11"));
  complete();
  EXPECT_THAT(record_.told, ElementsAre("MODIFIED a@12", "ADDED c@11", "DELETED b@2", "COMPLETE"));
  EXPECT_THAT(content(), ElementsAre("a@12", "c@11"));
  data(pod_event("MODIFIED", "c", 13));
  EXPECT_EQ(subscription_.status().resource_version, "13");
}

TEST_F(ResumeTest, AGatewayLostInTheMiddleOfThatIsAskedForEverythingAgain) {
  start();
  data(error_event(410, "Expired"));
  data(pod_event("ADDED", "c", 11));
  reconnect();
  EXPECT_THAT(sent(), ElementsAre("REQUEST " + std::string(kFreshQuery)));
  data(pod_event("ADDED", "a", 1));
  complete();
  EXPECT_THAT(record_.told, ElementsAre("ADDED c@11", "DELETED b@2", "DELETED c@11", "COMPLETE"));
  EXPECT_THAT(content(), ElementsAre("a@1"));
}

TEST_F(ResumeTest, ASecondGoneInsideAResyncStartsItAnew) {
  start();
  data(error_event(410, "Expired"));
  data(pod_event("ADDED", "a", 1));
  data(error_event(410, "Expired"));
  data(pod_event("ADDED", "b", 2));
  complete();
  EXPECT_THAT(content(), ElementsAre("b@2"));
}

TEST_F(ResumeTest, ARefusalWithGoneStartsFresh) {
  start();
  refuse(Error{.code = Errc::gone, .message = "too old", .status = 410, .reason = "Expired"});
  advance(seconds(1));
  EXPECT_THAT(sent(), ElementsAre("REQUEST " + std::string(kFreshQuery)));
  data(pod_event("ADDED", "a", 1));
  complete();
  EXPECT_THAT(content(), ElementsAre("a@1"));
}

TEST_F(ResumeTest, ADeletedWithTheLastSeenVersionIsApplied) {
  start();
  data(pod_event("DELETED", "b", 2));
  EXPECT_THAT(record_.told, ElementsAre("DELETED b@2"));
}

TEST_F(ResumeTest, EventsThatComeAgainAfterAResumeAreToldOnce) {
  start();
  reconnect();
  data(pod_event("MODIFIED", "b", 2), from("2"));
  data(pod_event("MODIFIED", "a", 3), from("2"));
  data(pod_event("MODIFIED", "a", 3), from("2"));
  EXPECT_THAT(record_.told, ElementsAre("MODIFIED a@3"));
}

TEST_F(ResumeTest, LateMessagesOfAnOldWireQueryAreIgnored) {
  start();
  reconnect();
  data(pod_event("ADDED", "ghost", 1));  // of the connection before
  complete();
  EXPECT_THAT(record_.told, IsEmpty());
  EXPECT_FALSE(subscription_.status().completed);
  EXPECT_EQ(multiplexer_->counters().late_messages, 2u);
}

TEST_F(ResumeTest, WhatComesLateAfterACloseDoesNotReachTheNextSubscription) {
  start();
  subscription_.unsubscribe();
  advance(milliseconds(100));
  EXPECT_THAT(sent(), ElementsAre("CLOSE " + std::string(kFreshQuery)));
  subscription_ = multiplexer_->subscribe(kPods, record_.handlers());
  settle();
  const std::string again = "watch=1&allowWatchBookmarks=true&pretty=1";
  EXPECT_THAT(sent(), ElementsAre("REQUEST " + again));
  data(pod_event("ADDED", "ghost", 1));
  complete();
  EXPECT_THAT(record_.told, IsEmpty());
  data(pod_event("ADDED", "a", 1), again);
  complete(again);
  EXPECT_THAT(content(), ElementsAre("a@1"));
}

TEST_F(ResumeTest, ALateListenerInsideAResyncEndsWithTheSameState) {
  start();
  data(error_event(410, "Expired"));
  data(pod_event("ADDED", "c", 9));
  Record late;
  const auto second = multiplexer_->subscribe(kPods, late.handlers());
  settle();
  data(pod_event("ADDED", "a", 8));
  complete();
  EXPECT_THAT(late.told, ElementsAre("ADDED a@1", "ADDED b@2", "ADDED c@9", "MODIFIED a@8", "DELETED b@2", "COMPLETE"));
}

// ---- Subscriptions that start at a version of their own

class StartVersionTest : public ResumeTest {
 protected:
  static SubscriptionKey key() {
    auto key = kPods;
    key.query = "watch=1&resourceVersion=215";
    return key;
  }
  void start() {
    subscription_ = multiplexer_->subscribe(key(), record_.handlers());
    accept();
  }
};

TEST_F(StartVersionTest, StartsThereAndPassesOnWhatTheListenerListedItself) {
  start();
  EXPECT_THAT(sent(), ElementsAre("REQUEST " + from("215")));
  data(pod_event("MODIFIED", "known-to-caller", 216), from("215"));
  data(pod_event("DELETED", "also-known", 217), from("215"));
  complete(from("215"));
  EXPECT_THAT(record_.told, ElementsAre("MODIFIED known-to-caller@216", "DELETED also-known@217", "COMPLETE"));
  reconnect();
  EXPECT_THAT(sent(), ElementsAre("REQUEST " + from("217")));
}

TEST_F(StartVersionTest, AnotherStartIsAnotherKey) {
  start();
  auto other = key();
  other.query = "resourceVersion=300";
  const auto second = multiplexer_->subscribe(other, {});
  settle();
  EXPECT_THAT(sent(), ElementsAre("REQUEST " + from("215"), "REQUEST " + from("300")));
}

TEST_F(StartVersionTest, AGoneEventIsToldSoThatTheListenersOwnListIsReplaced) {
  start();
  data(error_event(410, "Expired"), from("215"));
  data(pod_event("ADDED", "a", 300), from("215"));
  complete(from("215"));
  EXPECT_THAT(record_.told, ElementsAre("ERROR @999999", "ADDED a@300", "COMPLETE"));
  data(error_event(410, "Expired"), from("215"));  // now the store is whole: healed unseen
  data(pod_event("ADDED", "b", 301), from("215"));
  record_.take();
  complete(from("215"));
  EXPECT_THAT(record_.told, ElementsAre("DELETED a@300", "COMPLETE"));
}

TEST_F(StartVersionTest, ALateListenerGetsTheStateWhileNothingWasDeleted) {
  start();
  data(pod_event("MODIFIED", "a", 216), from("215"));
  complete(from("215"));
  sent();
  Record late;
  const auto second = multiplexer_->subscribe(key(), late.handlers());
  settle();
  EXPECT_THAT(late.told, ElementsAre("ADDED a@216", "COMPLETE"));
  EXPECT_THAT(sent(), IsEmpty());
}

TEST_F(StartVersionTest, AfterADeletionALateListenerIsToldToReplaceItsListAndGetsAllOfIt) {
  start();
  data(pod_event("MODIFIED", "a", 216), from("215"));
  data(pod_event("DELETED", "b", 217), from("215"));
  complete(from("215"));
  sent();
  record_.take();
  Record late;
  const auto second = multiplexer_->subscribe(key(), late.handlers());
  settle();
  EXPECT_THAT(late.told, ElementsAre("ERROR @", "ADDED a@216"));
  const auto messages = sent();
  ASSERT_THAT(messages, SizeIs(2));
  EXPECT_EQ(messages[0], "CLOSE " + from("215"));
  const std::string again = messages[1].substr(std::string("REQUEST ").size());
  data(pod_event("ADDED", "a", 216), again);
  data(pod_event("ADDED", "c", 100), again);
  complete(again);
  EXPECT_THAT(late.told, ElementsAre("ERROR @", "ADDED a@216", "ADDED c@100", "COMPLETE"));
  EXPECT_THAT(record_.told, ElementsAre("ADDED c@100", "COMPLETE"));
}

}  // namespace
}  // namespace fresnel::client

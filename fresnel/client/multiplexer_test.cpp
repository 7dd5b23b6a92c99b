// The connection, the requests and the listeners of a Multiplexer. Errors, states and the end: see
// multiplexer_error_test.cpp; what a reconnect does to the data: multiplexer_resume_test.cpp.
#include "fresnel/client/multiplexer.hpp"

#include <stdexcept>

#include "fresnel/client/gateway_link.hpp"
#include "fresnel/client/testing/multiplexer_fixture.hpp"

namespace fresnel::client {
namespace {

using testing::bookmark_event;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kFreshQuery;
using testing::kPods;
using testing::MultiplexerTest;
using ::testing::Not;
using testing::pod_event;
using testing::Record;
using ::testing::SizeIs;

// ---- Connecting

TEST(MultiplexerUrl, HttpHttpsWsAndWssAndABasePathAreAccepted) {
  EXPECT_EQ(multiplexer_url("http://host:4466").value(), "ws://host:4466/wsMultiplexer");
  EXPECT_EQ(multiplexer_url("https://host/").value(), "wss://host/wsMultiplexer");
  EXPECT_EQ(multiplexer_url("ws://[::1]:1").value(), "ws://[::1]:1/wsMultiplexer");
  EXPECT_EQ(multiplexer_url("wss://host/base/path/").value(), "wss://host/base/path/wsMultiplexer");
  EXPECT_EQ(multiplexer_url("http://host/base/wsMultiplexer").value(), "ws://host/base/wsMultiplexer");
  for (const char* bad : {"", "host:4466", "ftp://host", "http://", "/wsMultiplexer"}) {
    const auto url = multiplexer_url(bad);
    ASSERT_TRUE(url.has_error()) << bad;
    EXPECT_EQ(url.error().code, Errc::invalid_argument);
  }
  EXPECT_THAT(multiplexer_url("ftp://user:secret@host").error().message, Not(HasSubstr("secret")));
}

TEST_F(MultiplexerTest, DialsWhenTheFirstSubscriptionWantsIt) {
  EXPECT_EQ(multiplexer_->state(), ConnectionState::idle);
  settle();
  EXPECT_EQ(dialer_->waiting(), 0u);
  Record record;
  const auto subscription = multiplexer_->subscribe(kPods, record.handlers());
  settle();
  EXPECT_EQ(multiplexer_->state(), ConnectionState::connecting);
  ASSERT_THAT(dialer_->requests, SizeIs(1));
  EXPECT_EQ(dialer_->requests[0].url, "ws://gateway:4466/wsMultiplexer");
  accept();
  EXPECT_EQ(multiplexer_->state(), ConnectionState::connected);
  EXPECT_THAT(sent(), ElementsAre("REQUEST watch=1&allowWatchBookmarks=true"));
}

TEST_F(MultiplexerTest, ConnectIsSingleFlight) {
  const auto first = connect();
  const auto second = connect();
  const auto subscription = multiplexer_->subscribe(kPods, {});
  settle();
  EXPECT_THAT(dialer_->requests, SizeIs(1));
  EXPECT_FALSE(first->has_value());
  accept();
  ASSERT_TRUE(first->has_value() && second->has_value());
  EXPECT_TRUE((*first)->has_value());
  EXPECT_TRUE((*second)->has_value());
  EXPECT_TRUE((*connect())->has_value());
  EXPECT_THAT(dialer_->requests, SizeIs(1));
}

TEST_F(MultiplexerTest, AFailedConnectGivesEveryWaiterAndListenerTheSameError) {
  Record one;
  Record two;
  const auto first = multiplexer_->subscribe(kPods, one.handlers());
  const auto second = multiplexer_->subscribe({.cluster_id = "b", .path = "/api/v1/nodes"}, two.handlers());
  const auto waiter = connect();
  const auto other_waiter = connect();
  dialer_->refuse(Error{.code = Errc::connect_failed, .message = "no route"});
  settle();
  EXPECT_EQ((**waiter).error(), (**other_waiter).error());
  EXPECT_EQ((**waiter).error().code, Errc::connect_failed);
  EXPECT_THAT(one.told, ElementsAre("error: no route"));
  EXPECT_THAT(two.told, ElementsAre("error: no route"));
  EXPECT_EQ(first.status().last_error->message, "no route");
  EXPECT_EQ(first.status().state, SubscriptionState::connecting);
  EXPECT_EQ(multiplexer_->state(), ConnectionState::reconnecting);
  accept();  // and it goes on
  data(pod_event("ADDED", "a", 1));
  EXPECT_THAT(one.told, ElementsAre("error: no route", "ADDED a@1"));
}

TEST_F(MultiplexerTest, ConnectHasATimeout) {
  const auto waiter = connect();
  advance(seconds(9));
  EXPECT_FALSE(waiter->has_value());
  advance(seconds(1));
  ASSERT_TRUE(waiter->has_value());
  EXPECT_EQ((**waiter).error().code, Errc::timeout);
  EXPECT_EQ(dialer_->cancelled, 1);
}

TEST_F(MultiplexerTest, AWaitingConnectAloneIsNotRetriedForever) {
  const auto waiter = connect();
  dialer_->refuse(Error{.code = Errc::connect_failed, .message = "no route"});
  settle();
  EXPECT_TRUE(waiter->has_value());
  EXPECT_EQ(multiplexer_->state(), ConnectionState::idle);
  EXPECT_EQ(clock_.armed(), 0u);
}

TEST_F(MultiplexerTest, ABadUrlIsAnErrorNotACrash) {
  options_.url = "ftp://gateway";
  multiplexer_ = make();
  Record record;
  const auto subscription = multiplexer_->subscribe(kPods, record.handlers());
  settle();
  EXPECT_THAT(record.told, ElementsAre(HasSubstr("expected http, https, ws or wss")));
  EXPECT_THAT(dialer_->requests, IsEmpty());
}

TEST_F(MultiplexerTest, UrlAndTokenAreAskedAtEveryConnect) {
  int asked = 0;
  options_.url = std::function<std::string()>([&] { return "http://gateway-" + std::to_string(++asked); });
  options_.bearer_token = std::function<std::string()>([&] { return "token-" + std::to_string(asked); });
  options_.headers = {{"X-Custom", "1"}};
  multiplexer_ = make();
  const auto subscription = multiplexer_->subscribe(kPods, {});
  accept();
  drop();
  accept();
  ASSERT_THAT(dialer_->requests, SizeIs(2));
  EXPECT_EQ(dialer_->requests[1].url, "ws://gateway-2/wsMultiplexer");
  EXPECT_EQ(dialer_->requests[1].headers.get("authorization"), "Bearer token-2");
  EXPECT_EQ(dialer_->requests[1].headers.get("x-custom"), "1");
}

TEST_F(MultiplexerTest, ASuppliedContextsUserGoesAsASubprotocolAndAFailedLookupDoesNotStopTheConnection) {
  int asked = 0;
  options_.context_user = std::function<std::string()>([&]() -> std::string {
    if (++asked == 2) throw std::runtime_error("no such context");
    return "f075623f9be8c74f";
  });
  options_.backend_token = "desktop";
  multiplexer_ = make();
  const auto subscription = multiplexer_->subscribe(kPods, {});
  accept();
  drop();
  accept();
  ASSERT_THAT(dialer_->requests, SizeIs(2));
  EXPECT_THAT(dialer_->requests[0].protocols,
              ElementsAre("headlamp.multiplexer.k8s.io", "base64url.headlamp.backend.authorization.k8s.io.ZGVza3RvcA",
                          "base64url.headlamp.authorization.k8s.io.f075623f9be8c74f"));
  EXPECT_THAT(dialer_->requests[1].protocols,
              ElementsAre("headlamp.multiplexer.k8s.io", "base64url.headlamp.backend.authorization.k8s.io.ZGVza3RvcA"));
  EXPECT_EQ(multiplexer_->state(), ConnectionState::connected);
}

TEST_F(MultiplexerTest, AClustersTokenGoesWithItsRequestsAndANewerOneIsSentAtOnce) {
  std::string token = "one";
  options_.cluster_token = [&](std::string_view cluster) { return std::string(cluster) + "-" + token; };
  multiplexer_ = make();
  const auto subscription = multiplexer_->subscribe(kPods, {});
  accept();
  const auto tokens = [&] {
    std::vector<std::string> all;
    for (const auto& text : socket_->take_sent()) all.push_back(wire::parse_client_message(text)->token);
    return all;
  };
  EXPECT_THAT(tokens(), ElementsAre(kPods.cluster_id + "-one"));
  token = "two";
  multiplexer_->renew_tokens();
  settle();
  EXPECT_THAT(tokens(), ElementsAre(kPods.cluster_id + "-two"));
}

TEST_F(MultiplexerTest, WithoutATokenThereIsNoAuthorizationHeader) {
  const auto subscription = multiplexer_->subscribe(kPods, {});
  settle();
  EXPECT_FALSE(dialer_->requests.at(0).headers.has("Authorization"));
}

TEST_F(MultiplexerTest, ACallbackThatThrowsIsAnErrorThatTellsNothingOfIt) {
  options_.bearer_token = std::function<std::string()>([]() -> std::string { throw std::runtime_error("s3cret"); });
  multiplexer_ = make();
  Record record;
  const auto subscription = multiplexer_->subscribe(kPods, record.handlers());
  settle();
  ASSERT_THAT(record.told, SizeIs(1));
  EXPECT_THAT(record.told[0], Not(HasSubstr("s3cret")));
}

TEST_F(MultiplexerTest, UserIdIsAskedAtEveryRequestAndCloseAndAnEmptyOneIsSent) {
  std::string user = "";
  options_.user_id = std::function<std::string()>([&] { return user; });
  multiplexer_ = make();
  auto subscription = multiplexer_->subscribe(kPods, {});
  accept();
  EXPECT_EQ(wire::parse_client_message(socket_->sent.at(0))->user_id, "");
  user = "later";
  subscription.unsubscribe();
  advance(milliseconds(100));
  EXPECT_EQ(wire::parse_client_message(socket_->sent.at(1))->user_id, "later");
}

TEST_F(MultiplexerTest, AUserIdCallbackThatThrowsIsReportedLaterAndTheRequestIsSentWithoutAUser) {
  options_.user_id = std::function<std::string()>([]() -> std::string { throw std::runtime_error("no user"); });
  multiplexer_ = make();
  const auto waiter = connect();
  accept();
  Record record;
  const auto subscription = multiplexer_->subscribe(kPods, record.handlers());
  EXPECT_THAT(record.told, IsEmpty());  // never from inside subscribe()
  settle();
  EXPECT_THAT(record.told, SizeIs(1));
  EXPECT_EQ(wire::parse_client_message(socket_->sent.at(0))->user_id, "");
}

TEST_F(MultiplexerTest, ReconnectsWithFullJitterThatGrowsToItsLimit) {
  const auto subscription = multiplexer_->subscribe(kPods, {});
  Duration limit = milliseconds(800);
  Duration longest{};
  Duration shortest = seconds(60);
  for (int i = 0; i < 40; ++i) {
    settle();
    ASSERT_EQ(dialer_->waiting(), 1u);
    dialer_->refuse(Error{.code = Errc::connect_failed, .message = "no route"});
    settle();
    const auto before = clock_.now();
    wait_for_dial();
    const auto delay = clock_.now() - before;
    EXPECT_LE(delay, limit);
    if (limit == Duration(seconds(30))) {
      longest = std::max(longest, delay);
      shortest = std::min(shortest, delay);
    }
    limit = std::min<Duration>(limit * 2, seconds(30));
  }
  EXPECT_GT(longest, seconds(20));  // full jitter: anywhere between nothing and the limit
  EXPECT_LT(shortest, seconds(10));
}

TEST_F(MultiplexerTest, AHealthyConnectionResetsTheBackoff) {
  const auto subscription = multiplexer_->subscribe(kPods, {});
  for (int i = 0; i < 10; ++i) {
    wait_for_dial();
    dialer_->refuse(Error{.code = Errc::connect_failed, .message = "no route"});
  }
  accept();
  advance(seconds(10));
  drop();
  const auto before = clock_.now();
  wait_for_dial();
  EXPECT_LE(clock_.now() - before, milliseconds(800));
}

TEST_F(MultiplexerTest, AnIdleConnectionStaysAndALostOneIsNotRestored) {
  auto subscription = multiplexer_->subscribe(kPods, {});
  accept();
  subscription.unsubscribe();
  advance(milliseconds(100));
  EXPECT_EQ(multiplexer_->state(), ConnectionState::connected);
  drop();
  EXPECT_EQ(multiplexer_->state(), ConnectionState::idle);
  EXPECT_EQ(clock_.armed(), 0u);
}

// ---- Listeners

TEST_F(MultiplexerTest, ManyListenersOfOneKeyShareOneRequest) {
  Record one;
  Record two;
  const auto first = multiplexer_->subscribe(kPods, one.handlers());
  // The same list, written differently.
  auto key = kPods;
  key.query = "?watch=true&allowWatchBookmarks=false&resourceVersion=0";
  const auto second = multiplexer_->subscribe(key, two.handlers());
  accept();
  EXPECT_THAT(sent(), SizeIs(1));
  EXPECT_EQ(multiplexer_->active_subscriptions(), 1u);
  data(pod_event("ADDED", "a", 1));
  complete();
  EXPECT_THAT(one.told, ElementsAre("ADDED a@1", "COMPLETE"));
  EXPECT_EQ(one.told, two.told);
}

TEST_F(MultiplexerTest, ALaterListenerFirstGetsTheStateAsAddedThenCompletion) {
  Record early;
  const auto first = multiplexer_->subscribe(kPods, early.handlers());
  accept();
  data(pod_event("ADDED", "b", 1));
  data(pod_event("ADDED", "gone", 2));
  complete();
  data(pod_event("MODIFIED", "b", 3));
  data(pod_event("ADDED", "a", 4));
  data(pod_event("DELETED", "gone", 5));
  sent();
  Record late;
  const auto second = multiplexer_->subscribe(kPods, late.handlers());
  EXPECT_THAT(late.told, IsEmpty());  // never from inside subscribe()
  settle();
  EXPECT_THAT(late.told, ElementsAre("ADDED a@4", "ADDED b@3", "COMPLETE"));
  EXPECT_EQ(late.texts.at(1), pod_event("ADDED", "b", 3));
  data(pod_event("MODIFIED", "a", 6));
  EXPECT_THAT(late.told, ElementsAre("ADDED a@4", "ADDED b@3", "COMPLETE", "MODIFIED a@6"));
  EXPECT_THAT(sent(), IsEmpty());
}

TEST_F(MultiplexerTest, WhatArrivesBeforeALateListenersStateIsToldOnce) {
  const auto first = multiplexer_->subscribe(kPods, {});
  accept();
  complete();
  Record late;
  // The event is in the socket already when the listener joins.
  socket_->push(wire::encode(message(wire::ServerMessage::Type::data, kFreshQuery, pod_event("ADDED", "a", 1))));
  const auto second = multiplexer_->subscribe(kPods, late.handlers());
  settle();
  EXPECT_THAT(late.take(), ::testing::UnorderedElementsAre("ADDED a@1", "COMPLETE"));
}

TEST_F(MultiplexerTest, TheLastOneLeavingSendsCloseAfterTheDebounce) {
  auto first = multiplexer_->subscribe(kPods, {});
  auto second = multiplexer_->subscribe(kPods, {});
  accept();
  complete();
  EXPECT_TRUE(multiplexer_->completed(kPods));
  sent();
  first.unsubscribe();
  advance(seconds(1));
  EXPECT_THAT(sent(), IsEmpty());
  EXPECT_EQ(multiplexer_->pending_unsubscribes(), 0u);
  second.unsubscribe();
  EXPECT_EQ(multiplexer_->pending_unsubscribes(), 1u);
  EXPECT_EQ(multiplexer_->active_subscriptions(), 0u);
  EXPECT_FALSE(multiplexer_->completed(kPods));
  settle();
  advance(milliseconds(99));
  EXPECT_THAT(sent(), IsEmpty());
  advance(milliseconds(1));
  EXPECT_THAT(sent(), ElementsAre("CLOSE watch=1&allowWatchBookmarks=true"));
  EXPECT_EQ(multiplexer_->pending_unsubscribes(), 0u);
}

TEST_F(MultiplexerTest, WhoJoinsWithinTheDebounceKeepsTheRequest) {
  auto first = multiplexer_->subscribe(kPods, {});
  accept();
  data(pod_event("ADDED", "a", 1));
  complete();
  sent();
  first.unsubscribe();
  advance(milliseconds(99));
  data(pod_event("MODIFIED", "a", 2));  // still applied
  Record record;
  const auto second = multiplexer_->subscribe(kPods, record.handlers());
  advance(seconds(1));
  EXPECT_THAT(sent(), IsEmpty());
  EXPECT_THAT(record.told, ElementsAre("ADDED a@2", "COMPLETE"));
  EXPECT_TRUE(multiplexer_->completed(kPods));
}

TEST_F(MultiplexerTest, UnsubscribingWhileDisconnectedSendsNothingLater) {
  auto gone = multiplexer_->subscribe(kPods, {});
  const auto stays = multiplexer_->subscribe({.cluster_id = "b", .path = "/api/v1/nodes"}, {});
  accept();
  gone.unsubscribe();
  drop();
  EXPECT_EQ(multiplexer_->pending_unsubscribes(), 0u);
  accept();
  EXPECT_THAT(sent(), SizeIs(1));
}

TEST_F(MultiplexerTest, ASubscriptionMovesAndItsDestructionUnsubscribes) {
  Record record;
  {
    Subscription outer;
    {
      auto inner = multiplexer_->subscribe(kPods, record.handlers());
      outer = std::move(inner);
    }
    accept();
    data(pod_event("ADDED", "a", 1));
    EXPECT_THAT(record.take(), ElementsAre("ADDED a@1"));
    EXPECT_TRUE(static_cast<bool>(outer));
  }
  data(pod_event("ADDED", "b", 2));
  EXPECT_THAT(record.told, IsEmpty());
  EXPECT_EQ(multiplexer_->pending_unsubscribes(), 1u);
}

TEST_F(MultiplexerTest, CompletedIsClearedWhenTheSocketIsLost) {
  const auto subscription = multiplexer_->subscribe(kPods, {});
  accept();
  complete();
  EXPECT_TRUE(multiplexer_->completed(kPods));
  EXPECT_TRUE(subscription.status().completed);
  drop();
  EXPECT_FALSE(multiplexer_->completed(kPods));
  EXPECT_FALSE(subscription.status().completed);
}

TEST_F(MultiplexerTest, ARepeatedCompleteIsToldOnce) {
  Record record;
  const auto subscription = multiplexer_->subscribe(kPods, record.handlers());
  accept();
  complete();
  complete();
  EXPECT_THAT(record.told, ElementsAre("COMPLETE"));
}

TEST_F(MultiplexerTest, SelectorsAndClustersDoNotMix) {
  Record red;
  Record blue;
  Record other;
  auto key = kPods;
  key.query = "labelSelector=color%3Dred";
  const auto first = multiplexer_->subscribe(key, red.handlers());
  key.query = "labelSelector=color%3Dblue";
  const auto second = multiplexer_->subscribe(key, blue.handlers());
  const auto third = multiplexer_->subscribe({.cluster_id = "dev", .path = "/api/v1/pods"}, other.handlers());
  accept();
  EXPECT_THAT(sent(), SizeIs(3));
  data(pod_event("ADDED", "r", 1), "watch=1&labelSelector=color%3Dred&allowWatchBookmarks=true");
  data(pod_event("ADDED", "b", 2), "watch=1&labelSelector=color%3Dblue&allowWatchBookmarks=true");
  EXPECT_THAT(red.told, ElementsAre("ADDED r@1"));
  EXPECT_THAT(blue.told, ElementsAre("ADDED b@2"));
  EXPECT_THAT(other.told, IsEmpty());
}

TEST_F(MultiplexerTest, TheSameListInAnotherMediaTypeIsAnotherRequest) {
  auto table = kPods;
  table.accept = testing::kTableAccept;
  Record plain_record;
  Record table_record;
  const auto first = multiplexer_->subscribe(kPods, plain_record.handlers());
  const auto second = multiplexer_->subscribe(table, table_record.handlers());
  accept();
  const auto texts = socket_->take_sent();
  ASSERT_THAT(texts, SizeIs(2));
  const auto one = wire::parse_client_message(texts[0]).value();
  const auto two = wire::parse_client_message(texts[1]).value();
  EXPECT_NE(one.query, two.query);  // the echo must tell them apart
  EXPECT_EQ(two.accept, testing::kTableAccept);
  data(pod_event("ADDED", "a", 1), one.query);
  EXPECT_THAT(plain_record.told, ElementsAre("ADDED a@1"));
  EXPECT_THAT(table_record.told, IsEmpty());
}

TEST_F(MultiplexerTest, ALateTableListenerGetsTheColumnsToo) {
  auto table = kPods;
  table.accept = testing::kTableAccept;
  const std::string columns = R"([{"name":"Name","type":"string"}])";
  Record early;
  const auto first = multiplexer_->subscribe(table, early.handlers());
  accept();
  data(testing::table_event("ADDED", "b", "1", columns));
  data(testing::table_event("ADDED", "a", "2", "null"));
  data(testing::table_event("MODIFIED", "b", "3", "null"));
  EXPECT_THAT(early.texts.at(1), HasSubstr(R"("columnDefinitions":null)"));
  Record late;
  const auto second = multiplexer_->subscribe(table, late.handlers());
  settle();
  EXPECT_THAT(late.told, ElementsAre("ADDED a@2", "ADDED b@3"));
  EXPECT_THAT(late.texts.at(0), HasSubstr(columns));
  EXPECT_THAT(late.texts.at(1), Not(HasSubstr(columns)));
}

TEST_F(MultiplexerTest, BookmarksGoOnlyToThoseWhoAskedForThem) {
  Record plain;
  Record asking;
  const auto first = multiplexer_->subscribe(kPods, plain.handlers());
  auto key = kPods;
  key.query = "allowWatchBookmarks=true";
  const auto second = multiplexer_->subscribe(key, asking.handlers());
  accept();
  EXPECT_THAT(sent(), SizeIs(1));
  complete();
  data(bookmark_event("50"));
  EXPECT_THAT(plain.told, ElementsAre("COMPLETE"));
  EXPECT_THAT(asking.told, ElementsAre("COMPLETE", "BOOKMARK @50"));
}

}  // namespace
}  // namespace fresnel::client

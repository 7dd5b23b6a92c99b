// The connection, the requests and the listeners of a Multiplexer. What a reconnect does to the data: see
// multiplexer_resume_test.cpp.
#include "fresnel/client/multiplexer.hpp"

#include <stdexcept>

#include "fresnel/client/gateway_link.hpp"
#include "fresnel/client/testing/multiplexer_fixture.hpp"

namespace fresnel::client {
namespace {

using testing::bookmark_event;
using ::testing::Contains;
using ::testing::ElementsAre;
using testing::error_event;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kFreshQuery;
using testing::kPods;
using testing::MultiplexerTest;
using ::testing::Not;
using testing::pod_event;
using testing::Record;
using ::testing::SizeIs;
using ::testing::StartsWith;

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

// ---- Errors

TEST_F(MultiplexerTest, AHandlerThatThrowsReachesItsOwnOnErrorOnly) {
  Record good;
  std::vector<std::string> errors;
  const auto thrower = multiplexer_->subscribe(
      kPods, {.on_message = [](const kube::WatchEvent&) { throw std::runtime_error("oops"); },
              .on_error = [&](const Error& error) { errors.push_back(error.message); },
              .on_complete = [] { throw 7; },
              .on_state = [](const SubscriptionStatus&) { throw std::runtime_error("state"); }});
  const auto worse =
      multiplexer_->subscribe(kPods, {.on_message = [](const kube::WatchEvent&) { throw std::runtime_error("oops"); },
                                      .on_error = [](const Error&) { throw std::runtime_error("again"); }});
  const auto other = multiplexer_->subscribe(kPods, good.handlers());
  accept();
  data(pod_event("ADDED", "a", 1));
  complete();
  data(pod_event("MODIFIED", "a", 2));
  EXPECT_THAT(good.told, ElementsAre("ADDED a@1", "COMPLETE", "MODIFIED a@2"));
  EXPECT_THAT(errors, ElementsAre(HasSubstr("state"), HasSubstr("oops"), HasSubstr("threw"), HasSubstr("oops")));
}

TEST_F(MultiplexerTest, DataThatDoesNotParseGoesToOnErrorOfItsKeyOnly) {
  Record pods;
  Record nodes;
  const auto first = multiplexer_->subscribe(kPods, pods.handlers());
  const auto second = multiplexer_->subscribe({.cluster_id = "prod", .path = "/api/v1/nodes"}, nodes.handlers());
  accept();
  data("{nonsense");
  data("42");
  data(R"({"type":"ADDED","object":{}})");
  EXPECT_THAT(pods.take(), SizeIs(3));
  EXPECT_THAT(nodes.told, IsEmpty());
  data(pod_event("ADDED", "a", 1));
  EXPECT_THAT(pods.told, ElementsAre("ADDED a@1"));
}

TEST_F(MultiplexerTest, AMessageThatDoesNotParseGoesToEveryOnErrorAndEndsNobody) {
  Record one;
  Record two;
  const auto first = multiplexer_->subscribe(kPods, one.handlers());
  const auto second = multiplexer_->subscribe({.cluster_id = "b", .path = "/api/v1/nodes"}, two.handlers());
  accept();
  socket_->push("{nonsense");
  socket_->push("\x01\x02", true);
  settle();
  EXPECT_THAT(one.take(), ElementsAre(StartsWith("error: message: expected JSON"), StartsWith("error: message: ")));
  EXPECT_THAT(two.take(), SizeIs(2));
  EXPECT_EQ(multiplexer_->counters().bad_messages, 2u);
  data(pod_event("ADDED", "a", 1));
  EXPECT_THAT(one.told, ElementsAre("ADDED a@1"));
}

TEST_F(MultiplexerTest, MessagesWithoutARouteAreIgnoredAndCounted) {
  Record record;
  const auto subscription = multiplexer_->subscribe(kPods, record.handlers());
  accept();
  data(pod_event("ADDED", "a", 1), "watch=1&resourceVersion=7");
  complete("");
  EXPECT_EQ(multiplexer_->counters().late_messages, 2u);
  socket_->push(R"({"clusterId":"","path":"","query":"","userId":"","data":"{\"error\":\"what?\"}","type":"ERROR"})");
  settle();
  EXPECT_EQ(multiplexer_->counters().bad_messages, 1u);
  EXPECT_THAT(record.told, IsEmpty());
}

TEST_F(MultiplexerTest, ErrorEventsAndUnknownTypesAreReportedAndChangeNothing) {
  Record record;
  const auto subscription = multiplexer_->subscribe(kPods, record.handlers());
  accept();
  data(pod_event("ADDED", "a", 1));
  data(error_event(500, "InternalError"));
  data(R"({"type":"ODD","object":{"metadata":{"uid":"uid-a","name":"a","resourceVersion":"9"}}})");
  EXPECT_THAT(record.told, ElementsAre("ADDED a@1", StartsWith("ERROR"), StartsWith("UNKNOWN")));
  EXPECT_EQ(subscription.status().last_error->status, 500);
  EXPECT_EQ(subscription.snapshot()->size(), 1u);
}

TEST_F(MultiplexerTest, ARefusedSubscriptionIsToldStaysVisibleAndEndsNoOther) {
  Record pods;
  Record nodes;
  const auto first = multiplexer_->subscribe(kPods, pods.handlers_with_state());
  const auto second = multiplexer_->subscribe({.cluster_id = "prod", .path = "/api/v1/nodes"}, nodes.handlers());
  accept();
  sent();
  refuse(Error{.code = Errc::forbidden, .message = "pods is forbidden", .status = 403, .reason = "Forbidden"});
  EXPECT_THAT(pods.take(), ElementsAre("state: failed", "error: pods is forbidden"));
  EXPECT_EQ(first.status().state, SubscriptionState::failed);
  EXPECT_EQ(first.status().last_error->code, Errc::forbidden);
  EXPECT_EQ(first.status().last_error->reason, "Forbidden");
  EXPECT_EQ(second.status().state, SubscriptionState::connecting);
  EXPECT_THAT(nodes.told, IsEmpty());
  advance(milliseconds(29'999));
  EXPECT_THAT(sent(), IsEmpty());
  advance(milliseconds(1));
  EXPECT_THAT(sent(), ElementsAre("REQUEST watch=1&allowWatchBookmarks=true"));
  EXPECT_EQ(first.status().state, SubscriptionState::failed);  // until it is answered
  data(pod_event("ADDED", "a", 1));
  EXPECT_THAT(pods.take(), ElementsAre("state: live", "ADDED a@1"));
}

TEST_F(MultiplexerTest, OtherRefusalsAreRetriedWithBackoff) {
  const auto subscription = multiplexer_->subscribe(kPods, {});
  accept();
  sent();
  refuse(Error{.code = Errc::api, .message = "etcd is slow", .status = 500});
  advance(milliseconds(800));
  EXPECT_THAT(sent(), SizeIs(1));
  for (int i = 0; i < 10; ++i) {
    refuse(Error{.code = Errc::api, .message = "etcd is slow", .status = 500});
    advance(seconds(30));
  }
  EXPECT_THAT(sent(), SizeIs(10));
}

TEST_F(MultiplexerTest, ALateListenerOfAFailedSubscriptionIsToldWhy) {
  const auto first = multiplexer_->subscribe(kPods, {});
  accept();
  refuse(Error{.code = Errc::not_found, .message = "no such cluster", .status = 404});
  sent();
  Record late;
  const auto second = multiplexer_->subscribe(kPods, late.handlers());
  settle();
  EXPECT_THAT(late.told, ElementsAre("error: no such cluster"));
  EXPECT_THAT(sent(), IsEmpty());
}

TEST_F(MultiplexerTest, WhoJoinsAFailedKeyThatNobodyListenedToRequestsAnew) {
  auto first = multiplexer_->subscribe(kPods, {});
  accept();
  first.unsubscribe();
  refuse(Error{.code = Errc::not_found, .message = "no such cluster", .status = 404});
  sent();
  const auto second = multiplexer_->subscribe(kPods, {});
  settle();
  EXPECT_THAT(sent(), SizeIs(1));
}

TEST_F(MultiplexerTest, UnsubscribingAFailedKeyEndsItsRetries) {
  auto subscription = multiplexer_->subscribe(kPods, {});
  accept();
  refuse(Error{.code = Errc::forbidden, .message = "no", .status = 403});
  sent();
  subscription.unsubscribe();
  advance(seconds(60));
  EXPECT_THAT(sent(), IsEmpty());  // nothing to CLOSE either: the gateway has ended it
  EXPECT_EQ(clock_.armed(), 0u);
}

// ---- State

TEST_F(MultiplexerTest, StateAndLastEventAgeAndLastErrorAreVisible) {
  Record record;
  const auto subscription = multiplexer_->subscribe(kPods, record.handlers_with_state());
  EXPECT_EQ(subscription.status().state, SubscriptionState::connecting);
  EXPECT_FALSE(subscription.status().last_event_age.has_value());
  accept();
  EXPECT_EQ(subscription.status().state, SubscriptionState::connecting);  // asked, not answered
  complete();
  EXPECT_EQ(subscription.status().state, SubscriptionState::live);
  data(bookmark_event("40"));
  advance(seconds(5));
  EXPECT_EQ(subscription.status().last_event_age, Duration(seconds(5)));
  EXPECT_EQ(subscription.status().resource_version, "40");
  EXPECT_FALSE(subscription.status().last_error.has_value());
  drop();
  EXPECT_EQ(subscription.status().state, SubscriptionState::reconnecting);
  EXPECT_EQ(subscription.status().last_error->code, Errc::closed);
  accept();
  EXPECT_EQ(subscription.status().state, SubscriptionState::reconnecting);
  complete("watch=1&allowWatchBookmarks=true&resourceVersion=40");
  EXPECT_EQ(subscription.status().state, SubscriptionState::live);
  EXPECT_THAT(record.told, ElementsAre("state: live", "COMPLETE", "state: reconnecting", "state: live", "COMPLETE"));
}

TEST_F(MultiplexerTest, StatusOfTheUpstreamIsStateOfTheSubscriptionItNames) {
  auto selected = kPods;
  selected.query = "labelSelector=a";
  const auto one = multiplexer_->subscribe(kPods, {});
  const auto two = multiplexer_->subscribe(selected, {});
  accept();
  using State = wire::UpstreamStatus::State;
  upstream(State::connected, "", kFreshQuery);
  EXPECT_EQ(one.status().state, SubscriptionState::live);
  EXPECT_EQ(two.status().state, SubscriptionState::connecting);
  upstream(State::error, "the API server is away", kFreshQuery);
  EXPECT_EQ(one.status().state, SubscriptionState::reconnecting);
  EXPECT_EQ(one.status().last_error->message, "the API server is away");
  data(pod_event("ADDED", "a", 1));
  EXPECT_EQ(one.status().state, SubscriptionState::live);
  upstream(State::closed, "", "");  // another gateway's: every query of the path
  EXPECT_EQ(one.status().state, SubscriptionState::reconnecting);
  EXPECT_EQ(two.status().state, SubscriptionState::connecting);
}

// ---- Handlers that change things

TEST_F(MultiplexerTest, HandlersMayUnsubscribeAndSubscribe) {
  Record late;
  Subscription self;
  Subscription other;
  Subscription joined;
  int seen = 0;
  Record other_record;
  self = multiplexer_->subscribe(kPods, {.on_message = [&](const kube::WatchEvent&) {
                                   ++seen;
                                   self.unsubscribe();
                                   other.unsubscribe();
                                   joined = multiplexer_->subscribe(kPods, late.handlers());
                                 }});
  other = multiplexer_->subscribe(kPods, other_record.handlers());
  accept();
  sent();
  data(pod_event("ADDED", "a", 1));
  data(pod_event("MODIFIED", "a", 2));
  EXPECT_EQ(seen, 1);
  EXPECT_THAT(other_record.told, IsEmpty());
  EXPECT_THAT(late.told, ElementsAre("ADDED a@1", "MODIFIED a@2"));
  advance(seconds(1));
  EXPECT_THAT(sent(), IsEmpty());
}

TEST_F(MultiplexerTest, AHandlerMayDestroyTheMultiplexer) {
  int seen = 0;
  const auto subscription = multiplexer_->subscribe(kPods, {.on_message = [&](const kube::WatchEvent&) {
                                                      ++seen;
                                                      multiplexer_.reset();
                                                    }});
  accept();
  socket_->push(wire::encode(message(wire::ServerMessage::Type::data, kFreshQuery, pod_event("ADDED", "a", 1))));
  socket_->push(wire::encode(message(wire::ServerMessage::Type::data, kFreshQuery, pod_event("ADDED", "b", 2))));
  settle();
  EXPECT_EQ(seen, 1);
  EXPECT_TRUE(socket_->destroyed);
  EXPECT_EQ(subscription.status().state, SubscriptionState::failed);
}

// ---- The end

TEST_F(MultiplexerTest, CloseSaysGoodbyeAndEndsEverything) {
  Record record;
  const auto subscription = multiplexer_->subscribe(kPods, record.handlers_with_state());
  accept();
  bool closed = false;
  asio::co_spawn(io_, multiplexer_->close(), [&](std::exception_ptr) { closed = true; });
  settle();
  EXPECT_TRUE(closed);
  EXPECT_EQ(socket_->close_code, 1000);
  EXPECT_EQ(multiplexer_->state(), ConnectionState::closed);
  EXPECT_EQ(multiplexer_->active_subscriptions(), 0u);
  EXPECT_TRUE(io_.stopped());
  EXPECT_THAT(record.told, IsEmpty());
  EXPECT_EQ(subscription.status().state, SubscriptionState::failed);
  EXPECT_EQ((**connect()).error().code, Errc::cancelled);
  const auto later = multiplexer_->subscribe(kPods, record.handlers());
  settle();
  EXPECT_THAT(record.told, ElementsAre("error: the multiplexer was closed"));
  EXPECT_EQ(dialer_->requests.size(), 1u);
}

TEST_F(MultiplexerTest, DestructionEndsADialAtOnce) {
  const auto subscription = multiplexer_->subscribe(kPods, {});
  const auto waiter = connect();
  multiplexer_.reset();
  settle();
  EXPECT_TRUE(io_.stopped());  // nothing is left to run or to wait
  EXPECT_EQ(clock_.armed(), 0u);
  EXPECT_EQ(dialer_->cancelled, 1);
  EXPECT_EQ((**waiter).error().code, Errc::cancelled);
}

TEST_F(MultiplexerTest, DestructionEndsAConnectionAtOnce) {
  Record record;
  auto subscription = multiplexer_->subscribe(kPods, record.handlers());
  auto leaving = multiplexer_->subscribe({.cluster_id = "b", .path = "/p"}, {});
  accept();
  leaving.unsubscribe();
  settle();
  multiplexer_.reset();
  settle();
  EXPECT_TRUE(io_.stopped());
  EXPECT_EQ(clock_.armed(), 0u);
  EXPECT_TRUE(socket_->destroyed);
  EXPECT_THAT(record.told, IsEmpty());
  subscription.unsubscribe();  // may outlive it
}

TEST_F(MultiplexerTest, DestructionEndsABackoffAndARetryAtOnce) {
  const auto subscription = multiplexer_->subscribe(kPods, {});
  settle();
  dialer_->refuse(Error{.code = Errc::connect_failed, .message = "no route"});
  settle();
  EXPECT_EQ(clock_.armed(), 1u);
  multiplexer_.reset();
  settle();
  EXPECT_TRUE(io_.stopped());
  multiplexer_ = make();
  const auto refused = multiplexer_->subscribe(kPods, {});
  accept();
  refuse(Error{.code = Errc::forbidden, .message = "no", .status = 403});
  EXPECT_EQ(clock_.armed(), 1u);
  multiplexer_.reset();
  settle();
  EXPECT_TRUE(io_.stopped());
  EXPECT_EQ(clock_.armed(), 0u);
}

TEST_F(MultiplexerTest, DestructionRightAfterSubscribingLeavesNothing) {
  auto subscription = multiplexer_->subscribe(kPods, {});
  subscription.unsubscribe();
  multiplexer_.reset();
  settle();
  EXPECT_TRUE(io_.stopped());
  EXPECT_EQ(dialer_->waiting(), 0u);
}

}  // namespace
}  // namespace fresnel::client

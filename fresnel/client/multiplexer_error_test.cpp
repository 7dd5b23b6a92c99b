// A Multiplexer's errors, states, re-entrant handlers and its end.
#include <stdexcept>

#include "fresnel/client/multiplexer.hpp"
#include "fresnel/client/testing/multiplexer_fixture.hpp"

namespace fresnel::client {
namespace {

using testing::bookmark_event;
using ::testing::ElementsAre;
using testing::error_event;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kFreshQuery;
using testing::kPods;
using testing::MultiplexerTest;
using testing::pod_event;
using testing::Record;
using ::testing::SizeIs;
using ::testing::StartsWith;

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

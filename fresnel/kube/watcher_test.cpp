#include "fresnel/kube/watcher.hpp"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <deque>
#include <map>
#include <optional>

namespace fresnel::kube {
namespace {

// An API server's answers in the order in which they are asked for; each request is recorded.
class ScriptedTransport : public net::HttpTransport {
 public:
  struct Answer {
    int status = 200;
    std::string body;
    bool stays_open = false;         // after the body, until the test ends it
    std::optional<Error> failure{};  // instead of an answer
    net::Headers headers = {};
  };

  explicit ScriptedTransport(const Executor& executor, Clock& clock) : executor_(executor), clock_(clock) {}

  awaitable<result<std::unique_ptr<net::HttpResponse>>> open(net::HttpRequest request) override {
    requests.push_back(request.url.substr(request.url.find("/api")));
    if (answers.empty()) co_return Error{Errc::connect_failed, "nothing more is scripted"};
    Answer answer = std::move(answers.front());
    answers.pop_front();
    if (answer.failure) co_return *answer.failure;
    std::unique_ptr<net::HttpResponse> response = std::make_unique<Response>(*this, std::move(answer));
    co_return response;
  }

  std::deque<Answer> answers;
  std::vector<std::string> requests;
  int open_responses = 0;

 private:
  class Response : public net::HttpResponse {
   public:
    Response(ScriptedTransport& owner, Answer answer)
        : owner_(owner), answer_(std::move(answer)), end_(owner.executor_, owner.clock_) {
      ++owner_.open_responses;
    }
    ~Response() override { --owner_.open_responses; }
    int status() const noexcept override { return answer_.status; }
    const net::Headers& headers() const noexcept override { return answer_.headers; }
    awaitable<result<std::string>> read() override {
      if (!answer_.body.empty()) co_return std::exchange(answer_.body, {});
      if (answer_.stays_open) co_await end_.wait();
      co_return std::string();
    }

   private:
    ScriptedTransport& owner_;
    Answer answer_;
    Timer end_;
  };

  Executor executor_;
  Clock& clock_;
};

std::string pod(std::string_view name, int version) {
  return R"({"metadata":{"name":")" + std::string(name) + R"(","uid":"uid-)" + std::string(name) +
         R"(","resourceVersion":")" + std::to_string(version) + R"("}})";
}

std::string list(int version, const std::vector<std::string>& items, std::string_view token = "") {
  std::string text = R"({"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":")" +
                     std::to_string(version) + R"(","continue":")" + std::string(token) + R"("},"items":[)";
  for (std::size_t i = 0; i < items.size(); ++i) text += (i ? "," : "") + items[i];
  return text + "]}";
}

std::string event(std::string_view type, const std::string& object) {
  return R"({"type":")" + std::string(type) + R"(","object":)" + object + "}\n";
}

const std::string kGone =
    R"({"type":"ERROR","object":{"kind":"Status","status":"Failure","message":"too old resource version","reason":"Expired","code":410}})"
    "\n";

// kube-apiserver's answer to a version from its future.
const std::string kTooLarge =
    R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Too large resource version: 99, )"
    R"(current: 40","reason":"Timeout","details":{"causes":[{"reason":"ResourceVersionTooLarge",)"
    R"("message":"Too large resource version"}],"retryAfterSeconds":1},"code":504})";

class WatcherTest : public testing::Test {
 protected:
  void start(WatchTarget target = {.path = "/api/v1/pods"}, WatcherOptions options = {}) {
    WatcherHandlers handlers;
    handlers.on_listed = [this](const ListedInfo& info) {
      told.push_back((info.relist ? "relisted " : "listed ") + info.resource_version +
                     (info.columns != nullptr ? " " + *info.columns : std::string()));
    };
    handlers.on_events = [this](std::vector<WatchEvent> events) {
      for (const auto& e : events) {
        told.push_back(std::string(to_string(e.type)) + " " + std::string(e.name) + " " +
                       std::string(e.resource_version) + (e.has_columns ? " with columns" : ""));
      }
    };
    handlers.on_status = [this](const WatchStatus& status) {
      phase = status.phase;
      phases.push_back(status.phase);
      if (status.phase == WatchStatus::Phase::failing)
        told.push_back("failing " + std::string(to_string(status.error.code)));
    };
    handlers.start_version = [this] { return start_version; };
    handlers.on_start_lost = [this] { told.push_back("start lost"); };
    ClusterContext context{.name = "test", .server = "http://cluster"};
    watcher.emplace(io.get_executor(), clock, random, std::make_shared<ApiClient>(transport, context),
                    std::move(target), std::move(handlers), options);
    watcher->start();
    run();
  }

  // The coroutine ends before what it refers to.
  void TearDown() override {
    watcher.reset();
    run();
  }

  void run() {
    io.restart();
    io.poll();
  }
  void advance(Duration by) {
    clock.advance(by);
    run();
  }

  using Told = std::vector<std::string>;
  asio::io_context io;
  ManualClock clock;
  Random random{3};
  ScriptedTransport transport{io.get_executor(), clock};
  std::string start_version;
  Told told;
  std::optional<WatchStatus::Phase> phase;
  std::vector<WatchStatus::Phase> phases;
  std::optional<Watcher> watcher;
};

TEST_F(WatcherTest, ListsThenFollows) {
  transport.answers = {{.body = list(10, {pod("a", 3)})},
                       {.body = event("ADDED", pod("b", 11)) + event("DELETED", pod("a", 12)), .stays_open = true}};
  start({.path = "/api/v1/pods", .query = "labelSelector=app%3Dweb"});
  EXPECT_EQ(told, (Told{"listed 10", "ADDED b 11", "DELETED a 12"}));
  EXPECT_EQ(transport.requests[0], "/api/v1/pods?labelSelector=app%3Dweb&limit=500");
  EXPECT_TRUE(transport.requests[1].starts_with(
      "/api/v1/pods?labelSelector=app%3Dweb&watch=1&allowWatchBookmarks=true&timeoutSeconds="));
  EXPECT_TRUE(transport.requests[1].ends_with("&resourceVersion=10"));
  EXPECT_EQ(watcher->index().size(), 1u);
  EXPECT_EQ(watcher->version(), "12");
  EXPECT_EQ(phase, WatchStatus::Phase::connected);
}

TEST_F(WatcherTest, PagesAreOneList) {
  transport.answers = {
      {.body = list(10, {pod("a", 3)}, "next/page")}, {.body = list(10, {pod("b", 4)})}, {.stays_open = true}};
  start();
  EXPECT_EQ(transport.requests[1], "/api/v1/pods?limit=500&continue=next%2Fpage");
  EXPECT_EQ(watcher->index().size(), 2u);
}

TEST_F(WatcherTest, AnExpiredPageStartsOverWithoutPages) {
  transport.answers = {{.body = list(10, {pod("a", 3)}, "t")},
                       {.status = 410, .body = R"({"kind":"Status","reason":"Expired","code":410})"},
                       {.body = list(20, {pod("c", 15)})},
                       {.stays_open = true}};
  start();
  EXPECT_EQ(told, (Told{"listed 20"}));
  EXPECT_EQ(watcher->index().size(), 1u);
}

TEST_F(WatcherTest, ReconnectsAtTheVersionReachedAfterADrop) {
  transport.answers = {{.body = list(10, {})},
                       {.body = event("ADDED", pod("b", 11)) + event("BOOKMARK", pod("", 17))},
                       {.body = event("ADDED", pod("c", 18)), .stays_open = true}};
  start();
  ASSERT_EQ(transport.requests.size(), 3u) << testing::PrintToString(told);
  EXPECT_TRUE(transport.requests[2].ends_with("&resourceVersion=17"));
  EXPECT_EQ(told, (Told{"listed 10", "ADDED b 11", "BOOKMARK  17", "ADDED c 18"}));
}

TEST_F(WatcherTest, BacksOffWhileTheServerIsAway) {
  transport.answers = {{.body = list(10, {})}, {.failure = Error{Errc::connect_failed, "refused"}}};
  start();
  EXPECT_EQ(told.back(), "failing connect_failed");
  const auto asked = transport.requests.size();
  advance(milliseconds(300));
  EXPECT_EQ(transport.requests.size(), asked);
  transport.answers = {{.body = list(12, {})}, {.body = event("ADDED", pod("b", 11)), .stays_open = true}};
  advance(milliseconds(600));
  EXPECT_EQ(told.back(), "ADDED b 11");
  EXPECT_EQ(phase, WatchStatus::Phase::connected);
}

TEST_F(WatcherTest, A410EventRelistsAndTellsTheDifference) {
  transport.answers = {{.body = list(10, {pod("a", 3), pod("b", 4)})},
                       {.body = event("MODIFIED", pod("a", 11)) + kGone},
                       {.body = list(20, {pod("a", 11), pod("c", 16)})},
                       {.stays_open = true}};
  start();
  EXPECT_EQ(told, (Told{"listed 10", "MODIFIED a 11", "relisted 20", "DELETED b 12", "ADDED c 16"}));
  EXPECT_TRUE(transport.requests[3].ends_with("&resourceVersion=20"));
  EXPECT_EQ(watcher->relists(), 1u);
}

TEST_F(WatcherTest, ARelistIsReportedAsConnecting) {
  transport.answers = {{.body = list(10, {})}, {.body = event("ADDED", pod("a", 11)) + kGone}};
  start();
  EXPECT_EQ(phase, WatchStatus::Phase::failing) << "nothing more is scripted";
  EXPECT_EQ(phases, (std::vector<WatchStatus::Phase>{WatchStatus::Phase::connecting, WatchStatus::Phase::connected,
                                                     WatchStatus::Phase::connecting, WatchStatus::Phase::failing}));
}

TEST_F(WatcherTest, ATablesColumnsAreToldWithTheListOnly) {
  const std::string columns = R"([{"name":"Name"}])";
  const std::string row = R"({"cells":["b"],"object":)" + pod("b", 11) + "}";
  const std::string table = R"({"kind":"Table","columnDefinitions":)" + columns + R"(,"rows":[)" + row + "]}";
  transport.answers = {{.body = R"({"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"10"},)"
                                R"("columnDefinitions":[{"name":"Name"}],"rows":[]})"},
                       {.body = event("ADDED", table), .stays_open = true}};
  start();
  EXPECT_EQ(told, (Told{"listed 10 " + columns, "ADDED b 11"}));
}

TEST_F(WatcherTest, A410StatusRelistsToo) {
  transport.answers = {{.body = list(10, {pod("a", 3)})},
                       {.status = 410, .body = R"({"kind":"Status","status":"Failure","reason":"Expired","code":410})"},
                       {.body = list(20, {})},
                       {.stays_open = true}};
  start();
  EXPECT_EQ(told, (Told{"listed 10", "relisted 20", "DELETED a 11"}));
}

TEST_F(WatcherTest, AnOlderStartIsReplayedWithoutTouchingTheIndex) {
  start_version = "5";
  transport.answers = {{.body = list(10, {pod("a", 9)})},
                       {.body = event("ADDED", pod("gone", 6)) + event("DELETED", pod("gone", 7)) +
                                event("ADDED", pod("a", 9)) + event("ADDED", pod("b", 11)),
                        .stays_open = true}};
  start();
  EXPECT_TRUE(transport.requests[1].ends_with("&resourceVersion=5"));
  EXPECT_EQ(told, (Told{"listed 10", "ADDED gone 6", "DELETED gone 7", "ADDED a 9", "ADDED b 11"}));
  EXPECT_EQ(watcher->index().size(), 2u);
}

TEST_F(WatcherTest, AStartThatIsGoneFallsBackToTheListWithoutASecondList) {
  start_version = "5";
  transport.answers = {{.body = list(10, {pod("a", 9)})}, {.body = kGone}, {.stays_open = true}};
  start();
  EXPECT_EQ(told, (Told{"listed 10", "start lost"}));
  EXPECT_TRUE(transport.requests[2].ends_with("&resourceVersion=10"));
}

TEST_F(WatcherTest, TheWatchdogDropsAWatchThatOutlivesItsTimeout) {
  transport.answers = {{.body = list(10, {})}, {.stays_open = true}};
  start();
  EXPECT_EQ(transport.open_responses, 1);
  advance(seconds(611));
  EXPECT_EQ(transport.open_responses, 0);
  EXPECT_EQ(told.back(), "failing timeout");
}

TEST_F(WatcherTest, ARenewedCredentialOpensTheWatchAgainWhereItWas) {
  transport.answers = {{.body = list(10, {})},
                       {.body = event("ADDED", pod("b", 11)), .stays_open = true},
                       {.body = event("MODIFIED", pod("b", 12)), .stays_open = true}};
  start();
  watcher->renew();
  run();
  EXPECT_EQ(transport.open_responses, 1);
  EXPECT_TRUE(transport.requests.back().ends_with("&resourceVersion=11"));
  EXPECT_EQ(told, (Told{"listed 10", "ADDED b 11", "MODIFIED b 12"}));
  EXPECT_EQ(watcher->relists(), 0u);
}

TEST_F(WatcherTest, ARenewedCredentialEndsThePauseAfterARefusal) {
  transport.answers = {{.body = list(10, {})}, {.status = 401}, {.body = list(10, {})}, {.stays_open = true}};
  start();
  EXPECT_EQ(told.back(), "failing unauthorized");
  EXPECT_EQ(transport.requests.size(), 2u);
  watcher->renew();
  run();
  EXPECT_EQ(phase, WatchStatus::Phase::connected);
  EXPECT_EQ(transport.requests.size(), 4u);
}

TEST_F(WatcherTest, ATruncatedEventIsAskedForAgain) {
  const std::string whole = event("ADDED", pod("b", 11));
  transport.answers = {{.body = list(10, {})},
                       {.body = whole.substr(0, whole.size() / 2)},
                       {.body = list(11, {})},
                       {.body = whole, .stays_open = true}};
  start();
  EXPECT_EQ(told.back(), "failing protocol");
  advance(seconds(1));
  EXPECT_EQ(told.back(), "ADDED b 11");
  EXPECT_TRUE(transport.requests.at(3).ends_with("&resourceVersion=10"));
}

TEST_F(WatcherTest, EmptyLinesCrLfAndAnObjectOf3MiBAreTakenAsTheyCome) {
  std::string large = pod("large", 12);
  large.insert(large.size() - 1, R"(,"data":")" + std::string(3u << 20, 'x') + '"');
  std::string lines =
      "\n\r\n" + event("ADDED", pod("a", 11)) + "\n" + event("ADDED", large) + event("ADDED", pod("b", 13));
  for (std::size_t at = 0; (at = lines.find("}\n", at)) != std::string::npos; at += 3) lines.replace(at, 2, "}\r\n");
  transport.answers = {{.body = list(10, {})}, {.body = lines, .stays_open = true}};
  start();
  EXPECT_EQ(told, (Told{"listed 10", "ADDED a 11", "ADDED large 12", "ADDED b 13"}));
  EXPECT_GT(watcher->index().find("uid-large")->bytes.size(), 3u << 20);
}

TEST_F(WatcherTest, AListThatIsAskedForTooOftenIsAskedForAgainWhenTheServerSaid) {
  const std::string busy = R"({"kind":"Status","status":"Failure","reason":"TooManyRequests","code":429})";
  transport.answers = {
      {.status = 429, .body = busy, .headers = {{"Retry-After", "7"}}}, {.body = list(10, {})}, {.stays_open = true}};
  start();
  EXPECT_EQ(told, (Told{"failing throttled"}));
  advance(milliseconds(6999));
  EXPECT_EQ(transport.requests.size(), 1u);
  advance(milliseconds(1));
  EXPECT_EQ(told.back(), "listed 10");
  EXPECT_EQ(phase, WatchStatus::Phase::connected);
}

TEST_F(WatcherTest, AWatchThatIsAskedForTooOftenIsAskedForAgainWhenTheServerSaid) {
  const std::string busy = R"({"kind":"Status","status":"Failure","reason":"TooManyRequests","code":429})";
  transport.answers = {{.body = list(10, {})}, {.status = 429, .body = busy, .headers = {{"Retry-After", "9"}}}};
  start();
  EXPECT_EQ(told, (Told{"listed 10", "failing throttled"}));
  transport.answers = {{.body = list(10, {})}, {.body = event("ADDED", pod("b", 11)), .stays_open = true}};
  advance(milliseconds(8999));
  EXPECT_EQ(transport.requests.size(), 2u);
  advance(milliseconds(1));
  EXPECT_EQ(told.back(), "ADDED b 11");
}

// Some servers end every watch at once, for instance behind a proxy that does not stream.
TEST_F(WatcherTest, ThreeInstantEmptyClosesMeanARelist) {
  transport.answers = {{.body = list(10, {pod("a", 3)})}, {}, {.body = list(10, {})}, {}, {.body = list(10, {})}, {}};
  start();
  for (int i = 0; i < 2; ++i) advance(seconds(30));
  EXPECT_EQ(told.back(), "failing connect_failed") << "the relist, for which nothing is scripted";
  transport.answers = {{.body = list(20, {})}, {.stays_open = true}};
  advance(seconds(30));
  EXPECT_EQ(told.back(), "DELETED a 11");
  EXPECT_EQ(watcher->relists(), 1u);
}

TEST_F(WatcherTest, ATooLargeVersionMeansAListWithoutOne) {
  for (const bool as_event : {false, true}) {
    SCOPED_TRACE(as_event ? "as an event" : "as an HTTP status");
    told.clear();
    transport.requests.clear();
    transport.answers = {{.body = list(99, {pod("a", 60)})}};
    if (as_event) {
      transport.answers.push_back({.body = event("ERROR", kTooLarge)});
    } else {
      transport.answers.push_back({.status = 504, .body = kTooLarge});
    }
    transport.answers.push_back({.body = list(40, {pod("b", 30)})});
    transport.answers.push_back({.stays_open = true});
    start();
    EXPECT_EQ(told, (Told{"listed 99", "relisted 40", "DELETED a 1", "ADDED b 30"}));
    EXPECT_EQ(transport.requests.at(2), "/api/v1/pods?limit=500");
    EXPECT_TRUE(transport.requests.at(3).ends_with("&resourceVersion=40"));
    watcher.reset();
    run();
  }
}

// kube-apiserver accepts a watch from its future and is silent: the restored cluster's changes would never be told.
TEST_F(WatcherTest, AHistoryThatWasRewoundIsNoticedBeforeTheWatchIsResumed) {
  transport.answers = {{.body = list(90, {pod("a", 60), pod("kept", 30)})},
                       {.failure = Error{Errc::connect_failed, "refused"}}};
  start();
  transport.answers = {{.body = list(40, {})},  // whatever it holds: only its version counts
                       {.body = list(40, {pod("kept", 30), pod("b", 35)})},
                       {.body = event("ADDED", pod("c", 41)), .stays_open = true}};
  advance(seconds(1));
  EXPECT_EQ(transport.requests.at(2), "/api/v1/pods?limit=1");
  EXPECT_EQ(told, (Told{"listed 90", "failing connect_failed", "relisted 40", "DELETED a 1", "MODIFIED kept 30",
                        "ADDED b 35", "ADDED c 41"}));
  EXPECT_TRUE(transport.requests.back().ends_with("&resourceVersion=40"));
}

TEST_F(WatcherTest, AHistoryThatWasRewoundDuringAReplayEndsIt) {
  start_version = "20";
  transport.answers = {{.body = list(90, {pod("a", 60)})}, {.body = event("ADDED", pod("x", 21)) + R"({"ty)"}};
  start();
  transport.answers = {{.body = list(40, {})}, {.body = list(40, {pod("b", 35)})}, {.stays_open = true}};
  advance(seconds(1));
  EXPECT_EQ(told, (Told{"listed 90", "ADDED x 21", "failing protocol", "start lost", "relisted 40", "DELETED a 1",
                        "ADDED b 35"}));
}

TEST_F(WatcherTest, WhoMayNotListAnyMoreStillResumesItsWatch) {
  transport.answers = {{.body = list(10, {})}, {.failure = Error{Errc::connect_failed, "refused"}}};
  start();
  transport.answers = {{.status = 403, .body = R"({"kind":"Status","reason":"Forbidden","code":403})"},
                       {.body = event("ADDED", pod("b", 11)), .stays_open = true}};
  advance(seconds(1));
  EXPECT_EQ(told.back(), "ADDED b 11");
}

// As some servers send it: the object as it was, at the version it was last seen with, which the list had too.
TEST_F(WatcherTest, ADeletedWithTheVersionLastSeenIsNotDroppedAsOld) {
  transport.answers = {
      {.body = list(10, {pod("a", 10), pod("b", 9)})},
      {.body = event("DELETED", pod("a", 10)) + event("ADDED", pod("c", 11)) + event("DELETED", pod("b", 9))}};
  start();
  EXPECT_EQ(watcher->index().size(), 1u);
  EXPECT_NE(watcher->index().find("uid-c"), nullptr);
  EXPECT_EQ(watcher->version(), "11");
  EXPECT_TRUE(transport.requests.at(2).ends_with("&resourceVersion=11")) << "the version never goes back";
}

const WatcherOptions kStreaming{.streaming_lists = true};

std::string end_of_list(int version) {
  return std::string(make_bookmark_event("Pod", "v1", std::to_string(version), true).bytes.view()) + "\n";
}

TEST_F(WatcherTest, AStreamingListIsAskedForOnlyAtTheFirstSyncAndAfterA410) {
  transport.answers = {{.body = event("ADDED", pod("a", 3)) + event("ADDED", pod("b", 4)) +
                                event("MODIFIED", pod("b", 9)) + end_of_list(10) + event("ADDED", pod("c", 11))},
                       {.body = event("DELETED", pod("a", 12)), .failure = std::nullopt}};
  start({.path = "/api/v1/pods", .query = "labelSelector=x"}, kStreaming);
  ASSERT_GE(transport.requests.size(), 2u);
  EXPECT_TRUE(transport.requests[0].starts_with("/api/v1/pods?labelSelector=x&watch=1&allowWatchBookmarks=true&"));
  EXPECT_TRUE(
      transport.requests[0].ends_with("&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion="));
  EXPECT_TRUE(transport.requests[1].ends_with("&resourceVersion=11")) << "the watch goes on behind its list";
  EXPECT_EQ(told, (Told{"listed 10", "ADDED c 11", "DELETED a 12", "failing connect_failed"}));
  EXPECT_EQ(phase, WatchStatus::Phase::failing);

  transport.answers = {{.body = list(12, {})},
                       {.body = kGone},
                       {.body = event("ADDED", pod("c", 11)) + end_of_list(20), .stays_open = true}};
  advance(seconds(1));
  EXPECT_EQ(told.back(), "DELETED b 13");
  EXPECT_EQ(told.at(told.size() - 2), "relisted 20");
  EXPECT_EQ(phase, WatchStatus::Phase::connected);
  EXPECT_EQ(watcher->index().size(), 1u);
  const auto asks = [](const std::string& request) { return request.find("sendInitialEvents") != std::string::npos; };
  EXPECT_EQ(std::count_if(transport.requests.begin(), transport.requests.end(), asks), 2);
}

TEST_F(WatcherTest, WhereAStreamingListIsRefusedTheListComesInPagesFromThenOn) {
  transport.answers = {{.status = 422, .body = R"({"kind":"Status","reason":"Invalid","code":422})"},
                       {.body = list(10, {pod("a", 3)})},
                       {.body = kGone},
                       {.body = list(20, {pod("a", 3)})},
                       {.stays_open = true}};
  start({.path = "/api/v1/pods"}, kStreaming);
  EXPECT_EQ(told, (Told{"listed 10", "relisted 20"}));
  EXPECT_EQ(transport.requests.at(1), "/api/v1/pods?limit=500");
  EXPECT_EQ(transport.requests.at(3), "/api/v1/pods?limit=500");
}

TEST_F(WatcherTest, AStreamingListThatNeverEndsIsGivenUpForPages) {
  transport.answers = {{.body = event("ADDED", pod("a", 3)), .stays_open = true},
                       {.body = list(10, {pod("a", 3)})},
                       {.stays_open = true}};
  start({.path = "/api/v1/pods"}, kStreaming);
  EXPECT_EQ(told, Told{});
  advance(seconds(10));
  EXPECT_EQ(told, (Told{"listed 10"}));
  EXPECT_EQ(transport.open_responses, 1);
}

TEST_F(WatcherTest, AStreamingListThatBreaksOffIsAskedForAgain) {
  transport.answers = {{.body = event("ADDED", pod("gone", 3))}};
  start({.path = "/api/v1/pods"}, kStreaming);
  EXPECT_EQ(told, (Told{"failing closed"}));
  transport.answers = {{.body = end_of_list(10), .stays_open = true}};
  advance(seconds(1));
  EXPECT_EQ(told.back(), "listed 10");
  EXPECT_EQ(watcher->index().size(), 0u);
}

TEST_F(WatcherTest, AnOlderStartIsWatchedFromInsteadOfTheStreamingListsEnd) {
  start_version = "5";
  transport.answers = {
      {.body = event("ADDED", pod("a", 9)) + end_of_list(10) + event("ADDED", pod("b", 11)), .stays_open = true},
      {.body = event("ADDED", pod("a", 9)) + event("ADDED", pod("b", 11)), .stays_open = true}};
  start({.path = "/api/v1/pods"}, kStreaming);
  EXPECT_TRUE(transport.requests.at(1).ends_with("&resourceVersion=5"));
  EXPECT_EQ(told, (Told{"listed 10", "ADDED a 9", "ADDED b 11"}));
  EXPECT_EQ(transport.open_responses, 1);
}

TEST_F(WatcherTest, DestructionEndsTheWatchAndCallsNobody) {
  transport.answers = {{.body = list(10, {})}, {.stays_open = true}};
  start();
  const auto before = told;
  watcher.reset();
  run();
  EXPECT_EQ(transport.open_responses, 0);
  EXPECT_EQ(told, before);
  EXPECT_EQ(clock.armed(), 0u);
}

TEST_F(WatcherTest, DestructionDuringTheBackoffEndsIt) {
  transport.answers = {{.failure = Error{Errc::connect_failed, "refused"}}};
  start();
  EXPECT_EQ(clock.armed(), 1u);
  watcher.reset();
  run();
  EXPECT_EQ(clock.armed(), 0u);
}

}  // namespace
}  // namespace fresnel::kube

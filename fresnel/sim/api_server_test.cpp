#include "fresnel/sim/api_server.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "fresnel/net/curl_client.hpp"
#include "fresnel/net/websocket_testing.hpp"
#include "fresnel/sim/cluster.hpp"
#include "fresnel/sim/testing.hpp"

namespace fresnel::sim {
namespace {

using namespace std::chrono_literals;
using net::testing::client_close;
using net::testing::client_frame;
using net::testing::RawClient;
using net::testing::read_frame;
using testing::config_map;
using ::testing::HasSubstr;
using testing::parsed;
using testing::pod;
using ::testing::StartsWith;
using ResponsePtr = std::unique_ptr<net::HttpResponse>;

const std::string kMaps = "/api/v1/namespaces/default/configmaps";

class ApiServerTest : public ::testing::Test {
 protected:
  ApiServerTest() : client_(io_.get_executor()) { start({.resources = testing::fixed_options()}); }
  ~ApiServerTest() override {
    cluster_->server().stop();
    settle();
  }

  void start(ClusterOptions options) {
    if (cluster_) {
      cluster_->server().stop();
      settle();
    }
    cluster_.emplace(io_.get_executor(), clock_, std::move(options));
    endpoint_ = cluster_->listen().value();
  }
  // Lets everything happen that can without waiting.
  void settle() {
    io_.restart();
    while (io_.poll() > 0) io_.restart();
  }
  void run(const std::function<awaitable<void>()>& work) { net::testing::run(io_, work); }

  awaitable<ResponsePtr> open(std::string target) {
    net::HttpRequest request{.url = cluster_->url() + target};
    auto response = co_await client_.open(std::move(request));
    co_return std::move(response).value();
  }
  // Text up to the next line feed; what a read brings beyond it is kept for the next call. nullopt at the end, and
  // `failed_` says whether it was a good one.
  awaitable<std::optional<std::string>> line(net::HttpResponse& response) {
    for (;;) {
      if (const auto end = pending_.find('\n'); end != std::string::npos) {
        auto text = pending_.substr(0, end);
        pending_.erase(0, end + 1);
        co_return text;
      }
      auto part = co_await response.read();
      failed_ = !part.has_value();
      if (failed_ || part->empty()) co_return std::nullopt;
      pending_ += *part;
    }
  }
  awaitable<std::string> event(net::HttpResponse& response) {
    const auto text = co_await line(response);
    co_return text ? testing::summary(parsed(*text)) : std::string(failed_ ? "broken" : "end");
  }
  std::string status_line(std::string target) {
    std::string text;
    run([&]() -> awaitable<void> {
      RawClient raw(io_);
      co_await raw.connect(endpoint_);
      std::string request = "GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n";
      co_await raw.send(std::move(request));
      text = co_await raw.read_until("\r\n");
    });
    return text;
  }
  void create(std::string_view name) {
    auto object = config_map(name);
    ASSERT_TRUE(cluster_->create(std::move(object)));
  }

  asio::io_context io_;
  ManualClock clock_;
  net::CurlClient client_;
  std::optional<Cluster> cluster_;
  net::Endpoint endpoint_;
  std::string pending_;
  bool failed_ = false;
};

TEST_F(ApiServerTest, AWatchFollowsChanges) {
  create("a");
  run([&]() -> awaitable<void> {
    const auto watch = co_await open(kMaps + "?watch=1");
    EXPECT_EQ(watch->status(), 200);
    EXPECT_EQ(co_await event(*watch), "ADDED a@5");
    create("b");
    EXPECT_EQ(co_await event(*watch), "ADDED b@6");
    (void)cluster_->remove("configmaps", "default", "a");
    EXPECT_EQ(co_await event(*watch), "DELETED a@7");
    const auto counters = cluster_->server().counters();
    EXPECT_EQ(counters.watch_requests, 1u);
    EXPECT_EQ(counters.open_watches.at(kMaps), 1u);
  });
  net::testing::run_until(io_, [&] { return cluster_->server().open_watches() == 0; });
}

TEST_F(ApiServerTest, ABurstArrivesWholeAndInOrder) {
  run([&]() -> awaitable<void> {
    const auto watch = co_await open(kMaps + "?watch=1");
    create("a");
    for (int i = 0; i < 10'000; ++i) {
      const json::object patch{{"data", json::object{{"i", std::to_string(i)}}}};
      (void)cluster_->patch("configmaps", "default", "a", patch);
    }
    EXPECT_EQ(co_await event(*watch), "ADDED a@5");
    for (int i = 0; i < 10'000; ++i) {
      const auto text = co_await line(*watch);
      if (!text || string_at(parsed(*text), {"object", "data", "i"}) != std::to_string(i)) {
        ADD_FAILURE() << "event " << i << ": " << text.value_or("end");
        co_return;
      }
    }
  });
}

TEST_F(ApiServerTest, ATimeoutEndsAWatchWithABookmark) {
  run([&]() -> awaitable<void> {
    const auto watch = co_await open(kMaps + "?watch=1&timeoutSeconds=5&allowWatchBookmarks=true");
    create("a");
    EXPECT_EQ(co_await event(*watch), "ADDED a@5");
    clock_.advance(5s);
    EXPECT_EQ(co_await event(*watch), "BOOKMARK @5");
    EXPECT_EQ(co_await event(*watch), "end");
  });
}

TEST_F(ApiServerTest, BookmarksComeRegularlyToThoseWhoAsk) {
  run([&]() -> awaitable<void> {
    const auto asks = co_await open(kMaps + "?watch=1&allowWatchBookmarks=true");
    clock_.advance(1min);
    EXPECT_EQ(co_await event(*asks), "BOOKMARK @4");
    create("a");
    EXPECT_EQ(co_await event(*asks), "ADDED a@5");
    clock_.advance(1min);
    EXPECT_EQ(co_await event(*asks), "BOOKMARK @5");
  });
  run([&]() -> awaitable<void> {
    pending_.clear();
    const auto does_not = co_await open(kMaps + "?watch=1&timeoutSeconds=100");
    EXPECT_EQ(co_await event(*does_not), "ADDED a@5");
    clock_.advance(100s);
    EXPECT_EQ(co_await event(*does_not), "end");
  });
}

TEST_F(ApiServerTest, WatchesAreDroppedOrEnded) {
  run([&]() -> awaitable<void> {
    const auto maps = co_await open(kMaps + "?watch=1");
    const auto pods = co_await open("/api/v1/pods?watch=1");
    cluster_->server().drop_watches(kMaps);
    EXPECT_EQ(co_await event(*maps), "broken");
    EXPECT_EQ(cluster_->server().open_watches(), 1u);
    cluster_->server().end_watches();
    EXPECT_EQ(co_await event(*pods), "end");
  });
}

TEST_F(ApiServerTest, AForgottenVersionIsToldInEitherWay) {
  create("a");
  create("b");
  cluster_->store().compact(cluster_->store().revision());
  run([&]() -> awaitable<void> {
    auto watch = co_await open(kMaps + "?watch=1&resourceVersion=5");
    EXPECT_EQ(watch->status(), 200);
    const auto text = co_await line(*watch);
    EXPECT_THAT(*text, HasSubstr(R"("type":"ERROR")"));
    EXPECT_EQ(int_at(parsed(*text), {"object", "code"}), 410);
    EXPECT_EQ(co_await event(*watch), "end");
    cluster_->server().set_expired_as_http_status(true);
    watch = co_await open(kMaps + "?watch=1&resourceVersion=5");
    EXPECT_EQ(watch->status(), 410);
  });
}

TEST_F(ApiServerTest, HistoryIsForgottenRegularly) {
  start({.resources = testing::fixed_options(), .server = {.compaction_interval = 5min}});
  create("a");
  settle();
  clock_.advance(5min);
  settle();
  EXPECT_EQ(cluster_->store().compacted(), 4u) << "what was current when it began";
  create("b");
  clock_.advance(5min);
  settle();
  EXPECT_EQ(cluster_->store().compacted(), 5u);
}

TEST_F(ApiServerTest, ARestartKeepsTheState) {
  create("a");
  run([&]() -> awaitable<void> {
    const auto watch = co_await open(kMaps + "?watch=1");
    EXPECT_EQ(co_await event(*watch), "ADDED a@5");
    cluster_->server().stop();
    EXPECT_EQ(co_await event(*watch), "broken");
    net::HttpRequest request{.url = cluster_->url() + kMaps};
    const auto refused = co_await client_.open(std::move(request));
    EXPECT_FALSE(refused.has_value());
    create("b");
    EXPECT_EQ(cluster_->listen(endpoint_).value().port, endpoint_.port);
    pending_.clear();
    const auto again = co_await open(kMaps + "?watch=1&resourceVersion=5");
    EXPECT_EQ(co_await event(*again), "ADDED b@6");
  });
}

TEST_F(ApiServerTest, MayBeUnavailable) {
  cluster_->server().set_mode(ApiServer::Mode::unavailable);
  EXPECT_THAT(status_line(kMaps), StartsWith("HTTP/1.1 503"));
  cluster_->server().set_mode(ApiServer::Mode::serving);
  EXPECT_THAT(status_line(kMaps), StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(cluster_->server().counters().requests, 2u);
  EXPECT_EQ(cluster_->server().counters().list_requests, 1u);
}

TEST_F(ApiServerTest, MayStall) {
  run([&]() -> awaitable<void> {
    const auto watch = co_await open(kMaps + "?watch=1");
    cluster_->server().set_mode(ApiServer::Mode::stalled);
    create("a");
    RawClient raw(io_);
    co_await raw.connect(endpoint_);
    co_await raw.send("GET /version HTTP/1.1\r\nHost: x\r\n\r\n");
    // The second request reaches the server after the first, and neither is answered.
    asio::steady_timer turn(io_, std::chrono::steady_clock::time_point::min());
    for (int i = 0; i < 100; ++i) co_await turn.async_wait(asio::use_awaitable);
    EXPECT_EQ(cluster_->server().counters().requests, 1u);
    EXPECT_EQ(raw.socket().available(), 0u);
    cluster_->server().set_mode(ApiServer::Mode::serving);
    EXPECT_THAT(co_await raw.read_until("\r\n"), StartsWith("HTTP/1.1 200"));
    EXPECT_EQ(co_await event(*watch), "ADDED a@5");
  });
}

class SocketTest : public ApiServerTest {
 protected:
  // A WebSocket handshake on `client`; the header of the answer.
  awaitable<std::string> upgrade(RawClient& client, std::string target, std::string extra = {}) {
    co_await client.connect(endpoint_);
    std::string request = "GET " + target +
                          " HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                          "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
                          extra + "\r\n";
    co_await client.send(std::move(request));
    co_return co_await client.read_until("\r\n\r\n");
  }
};

TEST_F(SocketTest, AWatchIsAMessageAnEvent) {
  create("a");
  run([&]() -> awaitable<void> {
    RawClient client(io_);
    const auto head = co_await upgrade(client, kMaps + "?watch=1&timeoutSeconds=5&allowWatchBookmarks=1",
                                       "Sec-WebSocket-Protocol: base64.binary.k8s.io, "
                                       "base64url.bearer.authorization.k8s.io.YQ\r\n");
    EXPECT_THAT(head, StartsWith("HTTP/1.1 401")) << "a token that is not known";
  });
  run([&]() -> awaitable<void> {
    RawClient client(io_);
    const auto head = co_await upgrade(client, kMaps + "?watch=1&timeoutSeconds=5&allowWatchBookmarks=1",
                                       "Sec-WebSocket-Protocol: base64.binary.k8s.io, x\r\n");
    EXPECT_THAT(head, StartsWith("HTTP/1.1 101"));
    EXPECT_THAT(head, HasSubstr("Protocol: base64.binary.k8s.io\r\n"));
    auto frame = co_await read_frame(client);
    EXPECT_EQ(frame.opcode, 1);
    EXPECT_EQ(testing::summary(parsed(frame.payload)), "ADDED a@5");
    create("b");
    frame = co_await read_frame(client);
    EXPECT_EQ(testing::summary(parsed(frame.payload)), "ADDED b@6");
    clock_.advance(5s);
    frame = co_await read_frame(client);
    EXPECT_EQ(testing::summary(parsed(frame.payload)), "BOOKMARK @6");
    frame = co_await read_frame(client);
    EXPECT_EQ(frame.opcode, 8);
    EXPECT_EQ(frame.close_code(), 1000);
    co_await client.send(client_close(1000));
    (void)co_await client.read_to_end();
  });
}

TEST_F(SocketTest, AnExpiredWatchSaysSoAndCloses) {
  create("a");
  create("b");
  cluster_->store().compact(cluster_->store().revision());
  run([&]() -> awaitable<void> {
    RawClient client(io_);
    (void)co_await upgrade(client, kMaps + "?watch=1&resourceVersion=5");
    auto frame = co_await read_frame(client);
    EXPECT_EQ(string_at(parsed(frame.payload), {"type"}), "ERROR");
    frame = co_await read_frame(client);
    EXPECT_EQ(frame.opcode, 8);
    client.close();
  });
}

TEST_F(SocketTest, ADroppedWatchEndsWithoutAClose) {
  run([&]() -> awaitable<void> {
    RawClient client(io_);
    (void)co_await upgrade(client, kMaps + "?watch=1");
    cluster_->server().drop_watches();
    EXPECT_EQ(co_await client.read_to_end(), "");
  });
  settle();
  EXPECT_EQ(cluster_->server().open_watches(), 0u);
}

TEST_F(SocketTest, AClientThatLeavesIsNoticed) {
  run([&]() -> awaitable<void> {
    RawClient client(io_);
    (void)co_await upgrade(client, kMaps + "?watch=1");
    EXPECT_EQ(cluster_->server().open_watches(), 1u);
    client.close();
  });
  net::testing::run_until(io_, [&] { return cluster_->server().open_watches() == 0; });
}

TEST_F(SocketTest, ExecEchoesMessages) {
  ASSERT_TRUE(cluster_->create(pod("p")));
  run([&]() -> awaitable<void> {
    RawClient client(io_);
    const auto head = co_await upgrade(client, "/api/v1/namespaces/default/pods/p/exec?command=sh&stdin=true",
                                       "Sec-WebSocket-Protocol: v5.channel.k8s.io, v4.channel.k8s.io\r\n");
    EXPECT_THAT(head, HasSubstr("Protocol: v5.channel.k8s.io\r\n"));
    const std::string bytes("\0ls\xFF\n", 5);
    co_await client.send(client_frame(2, bytes));
    const auto binary = co_await read_frame(client);
    EXPECT_EQ(binary.opcode, 2);
    EXPECT_EQ(binary.payload, bytes);
    co_await client.send(client_frame(1, "text"));
    const auto text = co_await read_frame(client);
    EXPECT_EQ(text.opcode, 1);
    co_await client.send(client_close(4001, "bye"));
    const auto close = co_await read_frame(client);
    EXPECT_EQ(close.close_code(), 4001);
    client.close();
  });
}

TEST_F(SocketTest, OtherUpgradesEchoBytes) {
  ASSERT_TRUE(cluster_->create(pod("p")));
  run([&]() -> awaitable<void> {
    RawClient client(io_);
    co_await client.connect(endpoint_);
    co_await client.send(
        "POST /api/v1/namespaces/default/pods/p/portforward HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
        "Upgrade: SPDY/3.1\r\n\r\nearly");
    EXPECT_THAT(co_await client.read_until("\r\n\r\n"), HasSubstr("Upgrade: SPDY/3.1"));
    EXPECT_EQ(co_await client.read_exactly(5), "early");
    co_await client.send("later");
    EXPECT_EQ(co_await client.read_exactly(5), "later");
    client.close();
  });
}

TEST_F(SocketTest, StoppingDropsThemAll) {
  run([&]() -> awaitable<void> {
    RawClient client(io_);
    (void)co_await upgrade(client, kMaps + "?watch=1");
    cluster_->server().stop();
    EXPECT_EQ(co_await client.read_to_end(), "");
  });
}

TEST_F(ApiServerTest, TheKubeconfigNamesTheServer) {
  EXPECT_THAT(cluster_->kubeconfig(), HasSubstr("server: \"" + cluster_->url() + "\""));
  EXPECT_THAT(cluster_->kubeconfig("t0k"), HasSubstr("token: \"t0k\""));
  const auto created = cluster_->create({{"apiVersion", "v1"}, {"kind", "Nothing"}});
  EXPECT_EQ(created.error().code, 404);
}

}  // namespace
}  // namespace fresnel::sim

// Against a real server: WebSocketManager's. The pool's time is virtual.
#include "fresnel/websocket/websocket_pool.hpp"

#include <gmock/gmock.h>

#include <boost/asio/detached.hpp>
#include <optional>
#include <thread>
#include <vector>

#include "fresnel/net/testing.hpp"
#include "fresnel/websocket/websocket_manager.hpp"

namespace fresnel::websocket {
namespace {

using net::testing::run;
using net::testing::run_until;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Lease = WebSocketPool::Lease;

class WebSocketPoolTest : public ::testing::Test {
 protected:
  WebSocketPoolTest() { serve({"127.0.0.1", 0}); }
  ~WebSocketPoolTest() override {
    pool_.reset();
    server_.reset();
    io_.restart();
    io_.poll();
  }

  // Echoes; "silence" is not answered.
  void serve(const net::Endpoint& at) {
    server_.emplace(io_.get_executor(), steady_, WebSocketManagerOptions());
    server_->on_open([this](const auto&) { ++accepted_; });
    server_->on_message([](const auto& socket, net::Message message) {
      if (message.payload != "silence") socket->send(std::move(message.payload));
    });
    endpoint_ = server_->listen(at).value();
  }
  void start(WebSocketPoolOptions options = {}) {
    pool_.emplace(io_.get_executor(), clock_, "ws://" + endpoint_.to_string() + "/", options);
    io_.restart();
    io_.poll();
  }
  result<Lease> acquire() {
    result<Lease> lease = Error{};
    run(io_, [&]() -> awaitable<void> {
      auto acquiring = pool_->acquire();
      lease = co_await std::move(acquiring);
    });
    return lease;
  }
  // Acquires by its own coroutine; what comes of it stands in the place returned.
  std::shared_ptr<std::optional<result<Lease>>> begin_acquire() {
    auto outcome = std::make_shared<std::optional<result<Lease>>>();
    const auto acquire_into = [](WebSocketPool& pool,
                                 std::shared_ptr<std::optional<result<Lease>>> into) -> awaitable<void> {
      auto acquiring = pool.acquire();
      *into = co_await std::move(acquiring);
    };
    asio::co_spawn(io_, acquire_into(*pool_, outcome), asio::detached);
    io_.restart();
    io_.poll();
    return outcome;
  }
  std::string echo(Lease& lease, const std::string& text) {
    std::string answer;
    run(io_, [&]() -> awaitable<void> {
      net::Message message{text};
      auto writing = lease.write(std::move(message));
      const auto written = co_await std::move(writing);
      auto reading = lease.read();
      auto read = co_await std::move(reading);
      answer = read ? read->payload : read.error().message;
    });
    return answer;
  }
  // What the server sees of its connections.
  void drop_all_at_the_server() {
    for (const auto& socket : server_->get_active_connections()) socket->abort();
  }

  SteadyClock steady_;
  ManualClock clock_;
  asio::io_context io_;
  std::optional<WebSocketManager> server_;
  net::Endpoint endpoint_;
  int accepted_ = 0;
  std::optional<WebSocketPool> pool_;
};

TEST_F(WebSocketPoolTest, ALeaseGivesItsConnectionBack) {
  start();
  EXPECT_EQ(accepted_, 0) << "none is made before it is needed";
  for (int i = 0; i < 3; ++i) {
    auto lease = acquire().value();
    EXPECT_EQ(echo(lease, "hello"), "hello");
    EXPECT_EQ(pool_->get_active_count(), 1u);
    EXPECT_EQ(pool_->get_idle_count(), 0u);
  }
  EXPECT_EQ(pool_->get_active_count(), 0u);
  EXPECT_EQ(pool_->get_idle_count(), 1u);
  EXPECT_EQ(accepted_, 1);
  auto lease = acquire().value();
  pool_->release(std::move(lease));
  EXPECT_FALSE(lease);
  EXPECT_EQ(pool_->get_idle_count(), 1u);
}

TEST_F(WebSocketPoolTest, BeyondItsBoundTheLongestWaitIsServedFirst) {
  start({.max_connections = 2});
  auto first = acquire();
  auto second = acquire();
  std::vector<std::shared_ptr<std::optional<result<Lease>>>> waiting;
  for (int i = 0; i < 3; ++i) waiting.push_back(begin_acquire());
  EXPECT_EQ(pool_->get_health_status().waiting, 3u);
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(waiting[static_cast<std::size_t>(i)]->has_value());
    if (i == 0) {
      first->release();
    } else {
      (*waiting[static_cast<std::size_t>(i - 1)])->value().release();
    }
    run_until(io_, [&] { return waiting[static_cast<std::size_t>(i)]->has_value(); });
    EXPECT_TRUE((*waiting[static_cast<std::size_t>(i)])->has_value());
  }
  EXPECT_EQ(accepted_, 2);
}

TEST_F(WebSocketPoolTest, WhoWaitsTooLongIsToldSo) {
  start({.max_connections = 1, .acquire_timeout = seconds(3)});
  auto lease = acquire();
  const auto waiting = begin_acquire();
  clock_.advance(seconds(3));
  run_until(io_, [&] { return waiting->has_value(); });
  ASSERT_FALSE((*waiting)->has_value());
  EXPECT_EQ((*waiting)->error().code, Errc::timeout);
  EXPECT_THAT((*waiting)->error().message, HasSubstr("became free in time"));
  EXPECT_EQ(pool_->get_health_status().waiting, 0u);
  lease->release();
  EXPECT_TRUE(acquire()) << "the one that gave up is forgotten";
}

TEST_F(WebSocketPoolTest, TooManyWaitersAreTurnedAwayAtOnce) {
  start({.max_connections = 1, .max_waiting = 1});
  auto lease = acquire();
  const auto waiting = begin_acquire();
  EXPECT_EQ(acquire().error().code, Errc::throttled);
}

TEST_F(WebSocketPoolTest, AServerThatIsAwayIsTriedAgainWithBackoffWhileWaitersWait) {
  const auto address = endpoint_;
  server_.reset();
  io_.restart();
  io_.poll();
  start({.acquire_timeout = seconds(60), .backoff = {.first = seconds(1), .limit = seconds(1)}});
  const auto waiting = begin_acquire();
  run_until(io_, [&] { return pool_->get_health_status().failures == 1; });
  EXPECT_FALSE(pool_->get_health_status().healthy);
  EXPECT_EQ(pool_->get_health_status().last_error->code, Errc::connect_failed);
  clock_.advance(milliseconds(499));
  io_.restart();
  io_.poll();
  EXPECT_EQ(pool_->get_health_status().failures, 1u) << "not before its time";
  serve(address);
  clock_.advance(milliseconds(501));
  run_until(io_, [&] { return waiting->has_value(); });
  EXPECT_TRUE((*waiting)->has_value());
  EXPECT_TRUE(pool_->get_health_status().healthy);
}

TEST_F(WebSocketPoolTest, TheTimeoutSaysWhyNoConnectionCouldBeMade) {
  server_.reset();
  io_.restart();
  io_.poll();
  start({.acquire_timeout = seconds(2), .backoff = {.first = seconds(60), .limit = seconds(60)}});
  const auto waiting = begin_acquire();
  run_until(io_, [&] { return pool_->get_health_status().failures == 1; });
  clock_.advance(seconds(2));
  run_until(io_, [&] { return waiting->has_value(); });
  EXPECT_EQ((*waiting)->error().code, Errc::timeout);
  EXPECT_THAT((*waiting)->error().message, HasSubstr("no WebSocket could be opened in time: "));
}

TEST_F(WebSocketPoolTest, TheMinimumIsKeptWarm) {
  start({.max_connections = 5, .min_connections = 3, .backoff = {.first = seconds(1), .limit = seconds(1)}});
  run_until(io_, [&] { return pool_->get_idle_count() == 3; });
  drop_all_at_the_server();
  run_until(io_, [&] { return accepted_ == 6 && pool_->get_idle_count() == 3; });
  EXPECT_EQ(pool_->get_health_status().failures, 3u) << "each death was noticed";
  EXPECT_TRUE(acquire());
  EXPECT_EQ(accepted_, 6);
}

TEST_F(WebSocketPoolTest, AnIdleConnectionThatDiesIsNotLent) {
  start();
  acquire()->release();
  drop_all_at_the_server();
  run_until(io_, [&] { return pool_->get_idle_count() == 0; });
  auto lease = acquire().value();
  EXPECT_EQ(echo(lease, "hello"), "hello");
  EXPECT_EQ(accepted_, 2);
}

TEST_F(WebSocketPoolTest, IdleOnesBeyondTheMinimumAreClosedInTime) {
  start({.max_connections = 3, .min_connections = 1, .idle_timeout = seconds(60)});
  {
    const auto first = acquire();
    const auto second = acquire();
    const auto third = acquire();
  }
  EXPECT_EQ(pool_->get_idle_count(), 3u);
  clock_.advance(seconds(60));
  run_until(io_, [&] { return server_->active_count() == 1; });
  EXPECT_EQ(pool_->get_idle_count(), 1u);
  clock_.advance(seconds(120));
  io_.restart();
  io_.poll();
  EXPECT_EQ(pool_->get_idle_count(), 1u);
}

TEST_F(WebSocketPoolTest, AnOldConnectionIsReplaced) {
  start({.min_connections = 1, .idle_timeout = Duration::zero(), .max_lifetime = seconds(100)});
  run_until(io_, [&] { return pool_->get_idle_count() == 1; });
  clock_.advance(seconds(100));
  run_until(io_, [&] { return accepted_ == 2 && pool_->get_idle_count() == 1; });
  auto lease = acquire();
  clock_.advance(seconds(100));
  io_.restart();
  io_.poll();
  EXPECT_EQ(echo(*lease, "still mine"), "still mine") << "not while it is lent";
  lease->release();
  run_until(io_, [&] { return accepted_ == 3 && pool_->get_idle_count() == 1; });
}

TEST_F(WebSocketPoolTest, ValidationFindsAConnectionThatNoLongerAnswers) {
  asio::io_context other;
  WebSocketManager server(other.get_executor(), steady_, {});
  endpoint_ = server.listen({"127.0.0.1", 0}).value();
  std::thread thread([&] { other.run(); });
  start({.validate_on_checkout = true, .validate_timeout = milliseconds(300)});
  for (int i = 0; i < 2; ++i) acquire()->release();
  EXPECT_GT(pool_->get_health_status().latency, Duration::zero());
  EXPECT_EQ(pool_->get_health_status().failures, 0u);
  other.stop();  // its server hangs, the connection stays
  thread.join();
  const auto waiting = begin_acquire();
  run_until(io_, [&] { return pool_->get_health_status().failures == 1; });
  EXPECT_EQ(pool_->get_health_status().last_error->code, Errc::timeout);
  EXPECT_EQ(pool_->get_idle_count(), 0u);
  EXPECT_FALSE(waiting->has_value()) << "it waits for another";
  clock_.advance(seconds(10));
  run_until(io_, [&] { return waiting->has_value(); });
  EXPECT_EQ((*waiting)->error().code, Errc::timeout);
}

TEST_F(WebSocketPoolTest, ABrokenConnectionIsNotLentAgain) {
  start();
  auto lease = acquire().value();
  drop_all_at_the_server();
  EXPECT_THAT(echo(lease, "hello"), HasSubstr("the WebSocket to"));
  lease.release();
  EXPECT_EQ(pool_->get_idle_count(), 0u);
  auto next = acquire().value();
  EXPECT_EQ(echo(next, "hello"), "hello");
  next.discard();
  EXPECT_EQ(pool_->get_idle_count(), 0u);
  EXPECT_EQ(pool_->get_active_count(), 0u);
}

TEST_F(WebSocketPoolTest, AnUnreadAnswerIsNobodyElsesToRead) {
  start();
  {
    auto lease = acquire().value();
    run(io_, [&]() -> awaitable<void> {
      net::Message message{"not read"};
      auto writing = lease.write(std::move(message));
      (void)co_await std::move(writing);
    });
    run(io_, [&]() -> awaitable<void> {
      auto pinging = lease.ping(seconds(5));  // the pong comes after the answer
      EXPECT_TRUE(co_await std::move(pinging));
    });
  }
  auto next = acquire().value();
  EXPECT_EQ(echo(next, "mine"), "mine");
  EXPECT_EQ(accepted_, 2);
}

TEST_F(WebSocketPoolTest, ALeaseThatEndsDuringAReadEndsTheRead) {
  start();
  auto lease = std::make_shared<Lease>(acquire().value());
  std::optional<Errc> ended;
  const auto read_one = [&]() -> awaitable<void> {
    auto reading = lease->read();
    const auto message = co_await std::move(reading);
    ended = message ? Errc::internal : message.error().code;
  };
  asio::co_spawn(io_, read_one(), asio::detached);
  io_.restart();
  io_.poll();
  lease->release();
  run_until(io_, [&] { return ended.has_value(); });
  EXPECT_EQ(*ended, Errc::closed);
  EXPECT_EQ(pool_->get_idle_count(), 0u);
}

TEST_F(WebSocketPoolTest, ClosingWakesAllWhoWaitAndClosesTheIdle) {
  start({.max_connections = 2});
  auto lease = acquire();
  acquire()->release();
  auto held = acquire();
  const auto waiting = begin_acquire();
  held->release();
  run_until(io_, [&] { return waiting->has_value(); });
  (*waiting)->value().release();
  EXPECT_EQ(pool_->get_idle_count(), 1u);
  run(io_, [&]() -> awaitable<void> {
    auto closing = pool_->close();
    co_await std::move(closing);
  });
  run_until(io_, [&] { return server_->active_count() == 1; });
  EXPECT_EQ(acquire().error().code, Errc::closed);
  EXPECT_FALSE(pool_->get_health_status().healthy);
  EXPECT_EQ(echo(*lease, "still lent"), "still lent");
  lease->release();
  run_until(io_, [&] { return server_->active_count() == 0; });
}

TEST_F(WebSocketPoolTest, ALeaseMayOutliveThePool) {
  start({.max_connections = 1});
  auto lease = acquire();
  const auto waiting = begin_acquire();
  pool_.reset();
  run_until(io_, [&] { return waiting->has_value(); });
  EXPECT_EQ((*waiting)->error().code, Errc::closed);
  EXPECT_EQ(echo(*lease, "hello"), "hello");
  lease->release();
  run_until(io_, [&] { return server_->active_count() == 0; });
}

}  // namespace
}  // namespace fresnel::websocket

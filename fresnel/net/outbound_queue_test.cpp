#include "fresnel/net/outbound_queue.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <boost/asio/use_future.hpp>
#include <optional>
#include <vector>

#include "fresnel/net/websocket_testing.hpp"

namespace fresnel::net {
namespace {

using net::testing::RawClient;
using net::testing::RawFrame;
using net::testing::read_frame;
using net::testing::run;
using net::testing::run_until;
using ::testing::ElementsAre;

constexpr std::string_view kPing("\x89\x01p", 3);
constexpr std::string_view kClose("\x88\x02\x03\xe8", 4);  // 1000

SharedBytes text(std::string_view bytes) { return SharedBytes(bytes); }

class OutboundQueueTest : public ::testing::Test {
 protected:
  OutboundQueueTest() : acceptor_(io_, {asio::ip::address_v4::loopback(), 0}) {}
  ~OutboundQueueTest() override {
    queue_.reset();
    io_.restart();
    io_.poll();
  }

  // A queue whose kernel buffers hold little, so that it is soon blocked.
  void connect(OutboundLimits limits = {}, bool small_buffers = false) {
    run(io_, [&]() -> awaitable<void> {
      if (small_buffers) {
        client_.socket().open(asio::ip::tcp::v4());
        client_.socket().set_option(asio::socket_base::receive_buffer_size(4096));
      }
      const Endpoint endpoint{"127.0.0.1", acceptor_.local_endpoint().port()};
      co_await client_.connect(endpoint);
      auto socket = co_await acceptor_.async_accept(asio::use_awaitable);
      if (small_buffers) socket.set_option(asio::socket_base::send_buffer_size(4096));
      queue_ = std::make_unique<OutboundQueue>(std::move(socket), leftover_, limits);
      queue_->open();
    });
  }

  SendStatus send(std::string_view body) { return queue_->send(Opcode::text, {}, text(body)); }
  // Through the stream layer, as Beast writes.
  error_code write(std::string_view bytes) {
    std::optional<error_code> done;
    queue_->async_write_some(asio::buffer(bytes), [&](error_code error, std::size_t) { done = error; });
    EXPECT_FALSE(done) << "completed inline";
    run_until(io_, [&] { return done.has_value(); });
    return *done;
  }
  std::optional<error_code>& tear_down() {
    async_teardown(boost::beast::role_type::server, *queue_, [this](error_code error) { torn_down_ = error; });
    return torn_down_;
  }
  void turn() {
    io_.restart();
    io_.poll();
  }
  std::vector<RawFrame> receive(std::size_t count) {
    std::vector<RawFrame> frames;
    run(io_, [&]() -> awaitable<void> {
      while (frames.size() < count) {
        auto frame = co_await read_frame(client_);
        frames.push_back(std::move(frame));
      }
    });
    return frames;
  }

  asio::io_context io_;
  asio::ip::tcp::acceptor acceptor_;
  RawClient client_{io_};
  std::string leftover_;
  std::unique_ptr<OutboundQueue> queue_;
  std::optional<error_code> torn_down_;
};

TEST_F(OutboundQueueTest, WhatOneTurnSendsLeavesInOneSystemCall) {
  connect();
  const SharedBytes body(std::string(500, 'b'));
  for (int i = 0; i < 50; ++i) EXPECT_EQ(queue_->send(Opcode::text, std::to_string(i), body), SendStatus::queued);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(queue_->send(Opcode::binary, "x", text("tiny")), SendStatus::queued);
  EXPECT_EQ(queue_->counters().writes, 0u);
  turn();
  EXPECT_EQ(queue_->counters().writes, 1u);
  EXPECT_EQ(queue_->counters().messages, 100u);
  EXPECT_EQ(queue_->bytes(), 0u);
  const auto frames = receive(100);
  for (std::size_t i = 0; i < 50; ++i) {
    EXPECT_EQ(frames[i], (RawFrame{1, std::to_string(i) + std::string(500, 'b')}));
    EXPECT_EQ(frames[i + 50], (RawFrame{2, "xtiny"}));
  }
  EXPECT_EQ(send("next turn"), SendStatus::queued);
  turn();
  EXPECT_EQ(queue_->counters().writes, 2u);
}

TEST_F(OutboundQueueTest, MessagesSentByOtherHandlersOfTheTurnShareTheCall) {
  connect();
  for (int i = 0; i < 10; ++i) {
    asio::post(io_, [this] { EXPECT_EQ(send("m"), SendStatus::queued); });
  }
  turn();
  // The first handler arms the flush, which runs after the handlers that were ready with it.
  EXPECT_EQ(queue_->counters().writes, 1u);
  EXPECT_EQ(receive(10).size(), 10u);
}

TEST_F(OutboundQueueTest, LargeBodiesAndEveryLengthOfHeaderArrive) {
  connect();
  for (const std::size_t size : {0u, 125u, 126u, 65'535u, 65'536u, 300'000u}) {
    EXPECT_EQ(send(std::string(size, 'x')), SendStatus::queued);
    const auto frames = receive(1);
    EXPECT_TRUE(frames[0].fin);
    EXPECT_EQ(frames[0].payload.size(), size);
  }
}

TEST_F(OutboundQueueTest, AReaderThatStopsAndResumesGetsEverythingInOrder) {
  connect({.max_bytes = 256u << 20}, true);
  const std::string filling(3000, 'f');
  for (int i = 0; i < 2000; ++i) ASSERT_TRUE(accepted(queue_->send(Opcode::text, std::to_string(i), text(filling))));
  turn();
  EXPECT_GT(queue_->bytes(), 1u << 20);  // the kernel has no room
  const auto writes = queue_->counters().writes;
  EXPECT_EQ(send("late"), SendStatus::above_high_water);
  turn();
  EXPECT_EQ(queue_->counters().writes, writes) << "a blocked queue waits for the socket";
  const auto frames = receive(2001);
  for (std::size_t i = 0; i < 2000; ++i) ASSERT_EQ(frames[i].payload, std::to_string(i) + filling);
  EXPECT_EQ(frames.back().payload, "late");
  EXPECT_EQ(queue_->bytes(), 0u);
}

TEST_F(OutboundQueueTest, SaysWhenItIsAboveHighWaterAndOnceWhenItHasDrained) {
  connect({.high_water = 1'000'000, .low_water = 100'000}, true);
  int drained = 0;
  std::size_t waiting = 0;
  queue_->on_drained([&] {
    ++drained;
    waiting = queue_->bytes();
  });
  for (int round = 1; round <= 3; ++round) {
    std::size_t messages = 1;
    while (send(std::string(50'000, 'x')) == SendStatus::queued) ++messages;
    EXPECT_GT(queue_->bytes(), 1'000'000u);
    EXPECT_LE(queue_->bytes(), 1'060'000u);
    turn();
    EXPECT_EQ(drained, round - 1);
    receive(messages);
    EXPECT_EQ(drained, round);
    EXPECT_LE(waiting, 100'000u);
  }
}

TEST_F(OutboundQueueTest, TheDrainedCallbackMaySend) {
  connect({.high_water = 1000, .low_water = 10});
  queue_->on_drained([&] { EXPECT_EQ(send("after"), SendStatus::queued); });
  EXPECT_EQ(send(std::string(2000, 'x')), SendStatus::above_high_water);
  EXPECT_EQ(receive(2)[1].payload, "after");
}

TEST_F(OutboundQueueTest, RefusesWhatExceedsTheHardBound) {
  connect({.max_bytes = 10'000});
  EXPECT_EQ(send(std::string(9'000, 'x')), SendStatus::queued);
  const auto bytes = queue_->bytes();
  EXPECT_EQ(send(std::string(1'000, 'x')), SendStatus::full);
  EXPECT_EQ(queue_->bytes(), bytes);
  EXPECT_EQ(send("small"), SendStatus::queued);
  EXPECT_EQ(receive(2)[1].payload, "small");
  EXPECT_EQ(send(std::string(9'990, 'x')), SendStatus::queued);
  EXPECT_EQ(queue_->counters().messages, 3u);
}

TEST_F(OutboundQueueTest, AControlFrameGoesAheadAtTheNextFrameBoundary) {
  connect({}, true);
  EXPECT_TRUE(accepted(send(std::string(8u << 20, 'a'))));
  EXPECT_TRUE(accepted(send("b")));
  turn();
  ASSERT_GT(queue_->bytes(), 0u);  // in the middle of the first frame
  EXPECT_FALSE(write(kPing));
  const auto frames = receive(3);
  EXPECT_EQ(frames[0].payload.size(), 8u << 20);
  EXPECT_EQ(frames[1], (RawFrame{9, "p"}));
  EXPECT_EQ(frames[2], (RawFrame{1, "b"}));
}

TEST_F(OutboundQueueTest, ACloseFrameComesLastAndSealsTheQueue) {
  connect();
  EXPECT_EQ(send("a"), SendStatus::queued);
  std::optional<error_code> closed;
  queue_->async_write_some(asio::buffer(kClose), [&](error_code error, std::size_t) { closed = error; });
  EXPECT_EQ(send("b"), SendStatus::closed);
  EXPECT_FALSE(queue_->is_open());
  const auto frames = receive(2);
  EXPECT_EQ(frames[0].payload, "a");
  EXPECT_EQ(frames[1].close_code(), 1000);
  EXPECT_FALSE(*closed);
  EXPECT_EQ(write(kPing), asio::error::broken_pipe);  // nothing follows a Close
}

TEST_F(OutboundQueueTest, ASealedQueueStillTakesControlFrames) {
  connect();
  EXPECT_EQ(send("a"), SendStatus::queued);
  queue_->seal();
  EXPECT_EQ(send("b"), SendStatus::closed);
  EXPECT_FALSE(write(kPing));
  EXPECT_THAT(receive(2), ElementsAre(RawFrame{9, "p"}, RawFrame{1, "a"}));
}

TEST_F(OutboundQueueTest, RefusesDataFramesFromBeastAndMessagesBeforeTheHandshake) {
  connect();
  EXPECT_EQ(write(std::string_view("\x81\x01x", 3)), asio::error::operation_not_supported);
  auto pair = OutboundQueue(asio::ip::tcp::socket(io_), {}, {});
  EXPECT_EQ(pair.send(Opcode::text, {}, text("x")), SendStatus::closed);
}

TEST_F(OutboundQueueTest, APeerThatPingsAndNeverReadsIsDropped) {
  connect({}, true);
  EXPECT_TRUE(accepted(send(std::string(8u << 20, 'a'))));
  turn();
  const std::string pong = std::string("\x8a\x7d", 2) + std::string(125, 'p');
  std::size_t pongs = 0;
  error_code error;
  while (!error && pongs < 10'000) {
    error = write(pong);
    ++pongs;
  }
  EXPECT_EQ(error, asio::error::no_buffer_space);
  EXPECT_LE(pongs * pong.size(), OutboundQueue::kMaxUrgent + pong.size());
  EXPECT_EQ(send("x"), SendStatus::closed);
  EXPECT_EQ(queue_->bytes(), 0u);
}

TEST_F(OutboundQueueTest, ReadsWhatWasAlreadyReadFirst) {
  leftover_ = "already";
  connect();
  run(io_, [&]() -> awaitable<void> {
    co_await client_.send("fresh");
    std::string got;
    while (got.size() < 12) {
      std::array<char, 4> bytes;
      const auto size = co_await queue_->async_read_some(asio::buffer(bytes), asio::use_awaitable);
      got.append(bytes.data(), size);
    }
    EXPECT_EQ(got, "alreadyfresh");
  });
}

TEST_F(OutboundQueueTest, TeardownDeliversEverythingThenHangsUp) {
  connect({.max_bytes = 256u << 20}, true);
  const std::string filling(1000, 'f');
  for (int i = 0; i < 20'000; ++i) ASSERT_TRUE(accepted(queue_->send(Opcode::text, std::to_string(i), text(filling))));
  const auto& done = tear_down();
  const auto frames = receive(20'000);
  EXPECT_EQ(frames.back().payload, "19999" + filling);
  run(io_, [&]() -> awaitable<void> { EXPECT_EQ(co_await client_.read_to_end(), ""); });
  EXPECT_FALSE(done);
  client_.close();
  run_until(io_, [&] { return done.has_value(); });
  EXPECT_FALSE(*done) << done->message();
}

TEST_F(OutboundQueueTest, TeardownGivesUpOnAPeerThatDoesNotRead) {
  connect({.drain_timeout = milliseconds(20)}, true);
  EXPECT_TRUE(accepted(send(std::string(8u << 20, 'a'))));
  const auto& done = tear_down();
  run_until(io_, [&] { return done.has_value(); });
  EXPECT_EQ(*done, asio::error::timed_out);
}

TEST_F(OutboundQueueTest, TeardownGivesUpOnAPeerThatDoesNotHangUp) {
  connect({.drain_timeout = milliseconds(20)});
  const auto& done = tear_down();
  run_until(io_, [&] { return done.has_value(); });
  EXPECT_TRUE(*done);
  EXPECT_FALSE(queue_->next_layer().is_open());
}

TEST_F(OutboundQueueTest, AnAbortEndsTeardownAndPendingReads) {
  connect({}, true);
  EXPECT_TRUE(accepted(send(std::string(8u << 20, 'a'))));
  const auto& done = tear_down();
  std::optional<error_code> read;
  char byte = 0;
  queue_->async_read_some(asio::buffer(&byte, 1), [&](error_code error, std::size_t) { read = error; });
  turn();
  queue_->abort();
  run_until(io_, [&] { return done && read; });
  EXPECT_TRUE(*done);
  EXPECT_TRUE(*read);
}

TEST_F(OutboundQueueTest, AConnectionThatBreaksRefusesMessagesAndWakesTheReader) {
  connect({}, true);
  std::optional<error_code> read;
  char byte = 0;
  queue_->async_read_some(asio::buffer(&byte, 1), [&](error_code error, std::size_t) { read = error; });
  client_.socket().set_option(asio::socket_base::linger(true, 0));  // reset
  client_.close();
  EXPECT_EQ(send("x"), SendStatus::queued);
  run_until(io_, [&] { return read && !queue_->is_open(); });
  EXPECT_TRUE(*read);
  EXPECT_EQ(send("x"), SendStatus::closed);
}

TEST_F(OutboundQueueTest, ManyQueuesOfOneLoopShareOneFlush) {
  connect();
  auto first = std::move(queue_);
  RawClient second_client(io_);
  std::swap(client_.socket(), second_client.socket());
  connect();
  EXPECT_EQ(first->send(Opcode::text, {}, text("1")), SendStatus::queued);
  EXPECT_EQ(send("2"), SendStatus::queued);
  io_.restart();
  EXPECT_EQ(io_.poll(), 1u);
  EXPECT_EQ(first->counters().writes, 1u);
  EXPECT_EQ(queue_->counters().writes, 1u);
}

TEST(OutboundQueueLife, ALoopThatIsDestroyedTakesMarkedQueuesAlong) {
  std::optional<OutboundQueue> queue;
  auto io = std::make_unique<asio::io_context>();
  asio::ip::tcp::acceptor acceptor(*io, {asio::ip::address_v4::loopback(), 0});
  asio::ip::tcp::socket client(*io);
  client.connect(acceptor.local_endpoint());
  queue.emplace(acceptor.accept(), "", OutboundLimits());
  queue->open();
  EXPECT_EQ(queue->send(Opcode::text, {}, text("x")), SendStatus::queued);
  queue.reset();
  acceptor.close();
  client.close();
  io.reset();
}

}  // namespace
}  // namespace fresnel::net

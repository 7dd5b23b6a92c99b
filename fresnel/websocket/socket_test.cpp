// How a socket sends: compressed once for all, and to a peer that does not keep up.
#include "fresnel/websocket/socket.hpp"

#include <gmock/gmock.h>

#include <deque>
#include <optional>

#include "fresnel/net/deflate.hpp"
#include "fresnel/net/websocket_testing.hpp"
#include "fresnel/websocket/websocket_manager.hpp"

namespace fresnel::websocket {
namespace {

using net::testing::client_close;
using net::testing::handshake_request;
using net::testing::RawClient;
using net::testing::RawFrame;
using net::testing::read_frame;
using net::testing::run;
using net::testing::run_until;

class SocketTest : public ::testing::Test {
 protected:
  SocketTest() {
    options_.outbound_high_water = 64u << 10;
    options_.outbound_low_water = 16u << 10;
  }
  ~SocketTest() override {
    manager_.reset();
    io_.restart();
    io_.poll();
  }
  void start(SlowConsumer policy) {
    options_.slow_consumer = policy;
    manager_.emplace(io_.get_executor(), clock_, options_);
    manager_->on_open([this](const auto& socket) { sockets_.push_back(socket); });
    manager_->on_message([](const auto&, const net::Message&) {});
    endpoint_ = manager_->listen({"127.0.0.1", 0}).value();
  }
  // A new client, which reads when it is told to.
  std::shared_ptr<Socket> connect(const std::string& fields = {}) {
    clients_.emplace_back(io_);
    run(io_, [&]() -> awaitable<void> {
      auto& client = clients_.back();
      co_await client.connect(endpoint_);
      co_await client.send(handshake_request(fields));
      co_await client.read_until("\r\n\r\n");
    });
    run_until(io_, [&] { return sockets_.size() == clients_.size(); });
    return sockets_.back();
  }
  static std::string numbered(int number, std::size_t size = 4096) {
    auto text = std::to_string(number) + " ";
    return text.append(size - text.size(), 'x');
  }
  // Sends numbered messages until the peer lags; the next number. `key` of a number, empty: none.
  int fill(Socket& socket, const std::function<std::string(int)>& key = nullptr) {
    int number = 0;
    while (!socket.is_slow() && socket.is_open()) {
      EXPECT_LT(number, 100'000) << "the peer never lags";
      socket.send(OutboundMessage::text(numbered(number)).with_key(key ? key(number) : std::string()));
      ++number;
      io_.restart();
      io_.poll();
    }
    return number;
  }
  // The numbers of the messages up to and including `last`.
  std::vector<int> read_numbers(RawClient& client, int last) {
    std::vector<int> numbers;
    run(io_, [&]() -> awaitable<void> {
      while (numbers.empty() || numbers.back() != last) {
        const auto frame = co_await read_frame(client);
        if (frame.opcode != 1) throw std::runtime_error("not a text message");
        numbers.push_back(std::stoi(frame.payload));
      }
    });
    return numbers;
  }

  SteadyClock clock_;
  asio::io_context io_;
  WebSocketManagerOptions options_;
  std::optional<WebSocketManager> manager_;
  net::Endpoint endpoint_;
  std::deque<RawClient> clients_;
  std::vector<std::shared_ptr<Socket>> sockets_;
};

TEST_F(SocketTest, AMessageIsCompressedOnceForAll) {
  options_.compression.enabled = true;
  start(SlowConsumer::close);
  const std::string extension = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
  for (int i = 0; i < 2; ++i) (void)connect(extension);
  (void)connect();
  const auto message = OutboundMessage::binary(std::string(5000, 'a'));
  EXPECT_EQ(manager_->broadcast(message).queued, 3u);
  EXPECT_EQ(&message.deflated(), &message.deflated());
  run(io_, [&]() -> awaitable<void> {
    for (int i = 0; i < 2; ++i) {
      const auto frame = co_await read_frame(clients_[static_cast<std::size_t>(i)]);
      EXPECT_TRUE(frame.compressed);
      EXPECT_EQ(frame.opcode, 2);
      EXPECT_EQ(frame.payload, message.deflated().view());
      bool too_large = false;
      EXPECT_EQ(net::inflate_message(frame.payload, 10'000, too_large), std::string(5000, 'a'));
    }
    {
      const auto frame = co_await read_frame(clients_[2]);
      EXPECT_EQ(frame, (RawFrame{2, std::string(5000, 'a')}));
    }
  });
}

TEST_F(SocketTest, WhatIsBelowTheThresholdGoesAsItIs) {
  options_.compression = {.enabled = true, .threshold = 4000};
  start(SlowConsumer::close);
  const auto socket = connect("Sec-WebSocket-Extensions: permessage-deflate\r\n");
  socket->send(std::string(3999, 'a'));
  socket->send(std::string(4000, 'a'));
  run(io_, [&]() -> awaitable<void> {
    {
      const auto frame = co_await read_frame(clients_[0]);
      EXPECT_FALSE(frame.compressed);
    }
    {
      const auto frame = co_await read_frame(clients_[0]);
      EXPECT_TRUE(frame.compressed);
    }
  });
}

TEST_F(SocketTest, AReaderThatLagsIsClosedWith1013) {
  start(SlowConsumer::close);
  const auto socket = connect();
  const int sent = fill(*socket);
  EXPECT_EQ(socket->send("one more"), Sent::closed);
  run(io_, [&]() -> awaitable<void> {
    for (int number = 0; number < sent; ++number) {
      {
        const auto frame = co_await read_frame(clients_[0]);
        EXPECT_EQ(frame.payload, numbered(number)) << "what was queued still comes";
      }
    }
    {
      const auto frame = co_await read_frame(clients_[0]);
      EXPECT_EQ(frame.close_code(), 1013);
    }
    co_await clients_[0].send(client_close(1013));
    co_await clients_[0].read_to_end();
  });
}

TEST_F(SocketTest, AReaderThatLagsGetsTheNewestWhenTheOldestAreDropped) {
  start(SlowConsumer::drop_oldest);
  const auto socket = connect();
  const auto other = connect();
  const int before = fill(*socket);
  constexpr int kMore = 1000;
  for (int number = before; number < before + kMore; ++number) {
    EXPECT_EQ(socket->send(OutboundMessage::text(numbered(number))), Sent::slow);
    EXPECT_LE(socket->connection()->outbound_bytes(), options_.outbound_high_water + 8192) << "bounded, whatever comes";
  }
  constexpr int kKept = (64 << 10) / (4096 + static_cast<int>(WaitingMessages::kOverhead));
  EXPECT_EQ(socket->counters().dropped, static_cast<std::uint64_t>(kMore - kKept));
  EXPECT_EQ(other->send("to the other"), Sent::queued) << "nobody else waits";
  const auto numbers = read_numbers(clients_[0], before + kMore - 1);
  std::vector<int> expected;
  for (int number = 0; number < before; ++number) expected.push_back(number);
  for (int number = before + kMore - kKept; number < before + kMore; ++number) expected.push_back(number);
  EXPECT_EQ(numbers, expected);
  EXPECT_FALSE(socket->is_slow());
  EXPECT_EQ(socket->send("again"), Sent::queued);
}

TEST_F(SocketTest, AReaderThatLagsGetsTheNewestOfEachKey) {
  start(SlowConsumer::conflate);
  const auto socket = connect();
  const auto key = [](int number) { return "key " + std::to_string(number % 3); };
  const int before = fill(*socket, key);
  for (int number = before; number < before + 300; ++number) {
    EXPECT_EQ(socket->send(OutboundMessage::text(numbered(number)).with_key(key(number))), Sent::slow);
  }
  EXPECT_EQ(socket->counters().conflated, 297u);
  EXPECT_EQ(socket->counters().dropped, 0u);
  auto numbers = read_numbers(clients_[0], before + 299);
  ASSERT_GT(numbers.size(), 3u);
  EXPECT_EQ(std::vector<int>(numbers.end() - 3, numbers.end()),
            (std::vector<int>{before + 297, before + 298, before + 299}));
}

TEST_F(SocketTest, ASocketThatIsOverSaysSo) {
  start(SlowConsumer::drop_oldest);
  const auto socket = connect();
  socket->abort();
  EXPECT_EQ(socket->send("too late"), Sent::closed);
  EXPECT_FALSE(socket->is_open());
}

}  // namespace
}  // namespace fresnel::websocket

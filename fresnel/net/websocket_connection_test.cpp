#include "fresnel/net/websocket_connection.hpp"

#include <gmock/gmock.h>

#include <boost/asio/detached.hpp>
#include <optional>
#include <vector>

#include "fresnel/net/websocket_testing.hpp"

namespace fresnel::net {
namespace {

using net::testing::client_close;
using net::testing::client_frame;
using net::testing::handshake_request;
using net::testing::RawClient;
using net::testing::RawFrame;
using net::testing::read_frame;
using net::testing::run;
using net::testing::run_until;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class WebSocketConnectionTest : public ::testing::Test {
 protected:
  WebSocketConnectionTest() {
    server_.emplace(io_.get_executor(), clock_, HttpServerOptions(),
                    [this](HttpExchange& exchange) { return handle(exchange); });
    endpoint_ = server_->listen({"127.0.0.1", 0}).value();
  }
  ~WebSocketConnectionTest() override {
    socket_.reset();
    accepted_.reset();
    server_.reset();
    io_.restart();
    io_.poll();
  }

  awaitable<void> handle(HttpExchange& exchange) {
    auto taken = exchange.take_socket();
    accepted_ = co_await WebSocketConnection::accept(std::move(taken), exchange.request(), clock_, options_);
    if (*accepted_) socket_ = accepted_->value();
  }

  // The response's header.
  std::string handshake(std::string request = handshake_request()) {
    std::string response;
    run(io_, [&]() -> awaitable<void> {
      co_await client_.connect(endpoint_);
      co_await client_.send(std::move(request));
      response = co_await client_.read_until("\r\n\r\n");
    });
    if (response.starts_with("HTTP/1.1 101")) wait_for_the_server();
    return response;
  }
  void wait_for_the_server() {
    run_until(io_, [&] { return accepted_.has_value(); });
  }
  void open() {
    const auto response = handshake();
    ASSERT_THAT(response, StartsWith("HTTP/1.1 101 "));
    ASSERT_TRUE(socket_);
  }
  // With so little room in the kernel that a backlog forms at once.
  void open_narrow() {
    client_.socket().open(asio::ip::tcp::v4());
    client_.socket().set_option(asio::socket_base::receive_buffer_size(4096));
    open();
  }
  // The refusal's Error, once the client has hung up.
  Error refusal() {
    client_.close();
    wait_for_the_server();
    EXPECT_FALSE(*accepted_);
    return accepted_->error();
  }

  result<Message> read() {
    std::optional<result<Message>> message;
    run(io_, [&]() -> awaitable<void> { message = co_await socket_->read(); });
    return *message;
  }
  // Reads until the end, which it stores.
  void keep_reading() {
    asio::co_spawn(io_, read_to_the_end(socket_, end_), asio::detached);
    turn();
  }
  static awaitable<void> read_to_the_end(std::shared_ptr<WebSocketConnection> socket, std::optional<Error>& end) {
    for (;;) {
      const auto message = co_await socket->read();
      if (message) continue;
      end = message.error();
      co_return;
    }
  }
  void turn() {
    io_.restart();
    io_.poll();
  }
  void send_raw(std::string bytes) {
    run(io_, [&]() -> awaitable<void> { co_await client_.send(std::move(bytes)); });
  }
  RawFrame receive() {
    RawFrame frame;
    run(io_, [&]() -> awaitable<void> { frame = co_await read_frame(client_); });
    return frame;
  }
  // Starts close() and returns where its end is noted.
  std::shared_ptr<bool> start_close(int code, std::string reason = {}) {
    auto done = std::make_shared<bool>(false);
    asio::co_spawn(io_, socket_->close(code, std::move(reason)), [done](std::exception_ptr) { *done = true; });
    return done;
  }
  Error end() {
    run_until(io_, [&] { return end_.has_value(); });
    return *end_;
  }

  ManualClock clock_;
  asio::io_context io_;
  WebSocketConnectionOptions options_;
  std::optional<HttpServer> server_;
  Endpoint endpoint_;
  RawClient client_{io_};
  std::optional<result<std::shared_ptr<WebSocketConnection>>> accepted_;
  std::shared_ptr<WebSocketConnection> socket_;
  std::optional<Error> end_;
};

TEST_F(WebSocketConnectionTest, AnswersTheHandshake) {
  options_.protocol = "a.b";
  options_.server = "test";
  const auto response = handshake(handshake_request("Sec-WebSocket-Protocol: x, a.b\r\n"));
  EXPECT_THAT(response, StartsWith("HTTP/1.1 101 "));
  EXPECT_THAT(response, HasSubstr("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));  // RFC 6455 section 1.3
  EXPECT_THAT(response, HasSubstr("Sec-WebSocket-Protocol: a.b\r\n"));
  EXPECT_THAT(response, HasSubstr("Server: test\r\n"));
  EXPECT_EQ(socket_->protocol(), "a.b");
  EXPECT_THAT(socket_->peer(), StartsWith("127.0.0.1:"));
  EXPECT_TRUE(socket_->is_open());
}

TEST_F(WebSocketConnectionTest, RefusesABadHandshake) {
  const auto response = handshake(
      "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Sec-WebSocket-Version: 13\r\n\r\n");
  EXPECT_THAT(response, StartsWith("HTTP/1.1 400 "));
  const auto error = refusal();
  EXPECT_EQ(error.code, Errc::protocol);
  EXPECT_EQ(error.status, 400);
}

TEST_F(WebSocketConnectionTest, RefusesAnotherVersionWith426) {
  const auto response = handshake(
      "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
  EXPECT_THAT(response, StartsWith("HTTP/1.1 426 "));
  EXPECT_THAT(response, HasSubstr("Sec-WebSocket-Version: 13\r\n"));
  EXPECT_EQ(refusal().status, 426);
}

TEST_F(WebSocketConnectionTest, ReadsMessages) {
  options_.max_message = 200'000;
  handshake(handshake_request() + client_frame(1, "with the handshake"));
  EXPECT_EQ(read()->payload, "with the handshake");
  send_raw(client_frame(2, std::string("\xff\x00", 2)));
  auto message = read();
  EXPECT_TRUE(message->binary);
  EXPECT_EQ(message->payload, std::string("\xff\x00", 2));
  send_raw(client_frame(1, "Gr\xc3", false) + client_frame(9, "between") +
           client_frame(0,
                        "\xbc\xc3\x9f"
                        "e"));
  message = read();
  EXPECT_FALSE(message->binary);
  EXPECT_EQ(message->payload, "Grüße");
  EXPECT_EQ(receive(), (RawFrame{10, "between"}));
  send_raw(client_frame(1, std::string(200'000, 'x')) + client_frame(1, ""));
  EXPECT_EQ(read()->payload, std::string(200'000, 'x'));
  EXPECT_EQ(read()->payload, "");
  EXPECT_EQ(socket_->counters().messages_in, 5u);
}

TEST_F(WebSocketConnectionTest, SendsMessages) {
  open();
  const auto before = socket_->counters();
  const SharedBytes body(std::string(1000, 'b'));
  EXPECT_EQ(socket_->send("prefix", body), SendStatus::queued);
  EXPECT_EQ(socket_->send("text"), SendStatus::queued);
  EXPECT_EQ(socket_->send(std::string(70'000, 't')), SendStatus::queued);
  EXPECT_EQ(socket_->send_binary("p", SharedBytes(std::string_view("q"))), SendStatus::queued);
  EXPECT_EQ(socket_->send_binary(std::string(300, '\xff')), SendStatus::queued);
  EXPECT_EQ(socket_->outbound_bytes(), 4 + 1006 + 2 + 4 + 10 + 70'000 + 2 + 2 + 4 + 300u);
  turn();
  EXPECT_EQ(socket_->outbound_bytes(), 0u);
  EXPECT_EQ(receive(), (RawFrame{1, "prefix" + std::string(1000, 'b')}));
  EXPECT_EQ(receive(), (RawFrame{1, "text"}));
  EXPECT_EQ(receive(), (RawFrame{1, std::string(70'000, 't')}));
  EXPECT_EQ(receive(), (RawFrame{2, "pq"}));
  EXPECT_EQ(receive(), (RawFrame{2, std::string(300, '\xff')}));
  const auto after = socket_->counters();
  EXPECT_EQ(after.messages_out, 5u);
  EXPECT_EQ(after.writes - before.writes, 1u);  // one turn, one system call
}

TEST_F(WebSocketConnectionTest, AMessageTooLargeIsAnsweredBy1009) {
  options_.max_message = 1000;
  open();
  keep_reading();
  send_raw(client_frame(1, std::string(1000, 'x')));
  turn();
  EXPECT_FALSE(end_);
  send_raw(client_frame(1, std::string(600, 'x'), false) + client_frame(0, std::string(401, 'x')));
  EXPECT_EQ(receive().close_code(), 1009);
  client_.close();
  EXPECT_EQ(end().code, Errc::too_large);
  EXPECT_EQ(end_->status, 1009);
}

TEST_F(WebSocketConnectionTest, InvalidUtf8IsAnsweredBy1007) {
  open();
  keep_reading();
  send_raw(client_frame(1, "half \xc3", false) + client_frame(0, "("));
  EXPECT_EQ(receive().close_code(), 1007);
  client_.close();
  EXPECT_EQ(end().code, Errc::protocol);
  EXPECT_EQ(end_->status, 1007);
}

TEST_F(WebSocketConnectionTest, BrokenFramingIsAnsweredBy1002) {
  open();
  keep_reading();
  send_raw(std::string("\x81\x01x", 3));  // not masked
  EXPECT_EQ(receive().close_code(), 1002);
  client_.close();
  EXPECT_EQ(end().code, Errc::protocol);
  EXPECT_EQ(end_->status, 1002);
}

TEST_F(WebSocketConnectionTest, ThePeersCloseIsAnsweredAfterWhatWaits) {
  open();
  keep_reading();
  EXPECT_EQ(socket_->send("last"), SendStatus::queued);
  send_raw(client_close(4000, "enough"));
  EXPECT_EQ(receive().payload, "last");
  EXPECT_EQ(receive().close_code(), 4000);
  EXPECT_EQ(socket_->send("too late"), SendStatus::closed);
  client_.close();
  EXPECT_EQ(end().code, Errc::closed);
  EXPECT_EQ(end_->status, 4000);
  EXPECT_THAT(end_->message, HasSubstr("enough"));
}

TEST_F(WebSocketConnectionTest, TellsACloseWithoutCodeFromNoCloseAtAll) {
  open();
  keep_reading();
  send_raw(client_frame(8, ""));
  receive();
  client_.close();
  EXPECT_EQ(end().status, 1005);

  end_.reset();
  accepted_.reset();
  RawClient second(io_);
  std::swap(client_.socket(), second.socket());
  open();
  keep_reading();
  client_.close();
  EXPECT_EQ(end().code, Errc::closed);
  EXPECT_EQ(end_->status, 1006);
}

TEST_F(WebSocketConnectionTest, APeerThatClosesAndDoesNotHangUpIsDropped) {
  options_.close_timeout = milliseconds(20);
  open();
  keep_reading();
  send_raw(client_close(1000));
  EXPECT_EQ(end().code, Errc::closed);
  EXPECT_EQ(end_->status, 1000);
}

TEST_F(WebSocketConnectionTest, CloseDeliversWhatWaitsThenSaysWhy) {
  open_narrow();
  keep_reading();
  int closed = 0;
  socket_->on_closed([&] { ++closed; });
  const std::string filling(2000, 'f');
  for (int i = 0; i < 3000; ++i) ASSERT_TRUE(accepted(socket_->send(std::to_string(i) + filling)));
  const auto done = start_close(1001, "going away");
  turn();
  EXPECT_FALSE(socket_->is_open());
  EXPECT_EQ(socket_->send("late"), SendStatus::closed);
  for (int i = 0; i < 3000; ++i) ASSERT_EQ(receive().payload, std::to_string(i) + filling);
  const auto frame = receive();
  EXPECT_EQ(frame.close_code(), 1001);
  EXPECT_EQ(frame.payload.substr(2), "going away");
  EXPECT_FALSE(*done);
  EXPECT_EQ(closed, 0);
  send_raw(client_close(1001));
  client_.close();
  run_until(io_, [&] { return *done; });
  EXPECT_EQ(end().code, Errc::closed);
  EXPECT_EQ(closed, 1);
}

TEST_F(WebSocketConnectionTest, CloseWorksWithoutAPendingRead) {
  open();
  const auto done = start_close(1000, std::string(122, 'x') + "ü");
  const auto frame = receive();
  EXPECT_EQ(frame.payload.substr(2), std::string(122, 'x'));  // cut between characters
  send_raw(client_frame(1, "unread") + client_close(1000));
  client_.close();
  run_until(io_, [&] { return *done; });
  EXPECT_EQ(read().error().code, Errc::closed);
}

TEST_F(WebSocketConnectionTest, EveryCloseWaitsForTheFirst) {
  open();
  keep_reading();
  const auto first = start_close(1001);
  const auto second = start_close(1013);
  EXPECT_EQ(receive().close_code(), 1001);
  EXPECT_FALSE(*first || *second);
  send_raw(client_close(1001));
  client_.close();
  run_until(io_, [&] { return *first && *second; });
  const auto third = start_close(1000);
  turn();
  EXPECT_TRUE(*third);
}

TEST_F(WebSocketConnectionTest, CloseGivesUpOnAPeerThatDoesNotAnswer) {
  options_.close_timeout = milliseconds(20);
  open();
  keep_reading();
  const auto done = start_close(1000);
  run_until(io_, [&] { return *done; });
  EXPECT_EQ(end().code, Errc::closed);
}

TEST_F(WebSocketConnectionTest, CloseGivesUpOnAPeerThatTalksOn) {
  options_.close_timeout = milliseconds(50);
  open();
  keep_reading();
  const auto done = start_close(1000);
  run(io_, [&]() -> awaitable<void> {
    const std::string chatter = client_frame(1, "and another thing");
    try {
      while (!*done) co_await client_.send(chatter);
    } catch (const boost::system::system_error&) {  // dropped at last
    }
  });
  run_until(io_, [&] { return *done; });
}

TEST_F(WebSocketConnectionTest, BackPressureIsAReturnValue) {
  options_.high_water = 1'000'000;
  options_.low_water = 100'000;
  options_.max_outbound = 2'000'000;
  open_narrow();
  int drained = 0;
  socket_->on_drained([&] { ++drained; });
  SendStatus status = SendStatus::queued;
  std::size_t messages = 0;
  while (status == SendStatus::queued) {
    status = socket_->send(std::string(10'000, 'x'));
    ++messages;
    turn();
  }
  EXPECT_EQ(status, SendStatus::above_high_water);
  while ((status = socket_->send(std::string(10'000, 'x'))) == SendStatus::above_high_water) ++messages;
  EXPECT_EQ(status, SendStatus::full);
  EXPECT_LE(socket_->outbound_bytes(), 2'000'000u);
  EXPECT_EQ(drained, 0);
  for (; messages > 0; --messages) receive();
  EXPECT_EQ(drained, 1);
  EXPECT_EQ(socket_->send("again"), SendStatus::queued);
}

TEST_F(WebSocketConnectionTest, PingsASilentPeerAndKnowsTheRoundTrip) {
  open();
  keep_reading();
  for (int round = 0; round < 5; ++round) {
    clock_.advance(seconds(30));
    EXPECT_EQ(receive().opcode, 9);
    clock_.advance(milliseconds(70 + round));
    send_raw(client_frame(10, ""));
    run_until(io_, [&] { return socket_->round_trip() == milliseconds(70 + round); });
  }
  EXPECT_TRUE(socket_->is_open());
}

TEST_F(WebSocketConnectionTest, DoesNotPingAPeerThatTalks) {
  open();
  keep_reading();
  for (std::uint64_t i = 0; i < 10; ++i) {
    clock_.advance(seconds(20));
    send_raw(client_frame(1, "here"));
    run_until(io_, [&] { return socket_->counters().messages_in == i + 1; });
  }
  EXPECT_EQ(socket_->send("no ping came first"), SendStatus::queued);
  EXPECT_EQ(receive().opcode, 1);
}

TEST_F(WebSocketConnectionTest, APeerThatDoesNotAnswerPingsIsGone) {
  open();
  keep_reading();
  clock_.advance(seconds(30));
  EXPECT_EQ(receive().opcode, 9);
  clock_.advance(seconds(29));
  turn();
  EXPECT_FALSE(end_);
  clock_.advance(seconds(1));
  EXPECT_EQ(end().code, Errc::timeout);
  EXPECT_EQ(socket_->send("x"), SendStatus::closed);
}

TEST_F(WebSocketConnectionTest, ThatThePeersKernelTakesMessagesIsNoSignOfLife) {
  open();
  keep_reading();
  for (int i = 0; i < 6 && !end_; ++i) {
    turn();
    EXPECT_EQ(socket_->send("event"), SendStatus::queued);
    turn();
    clock_.advance(seconds(10));
  }
  EXPECT_EQ(end().code, Errc::timeout);
}

TEST_F(WebSocketConnectionTest, ASlowReaderThatDrainsStaysUntilItStops) {
  open_narrow();
  keep_reading();
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(accepted(socket_->send(std::string(20'000, 'x'))));
  turn();
  for (int i = 0; i < 20; ++i) {  // ten minutes, while the ping waits behind megabytes
    clock_.advance(seconds(30));
    turn();
    ASSERT_FALSE(end_) << end_->message;
    for (int frame = 0; frame < 10; ++frame) receive();  // the window opens in steps of up to 64 KiB on loopback
  }
  EXPECT_GT(socket_->outbound_bytes(), 0u);
  for (int i = 0; i < 4 && !end_; ++i) {
    clock_.advance(seconds(30));
    turn();
  }
  EXPECT_EQ(end().code, Errc::timeout);
}

TEST_F(WebSocketConnectionTest, AbortEndsAPendingRead) {
  open();
  keep_reading();
  int closed = 0;
  socket_->on_closed([&] { closed += 10; });
  socket_->on_closed([&] { closed -= 9; });
  socket_->abort();
  EXPECT_EQ(closed, 1);
  socket_->abort();
  EXPECT_EQ(end().code, Errc::closed);
  EXPECT_EQ(closed, 1);
  socket_->on_closed([&] { ++closed; });
  EXPECT_EQ(closed, 2) << "at once, for it is over already";
}

TEST_F(WebSocketConnectionTest, TheLastOwnerTakesTheConnectionAlong) {
  open();
  int closed = 0;
  socket_->on_closed([&] { ++closed; });
  std::optional<result<Message>> message;
  asio::co_spawn(io_, socket_->read(), [&](std::exception_ptr, result<Message> end) { message = std::move(end); });
  turn();
  socket_.reset();
  accepted_.reset();
  EXPECT_EQ(closed, 1);
  run_until(io_, [&] { return message.has_value(); });
  EXPECT_EQ(message->error().code, Errc::closed);
  std::string rest;
  run(io_, [&]() -> awaitable<void> { rest = co_await client_.read_to_end(); });
  EXPECT_EQ(rest, "");  // no Close
  turn();
  EXPECT_EQ(clock_.armed(), 0u) << "the heartbeat ended too";
}

}  // namespace
}  // namespace fresnel::net

// permessage-deflate on a connection: against raw frames, and against Beast's own client.
#include <gmock/gmock.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <optional>

#include "fresnel/net/deflate.hpp"
#include "fresnel/net/websocket_connection.hpp"
#include "fresnel/net/websocket_testing.hpp"

namespace fresnel::net {
namespace {

namespace beast = boost::beast;
namespace websocket = beast::websocket;

using net::testing::client_frame;
using net::testing::handshake_request;
using net::testing::RawClient;
using net::testing::RawFrame;
using net::testing::read_frame;
using net::testing::run;
using net::testing::run_until;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kRsv1 = 0x40;
constexpr std::string_view kOffer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";

class WebSocketDeflateTest : public ::testing::Test {
 protected:
  WebSocketDeflateTest() {
    options_.deflate = true;
    server_.emplace(io_.get_executor(), clock_, HttpServerOptions(),
                    [this](HttpExchange& exchange) { return handle(exchange); });
    endpoint_ = server_->listen({"127.0.0.1", 0}).value();
  }
  ~WebSocketDeflateTest() override {
    socket_.reset();
    server_.reset();
    io_.restart();
    io_.poll();
  }

  awaitable<void> handle(HttpExchange& exchange) {
    auto taken = exchange.take_socket();
    auto accepted = co_await WebSocketConnection::accept(std::move(taken), exchange.request(), clock_, options_);
    if (accepted) socket_ = *accepted;
  }
  // Sends the handshake, and `behind` it in the same bytes; returns the response's header.
  std::string handshake(std::string_view fields = kOffer, std::string behind = {}) {
    std::string response;
    std::string request = handshake_request(fields) + behind;
    run(io_, [&]() -> awaitable<void> {
      co_await client_.connect(endpoint_);
      co_await client_.send(std::move(request));
      response = co_await client_.read_until("\r\n\r\n");
    });
    run_until(io_, [&] { return socket_ != nullptr; });
    return response;
  }
  result<Message> read() {
    std::optional<result<Message>> message;
    run(io_, [&]() -> awaitable<void> { message = co_await socket_->read(); });
    return *message;
  }
  void send_raw(std::string bytes) {
    run(io_, [&]() -> awaitable<void> { co_await client_.send(std::move(bytes)); });
  }
  // Reads once, and hangs up when the Close has come: the code that both sides saw.
  int closed_with() {
    std::optional<result<Message>> message;
    asio::co_spawn(io_, socket_->read(), [&](std::exception_ptr, result<Message> read) { message = std::move(read); });
    const int code = receive().close_code();
    client_.close();
    run_until(io_, [&] { return message.has_value(); });
    EXPECT_EQ(message->error().status, code);
    return code;
  }
  RawFrame receive() {
    RawFrame frame;
    run(io_, [&]() -> awaitable<void> { frame = co_await read_frame(client_); });
    return frame;
  }

  const std::string body_ = std::string(3000, 'b') + "end";
  ManualClock clock_;
  asio::io_context io_;
  WebSocketConnectionOptions options_;
  std::optional<HttpServer> server_;
  Endpoint endpoint_;
  RawClient client_{io_};
  std::shared_ptr<WebSocketConnection> socket_;
};

TEST_F(WebSocketDeflateTest, IsGrantedWhenOffered) {
  EXPECT_THAT(handshake(), HasSubstr("Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
                                     "client_no_context_takeover\r\n"));
  EXPECT_TRUE(socket_->deflates());
}

TEST_F(WebSocketDeflateTest, IsNotSpokenUnasked) {
  EXPECT_THAT(handshake(""), Not(HasSubstr("Extensions")));
  EXPECT_FALSE(socket_->deflates());
}

TEST_F(WebSocketDeflateTest, IsRefusedWhenTurnedOff) {
  options_.deflate = false;
  EXPECT_THAT(handshake(), Not(HasSubstr("Extensions")));
  EXPECT_FALSE(socket_->deflates());
}

TEST_F(WebSocketDeflateTest, ASharedBodyGoesOutBehindAPrefixOfItsOwn) {
  (void)handshake();
  const auto shared = deflate_body(body_);
  for (const auto* prefix : {"first:", "second:"}) {
    ASSERT_EQ(socket_->send_deflated(stored_block(prefix), shared), SendStatus::queued);
    const auto frame = receive();
    EXPECT_TRUE(frame.compressed);
    EXPECT_LT(frame.payload.size(), 100u);
    bool too_large = false;
    EXPECT_EQ(inflate_message(frame.payload, 10'000, too_large), prefix + body_);
  }
  ASSERT_EQ(socket_->send("plain"), SendStatus::queued);
  EXPECT_EQ(receive(), (RawFrame{.opcode = 1, .payload = "plain"}));
}

TEST_F(WebSocketDeflateTest, CompressedMessagesAreReadEvenBehindTheHandshake) {
  const std::string payload(deflate_body(body_).view());
  (void)handshake(kOffer, client_frame(1 | kRsv1, payload) + client_frame(1, "plain"));
  EXPECT_EQ(read()->payload, body_);
  EXPECT_EQ(read()->payload, "plain");
  send_raw(client_frame(2 | kRsv1, payload.substr(0, 5), false) + client_frame(0, payload.substr(5)));
  const auto third = read();
  EXPECT_EQ(third->payload, body_);
  EXPECT_TRUE(third->binary);
}

TEST_F(WebSocketDeflateTest, AMessageThatInflatesBeyondTheLimitIsClosedWith1009) {
  options_.max_message = 3002;
  (void)handshake();
  send_raw(client_frame(1 | kRsv1, deflate_body(body_).view()));
  EXPECT_EQ(closed_with(), 1009);
}

TEST_F(WebSocketDeflateTest, WhatCannotBeInflatedIsClosedWith1002) {
  (void)handshake();
  send_raw(client_frame(1 | kRsv1, "\xFF\xFF\xFF"));
  EXPECT_EQ(closed_with(), 1002);
}

TEST_F(WebSocketDeflateTest, InflatedTextMustBeUtf8) {
  (void)handshake();
  send_raw(client_frame(1 | kRsv1, deflate_body(std::string(2000, '\xFF')).view()));
  EXPECT_EQ(closed_with(), 1007);
}

TEST_F(WebSocketDeflateTest, BeastsClientDecodesItAndIsRead) {
  websocket::stream<asio::ip::tcp::socket> client(io_);
  websocket::permessage_deflate deflate;
  deflate.client_enable = true;
  client.set_option(deflate);
  std::string received;
  run(io_, [&]() -> awaitable<void> {
    const asio::ip::tcp::endpoint server(asio::ip::make_address(endpoint_.host), endpoint_.port);
    co_await client.next_layer().async_connect(server, asio::use_awaitable);
    co_await client.async_handshake("localhost", "/", asio::use_awaitable);
    co_await client.async_write(asio::buffer(body_), asio::use_awaitable);
  });
  run_until(io_, [&] { return socket_ != nullptr; });
  EXPECT_EQ(read()->payload, body_);
  const auto shared = deflate_body(body_);
  for (int i = 0; i < 3; ++i) (void)socket_->send_deflated(stored_block(std::to_string(i)), shared);
  for (int i = 0; i < 3; ++i) {
    beast::flat_buffer buffer;
    run(io_, [&]() -> awaitable<void> { co_await client.async_read(buffer, asio::use_awaitable); });
    EXPECT_EQ(beast::buffers_to_string(buffer.data()), std::to_string(i) + body_);
  }
}

}  // namespace
}  // namespace fresnel::net

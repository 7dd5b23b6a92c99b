#include "fresnel/net/websocket_client.hpp"

#include <gmock/gmock.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include "fresnel/net/tls_testing.hpp"
#include "fresnel/net/websocket_connection.hpp"
#include "fresnel/net/websocket_testing.hpp"

namespace fresnel::net {
namespace {

using net::testing::Authority;
using net::testing::length_bytes;
using net::testing::RawClient;
using net::testing::RawFrame;
using net::testing::run;
using net::testing::run_until;
using net::testing::TlsServer;
using net::testing::TlsStream;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

using Dialled = result<std::unique_ptr<MessageStream>>;

// The response that a handshake's key asks for (RFC 6455 section 4.2.2).
std::string handshake_response(const std::string& request, const std::string& fields) {
  const auto start = request.find("Sec-WebSocket-Key: ") + 19;
  const auto key = request.substr(start, request.find("\r\n", start) - start) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_Digest(key.data(), key.size(), digest.data(), &size, EVP_sha1(), nullptr);
  std::array<unsigned char, 64> text{};
  EVP_EncodeBlock(text.data(), digest.data(), static_cast<int>(size));
  return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
         std::string(reinterpret_cast<const char*>(text.data())) + "\r\n" + fields + "\r\n";
}

std::string server_frame(int opcode, std::string_view payload, bool fin = true) {
  std::string out(1, static_cast<char>((fin ? 0x80 : 0) | opcode));
  out += payload.size() < 126 ? length_bytes(payload.size(), 1) : "\x7e" + length_bytes(payload.size(), 2);
  return out.append(payload);
}

// The next frame of a client; it must be masked and short.
awaitable<RawFrame> read_client_frame(RawClient& peer) {
  const auto head = co_await peer.read_exactly(2);
  const auto size = static_cast<unsigned char>(head[1]) & 0x7Fu;
  if ((head[1] & 0x80) == 0 || size > 125) throw std::runtime_error("not a short masked frame");
  const auto mask = co_await peer.read_exactly(4);
  RawFrame frame;
  frame.opcode = head[0] & 0x0F;
  frame.fin = (head[0] & 0x80) != 0;
  frame.payload = co_await peer.read_exactly(size);
  for (std::size_t i = 0; i < frame.payload.size(); ++i) frame.payload[i] ^= mask[i % 4];
  co_return frame;
}

class WebSocketClientTest : public ::testing::Test {
 protected:
  ~WebSocketClientTest() override {
    client_.reset();
    connection_.reset();
    peer_.close();
    server_.reset();
    io_.restart();
    io_.poll();
  }

  // A real server, for what it does right.
  void start(HttpServer::Handler handler) {
    server_.emplace(io_.get_executor(), clock_, HttpServerOptions(), std::move(handler));
    endpoint_ = server_->listen({"127.0.0.1", 0}).value();
  }
  void start_accepting(WebSocketConnectionOptions options = {}) {
    start([this, options](HttpExchange& exchange) -> awaitable<void> {
      auto accepted = co_await WebSocketConnection::accept(exchange.take_socket(), exchange.request(), clock_, options);
      if (accepted) connection_ = std::move(*accepted);
    });
  }
  awaitable<Dialled> dial(std::string target = "/ws") {
    DialRequest request = request_;
    request.url = "ws://" + endpoint_.to_string() + target;
    co_return co_await dialer_.dial(std::move(request));
  }
  void connect() {
    run(io_, [&]() -> awaitable<void> {
      auto dialled = co_await dial();
      EXPECT_TRUE(dialled) << dialled.error().message;
      if (dialled) client_ = std::move(*dialled);
    });
    run_until(io_, [&] { return connection_ != nullptr; });
  }
  Error dial_error() {
    Error error;
    run(io_, [&]() -> awaitable<void> {
      auto dialled = co_await dial();
      EXPECT_FALSE(dialled);
      if (!dialled) error = dialled.error();
    });
    return error;
  }
  // A peer of raw frames, for what a server does wrong. Afterwards client_ and peer_ are connected, or error_ says why
  // not.
  void connect_raw(std::string fields = "") {
    asio::ip::tcp::acceptor acceptor(io_, {asio::ip::make_address("127.0.0.1"), 0});
    endpoint_ = {"127.0.0.1", acceptor.local_endpoint().port()};
    bool done = false;
    asio::co_spawn(io_, dial(), [&](const std::exception_ptr&, Dialled dialled) {
      if (dialled) client_ = std::move(*dialled);
      if (!dialled) error_ = dialled.error();
      done = true;
    });
    run(io_, [&]() -> awaitable<void> {
      peer_.socket() = co_await acceptor.async_accept(asio::use_awaitable);
      head_ = co_await peer_.read_until("\r\n\r\n");
      auto response = handshake_response(head_, fields);
      co_await peer_.send(std::move(response));
    });
    run_until(io_, [&] { return done; });
  }
  // What read() says after the raw peer has sent `bytes`.
  result<Message> read_after(std::string bytes) {
    result<Message> message;
    run(io_, [&]() -> awaitable<void> {
      co_await peer_.send(std::move(bytes));
      message = co_await client_->read();
    });
    return message;
  }

  asio::io_context io_;
  SteadyClock clock_;
  std::optional<HttpServer> server_;
  Endpoint endpoint_;
  WebSocketDialer dialer_{io_.get_executor()};
  DialRequest request_;
  std::unique_ptr<MessageStream> client_;
  std::shared_ptr<WebSocketConnection> connection_;
  RawClient peer_{io_};
  std::string head_;
  Error error_;
};

TEST_F(WebSocketClientTest, CarriesMessagesBothWaysAtOnce) {
  start_accepting({.max_message = 8u << 20});
  connect();
  const std::string large(3u << 20, 'x');
  bool echoed = false;
  const auto echo = [&]() -> awaitable<void> {
    for (int i = 0; i < 3; ++i) {
      auto message = co_await connection_->read();
      EXPECT_TRUE(message);
      if (!message) co_return;
      const bool binary = message->binary;
      auto& payload = message->payload;
      EXPECT_EQ(binary ? connection_->send_binary(payload) : connection_->send(payload), SendStatus::queued);
    }
    echoed = true;
  };
  asio::co_spawn(io_, echo(), asio::detached);
  std::vector<Message> received;
  const auto receive = [&]() -> awaitable<void> {
    while (received.size() < 3) {
      auto message = co_await client_->read();
      EXPECT_TRUE(message);
      if (!message) co_return;
      received.push_back(std::move(*message));
    }
  };
  asio::co_spawn(io_, receive(), asio::detached);
  run(io_, [&]() -> awaitable<void> {
    for (const auto& [payload, binary] : {std::pair(std::string("text \u00e9"), false), std::pair(std::string(), true),
                                          std::pair(std::string("\xff\0", 2), true)}) {
      Message message;
      message.payload = payload;
      message.binary = binary;
      const auto sent = co_await client_->write(std::move(message));
      EXPECT_TRUE(sent);
    }
  });
  run_until(io_, [&] { return received.size() == 3 && echoed; });
  EXPECT_EQ(received[0].payload, "text \u00e9");
  EXPECT_FALSE(received[0].binary);
  EXPECT_EQ(received[1].payload, "");
  EXPECT_TRUE(received[1].binary);
  EXPECT_EQ(received[2].payload, std::string("\xff\0", 2));
  run(io_, [&]() -> awaitable<void> {
    Message message;
    message.payload = large;
    const auto sent = co_await client_->write(std::move(message));
    EXPECT_TRUE(sent);
    auto arrived = co_await connection_->read();
    EXPECT_EQ(arrived.value().payload, large);
    (void)connection_->send(large);
    arrived = co_await client_->read();
    EXPECT_EQ(arrived.value().payload, large);
  });
}

TEST_F(WebSocketClientTest, SendsTargetHeadersAndSubprotocols) {
  request_.headers.add("Authorization", "Bearer abc");
  request_.headers.add("X-Twice", "1");
  request_.headers.add("X-Twice", "2");
  request_.headers.add("Upgrade", "nonsense");
  request_.protocols = {"first", "second"};
  connect_raw("Sec-WebSocket-Protocol: second\r\n");
  ASSERT_TRUE(client_) << error_.message;
  EXPECT_EQ(client_->protocol(), "second");
  EXPECT_THAT(head_, StartsWith("GET /ws HTTP/1.1\r\n"));
  EXPECT_THAT(head_, HasSubstr("Host: " + endpoint_.to_string() + "\r\n"));
  EXPECT_THAT(head_, HasSubstr("Authorization: Bearer abc\r\n"));
  EXPECT_THAT(head_, HasSubstr("X-Twice: 1\r\nX-Twice: 2\r\n"));
  EXPECT_THAT(head_, HasSubstr("Sec-WebSocket-Protocol: first, second\r\n"));
  EXPECT_THAT(head_, Not(HasSubstr("nonsense")));
}

TEST_F(WebSocketClientTest, RefusesASubprotocolThatItDidNotOffer) {
  connect_raw("Sec-WebSocket-Protocol: other\r\n");
  EXPECT_FALSE(client_);
  EXPECT_EQ(error_.code, Errc::protocol);
}

TEST_F(WebSocketClientTest, RefusesAnExtensionThatItDidNotOffer) {
  connect_raw("Sec-WebSocket-Extensions: permessage-deflate\r\n");
  EXPECT_FALSE(client_);
  EXPECT_EQ(error_.code, Errc::protocol);
  EXPECT_THAT(error_.message, HasSubstr("extension"));
}

TEST_F(WebSocketClientTest, ARefusalCarriesStatusAndTheStartOfTheBody) {
  start([](HttpExchange& exchange) -> awaitable<void> {
    Headers headers;
    std::string body = "pods is\r\nforbidden " + std::string(5000, '.');
    co_await exchange.respond(403, std::move(headers), std::move(body));
  });
  request_.headers.add("Authorization", "Bearer secret");
  const auto error = dial_error();
  EXPECT_EQ(error.code, Errc::forbidden);
  EXPECT_EQ(error.status, 403);
  EXPECT_THAT(error.message, HasSubstr("HTTP 403: pods is  forbidden ...."));
  EXPECT_THAT(error.message, HasSubstr(endpoint_.to_string()));
  EXPECT_THAT(error.message, Not(HasSubstr("secret")));
  EXPECT_LT(error.message.size(), 1000u);
}

TEST_F(WebSocketClientTest, AnAnswerThatIsNoUpgradeIsAProtocolError) {
  start([](HttpExchange& exchange) -> awaitable<void> {
    Headers headers;
    std::string body = "hello";
    co_await exchange.respond(200, std::move(headers), std::move(body));
  });
  EXPECT_EQ(dial_error().code, Errc::protocol);
}

TEST_F(WebSocketClientTest, TellsHowThePeerClosed) {
  struct Case {
    std::string bytes;
    int status;
    std::string text;
  };
  for (const auto& [bytes, status, text] :
       {Case{server_frame(8, length_bytes(4001, 2) + "drain\n"), 4001, "closed: 4001 drain"},
        Case{server_frame(8, ""), 1005, "closed: 1005"}}) {
    connect_raw();
    const auto message = read_after(bytes);
    ASSERT_FALSE(message);
    EXPECT_EQ(message.error().code, Errc::closed);
    EXPECT_EQ(message.error().status, status);
    EXPECT_THAT(message.error().message, HasSubstr(text));
    run(io_, [&]() -> awaitable<void> {
      const auto answer = co_await read_client_frame(peer_);
      EXPECT_EQ(answer.opcode, 8);
      EXPECT_EQ(answer.close_code(), status == 1005 ? 1000 : status);
      const auto late = co_await client_->read();
      EXPECT_EQ(late.error().code, Errc::closed);
      Message unsent;
      const auto sent = co_await client_->write(std::move(unsent));
      EXPECT_EQ(sent.error().code, Errc::closed);
      std::string reason;
      co_await client_->close(1000, std::move(reason));
    });
  }
  connect_raw();
  peer_.close();
  run(io_, [&]() -> awaitable<void> {
    const auto lost = co_await client_->read();
    EXPECT_EQ(lost.error().code, Errc::closed);
    EXPECT_EQ(lost.error().status, 1006);
  });
}

TEST_F(WebSocketClientTest, ClosesInGoodOrderAndEndsAPendingRead) {
  start_accepting();
  connect();
  std::optional<Error> ended;
  std::optional<Error> seen;
  asio::co_spawn(io_, client_->read(), [&](const std::exception_ptr&, result<Message> message) {
    if (!message) ended = message.error();
  });
  asio::co_spawn(io_, connection_->read(), [&](const std::exception_ptr&, result<Message> message) {
    if (!message) seen = message.error();
  });
  run(io_, [&]() -> awaitable<void> {
    std::string reason(122, 'x');
    reason += "\u00e9\u00e9";  // cut between the two bytes of a letter it would not be UTF-8
    co_await client_->close(4000, std::move(reason));
    co_await client_->close(4000, "again");
  });
  run_until(io_, [&] { return ended && seen; });
  EXPECT_EQ(ended->code, Errc::closed);
  EXPECT_EQ(seen->code, Errc::closed);
  EXPECT_EQ(seen->status, 4000);
}

TEST_F(WebSocketClientTest, AbortEndsAPendingReadAndWrite) {
  connect_raw();
  std::optional<Error> read_error;
  std::optional<Error> write_error;
  asio::co_spawn(io_, client_->read(), [&](const std::exception_ptr&, result<Message> message) {
    if (!message) read_error = message.error();
  });
  Message large;
  large.payload.assign(64u << 20, 'x');
  asio::co_spawn(io_, client_->write(std::move(large)), [&](const std::exception_ptr&, result<void> sent) {
    if (!sent) write_error = sent.error();
  });
  run(io_, [&]() -> awaitable<void> { co_await peer_.read_exactly(1); });
  EXPECT_FALSE(read_error || write_error);
  client_->abort();
  run_until(io_, [&] { return read_error && write_error; });
  EXPECT_EQ(read_error->code, Errc::closed);
  EXPECT_EQ(write_error->code, Errc::closed);
}

TEST_F(WebSocketClientTest, DestroyingItEndsAPendingReadAndTheConnection) {
  connect_raw();
  std::optional<Error> read_error;
  asio::co_spawn(io_, client_->read(), [&](const std::exception_ptr&, result<Message> message) {
    if (!message) read_error = message.error();
  });
  io_.restart();
  io_.poll();
  client_.reset();
  run_until(io_, [&] { return read_error.has_value(); });
  run(io_, [&]() -> awaitable<void> {
    const auto rest = co_await peer_.read_to_end();
    EXPECT_EQ(rest, "");
  });
}

TEST_F(WebSocketClientTest, CancellingAReadIsCancelled) {
  connect_raw();
  asio::cancellation_signal cancel;
  std::optional<Error> error;
  asio::co_spawn(io_, client_->read(),
                 asio::bind_cancellation_slot(cancel.slot(), [&](const std::exception_ptr&, result<Message> message) {
                   if (!message) error = message.error();
                 }));
  io_.restart();
  io_.poll();
  cancel.emit(asio::cancellation_type::terminal);
  run_until(io_, [&] { return error.has_value(); });
  EXPECT_EQ(error->code, Errc::cancelled);
}

TEST_F(WebSocketClientTest, JoinsFragmentsAndAnswersPings) {
  connect_raw();
  const auto message = read_after(server_frame(1, "one ", false) + server_frame(9, "ping") +
                                  server_frame(0, "two ", false) + server_frame(0, "three"));
  EXPECT_EQ(message.value().payload, "one two three");
  run(io_, [&]() -> awaitable<void> {
    const auto pong = co_await read_client_frame(peer_);
    EXPECT_EQ(pong, (RawFrame{10, "ping"}));
  });
}

TEST_F(WebSocketClientTest, RefusesWhatBreaksTheProtocol) {
  struct Case {
    std::string bytes;
    Errc code;
    int status;
  };
  request_.max_message = 1000;
  for (const auto& [bytes, code, status] :
       {Case{server_frame(1, "\xff\xfe"), Errc::protocol, 1007}, Case{server_frame(3, ""), Errc::protocol, 1002},
        Case{server_frame(0, "no first"), Errc::protocol, 1002}, Case{"\xc1\x01x", Errc::protocol, 1002},
        Case{server_frame(1, std::string(1001, 'x')), Errc::too_large, 1009},
        Case{server_frame(1, std::string(600, 'x'), false) + server_frame(0, std::string(600, 'x')), Errc::too_large,
             1009}}) {
    connect_raw();
    const auto message = read_after(bytes);
    ASSERT_FALSE(message);
    EXPECT_EQ(message.error().code, code) << message.error().message;
    EXPECT_EQ(message.error().status, status);
    run(io_, [&]() -> awaitable<void> {
      const auto answer = co_await read_client_frame(peer_);
      EXPECT_EQ(answer.close_code(), status);
    });
  }
}

TEST_F(WebSocketClientTest, PingsASilentPeerAndThenGivesUp) {
  dialer_ = WebSocketDialer(io_.get_executor(), {.heartbeat = milliseconds(20)});
  connect_raw();
  const auto message = read_after("");
  ASSERT_FALSE(message);
  EXPECT_EQ(message.error().code, Errc::timeout);
  run(io_, [&]() -> awaitable<void> {
    const auto ping = co_await read_client_frame(peer_);
    EXPECT_EQ(ping.opcode, 9);
  });
}

TEST_F(WebSocketClientTest, ADialHasATimeLimit) {
  asio::ip::tcp::acceptor silent(io_, {asio::ip::make_address("127.0.0.1"), 0});
  endpoint_ = {"127.0.0.1", silent.local_endpoint().port()};
  request_.timeout = milliseconds(20);
  EXPECT_EQ(dial_error().code, Errc::timeout);
}

TEST_F(WebSocketClientTest, SaysWhatIsWrongWithARequest) {
  for (const auto* bad : {"", "ws://", "ftp://host/", "ws://user:pw@host/", "host/path", "ws://host:99999/"}) {
    run(io_, [&]() -> awaitable<void> {
      DialRequest request;
      request.url = bad;
      const auto dialled = co_await dialer_.dial(std::move(request));
      EXPECT_FALSE(dialled) << bad;
      EXPECT_EQ(dialled.error().code, Errc::invalid_argument) << bad << ": " << dialled.error().message;
    });
  }
  request_.headers.add("X-Evil", "a\r\nX-Other: b");
  EXPECT_EQ(dial_error().code, Errc::invalid_argument);
}

awaitable<void> greet(TlsStream& stream) {
  std::string head;
  auto space = asio::dynamic_buffer(head);
  co_await asio::async_read_until(stream, space, "\r\n\r\n", asio::use_awaitable);
  auto answer = handshake_response(head, "") + server_frame(1, "hello " + TlsServer::server_name_of(stream));
  co_await asio::async_write(stream, asio::buffer(answer), asio::use_awaitable);
  std::array<char, 100> rest{};
  co_await stream.async_read_some(asio::buffer(rest), asio::as_tuple(asio::use_awaitable));
}

TEST_F(WebSocketClientTest, SpeaksTls) {
  const Authority authority("trusted");
  TlsServer server(io_, authority.issue("server", "DNS:localhost"), greet);
  run(io_, [&]() -> awaitable<void> {
    DialRequest request;
    request.url = "wss://localhost:" + std::to_string(server.endpoint().port) + "/";
    request.tls = std::make_shared<TlsOptions>(TlsOptions{.ca_pem = authority.pem()});
    auto dialled = co_await dialer_.dial(request);
    EXPECT_TRUE(dialled) << dialled.error().message;
    if (!dialled) co_return;
    const auto message = co_await (*dialled)->read();
    EXPECT_EQ(message.value().payload, "hello localhost");
    request.tls = nullptr;  // the system's roots
    dialled = co_await dialer_.dial(request);
    EXPECT_FALSE(dialled);
    EXPECT_EQ(dialled.error().code, Errc::tls_failed);
  });
}

}  // namespace
}  // namespace fresnel::net

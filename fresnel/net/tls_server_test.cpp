// Servers behind TLS: HTTP and WebSockets, with clients that show a certificate.
#include "fresnel/net/tls_server.hpp"

#include <gmock/gmock.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <optional>

#include "fresnel/net/curl_client.hpp"
#include "fresnel/net/tls_testing.hpp"
#include "fresnel/net/websocket_client.hpp"
#include "fresnel/net/websocket_connection.hpp"

namespace fresnel::net {
namespace {

using net::testing::Authority;
using net::testing::RawClient;
using net::testing::run;
using net::testing::run_until;
using ::testing::HasSubstr;
using ::testing::Not;

class TlsServerTest : public ::testing::Test {
 protected:
  TlsServerTest() {
    const auto identity = authority_.issue("server", "IP:127.0.0.1");
    options_.certificate_pem = identity.cert_pem;
    options_.key_pem = identity.key_pem;
  }
  ~TlsServerTest() override {
    stream_.reset();
    socket_.reset();
    server_.reset();
    client_.reset();
    io_.restart();
    io_.poll();
  }
  void start() {
    HttpServerOptions options;
    options.tls = TlsServer::make(options_).value();
    options.header_timeout = seconds(5);
    server_.emplace(io_.get_executor(), clock_, options, [this](HttpExchange& exchange) { return handle(exchange); });
    endpoint_ = server_->listen({"127.0.0.1", 0}).value();
  }
  // Answers with the client's subject and the body; opens a WebSocket when asked to.
  awaitable<void> handle(HttpExchange& exchange) {
    if (exchange.request().upgrade) {
      auto taken = exchange.take_socket();
      taken.socket.set_option(asio::socket_base::send_buffer_size(4096));
      WebSocketConnectionOptions options;
      options.max_message = 16u << 20;
      auto accepted = co_await WebSocketConnection::accept(std::move(taken), exchange.request(), clock_, options);
      if (accepted) socket_ = *std::move(accepted);
      co_return;
    }
    const auto& certificate = exchange.request().certificate;
    Headers headers;
    std::string body = certificate ? certificate->subject + " (" + certificate->common_name + ") " : "nobody ";
    body += exchange.request().body;
    co_await exchange.respond(200, std::move(headers), std::move(body));
  }
  TlsOptions trusting() const { return {.ca_pem = authority_.pem()}; }
  TlsOptions shown(const net::testing::Identity& identity) const {
    return {.ca_pem = authority_.pem(), .client_cert_pem = identity.cert_pem, .client_key_pem = identity.key_pem};
  }
  result<std::string> ask(const TlsOptions& tls, std::string body = "") {
    HttpRequest request;
    request.method = "POST";
    request.url = "https://" + endpoint_.to_string() + "/";
    request.body = std::move(body);
    request.tls = std::make_shared<TlsOptions>(tls);
    result<std::string> answer;
    run(io_, [&]() -> awaitable<void> {
      auto opened = co_await client_->open(request);
      if (!opened) {
        answer = opened.error();
        co_return;
      }
      const auto response = *std::move(opened);
      answer = co_await read_all(*response, 64u << 20);
    });
    return answer;
  }
  void connect() {
    DialRequest request;
    request.url = "wss://" + endpoint_.to_string() + "/";
    request.tls = std::make_shared<TlsOptions>(trusting());
    run(io_, [&]() -> awaitable<void> {
      auto dialling = dialer_.dial(request);
      auto dialled = co_await std::move(dialling);
      if (dialled) stream_ = *std::move(dialled);
    });
    run_until(io_, [this] { return socket_ != nullptr; });
  }

  Authority authority_{"trusted"};
  Authority clients_{"clients"};
  TlsServerOptions options_;
  SteadyClock clock_;
  asio::io_context io_;
  std::optional<HttpServer> server_;
  Endpoint endpoint_;
  std::optional<CurlClient> client_{std::in_place, io_.get_executor()};
  WebSocketDialer dialer_{io_.get_executor()};
  std::shared_ptr<WebSocketConnection> socket_;
  std::unique_ptr<MessageStream> stream_;
};

TEST_F(TlsServerTest, AnswersRequestsOfAnySize) {
  start();
  EXPECT_EQ(ask(trusting()).value(), "nobody ");
  const std::string large(3u << 20, 'x');
  EXPECT_EQ(ask(trusting(), large).value(), "nobody " + large);
  EXPECT_EQ(ask(trusting()).value(), "nobody ") << "on the same connection";
  EXPECT_FALSE(ask({.ca_pem = clients_.pem()})) << "the client trusts another authority";
}

TEST_F(TlsServerTest, KnowsAClientByItsCertificate) {
  options_.client_ca_pem = clients_.pem();
  start();
  EXPECT_EQ(ask(shown(clients_.issue("ada"))).value(), "CN=ada (ada) ");
  EXPECT_EQ(ask(trusting()).value(), "nobody ") << "it may do without";
  const auto stranger = ask(shown(authority_.issue("eve")));
  EXPECT_FALSE(stranger) << *stranger;
}

TEST_F(TlsServerTest, MayRequireACertificate) {
  options_.client_ca_pem = clients_.pem();
  options_.require_client_certificate = true;
  start();
  EXPECT_FALSE(ask(trusting()));
  EXPECT_TRUE(ask(shown(clients_.issue("ada"))));
}

TEST_F(TlsServerTest, CarriesWebSocketsThroughNarrowSockets) {
  start();
  connect();
  ASSERT_TRUE(stream_);
  // Small frames, then more than the kernel and 80 KiB of ciphertext hold, then small ones again: in order and whole.
  std::vector<std::string> texts;
  for (int i = 0; i < 100; ++i) texts.push_back("small " + std::to_string(i));
  texts.emplace_back(5u << 20, 'l');
  texts.emplace_back(16'384, 'r');
  for (int i = 0; i < 1000; ++i) texts.push_back(std::string(static_cast<std::size_t>(i), 'm'));
  for (const auto& text : texts) ASSERT_NE(socket_->send(text), SendStatus::closed);
  std::vector<std::string> seen;
  run(io_, [&]() -> awaitable<void> {
    while (seen.size() < texts.size()) {
      auto reading = stream_->read();
      auto message = co_await std::move(reading);
      if (!message) co_return;
      seen.push_back(std::move(message->payload));
    }
  });
  EXPECT_TRUE(seen == texts) << seen.size() << " of " << texts.size();
  std::string back(4u << 20, 'b');
  result<Message> received;
  run(io_, [&]() -> awaitable<void> {
    Message message{back};
    auto writing = stream_->write(std::move(message));
    asio::co_spawn(io_, std::move(writing), asio::detached);
    auto reading = socket_->read();
    received = co_await std::move(reading);
  });
  EXPECT_TRUE(received && received->payload == back);
}

TEST_F(TlsServerTest, AWebSocketEndsWithItsCloseHandshake) {
  start();
  connect();
  ASSERT_TRUE(stream_);
  result<Message> end;
  run(io_, [&]() -> awaitable<void> {
    EXPECT_NE(socket_->send(std::string(1u << 20, 'l')), SendStatus::closed);
    std::string reason = "enough";
    auto closing = socket_->close(4000, std::move(reason));
    asio::co_spawn(io_, std::move(closing), asio::detached);
    do {
      auto reading = stream_->read();
      end = co_await std::move(reading);
    } while (end);
  });
  EXPECT_EQ(end.error().status, 4000) << "behind everything that was sent before";
}

TEST_F(TlsServerTest, AnAbortDropsWhatWaitsAsCiphertext) {
  start();
  connect();
  ASSERT_TRUE(stream_);
  ASSERT_NE(socket_->send(std::string(8u << 20, 'l')), SendStatus::closed);
  io_.restart();
  io_.poll();  // as much as the kernel takes
  socket_->abort();
  result<Message> end;
  run(io_, [&]() -> awaitable<void> {
    auto reading = stream_->read();
    end = co_await std::move(reading);
  });
  EXPECT_EQ(end.error().status, 1006);
}

// TLS uses the descriptor's number itself: once the socket is closed another connection may have that.
TEST_F(TlsServerTest, AClosedSocketTouchesNoOtherThatGetsItsDescriptor) {
  const auto tls = TlsServer::make(options_).value();
  asio::ip::tcp::acceptor acceptor(io_, {asio::ip::make_address("127.0.0.1"), 0});
  asio::ip::tcp::socket peer(io_);
  peer.connect(acceptor.local_endpoint());
  ServerSocket socket(acceptor.accept(), *tls);
  const int descriptor = socket.native_handle();
  const std::string text = "text";
  std::array<char, 16> into{};
  std::vector<error_code> outcomes;
  socket.async_handshake([&](error_code error) { outcomes.push_back(error); });
  socket.async_write_some(asio::buffer(text), [&](error_code error, std::size_t) { outcomes.push_back(error); });
  error_code ignored;
  socket.close(ignored);
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair.data()), 0);
  ASSERT_TRUE(pair[0] == descriptor || pair[1] == descriptor);
  const int other = pair[0] == descriptor ? pair[1] : pair[0];
  ASSERT_EQ(::send(other, "another's", 9, 0), 9);
  io_.restart();
  io_.poll();
  EXPECT_EQ(outcomes.size(), 2u);
  for (const auto& outcome : outcomes) EXPECT_EQ(outcome, asio::error::bad_descriptor);
  EXPECT_EQ(::recv(other, into.data(), into.size(), 0), -1) << "nothing was written";
  EXPECT_EQ(::recv(descriptor, into.data(), into.size(), 0), 9) << "nothing was read";
  ::close(pair[0]);
  ::close(pair[1]);
}

TEST_F(TlsServerTest, WhoSpeaksNoTlsIsDropped) {
  start();
  RawClient client(io_);
  std::string answer;
  run(io_, [&]() -> awaitable<void> {
    auto endpoint = endpoint_;
    co_await client.connect(std::move(endpoint));
    co_await client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    answer = co_await client.read_to_end();
  });
  EXPECT_THAT(answer, Not(HasSubstr("HTTP")));
  run_until(io_, [this] { return server_->connections() == 0; });
}

TEST_F(TlsServerTest, OptionsThatCannotBeUsedAreRefused) {
  const auto message = [](const TlsServerOptions& options) {
    const auto made = TlsServer::make(options);
    return made ? std::string() : made.error().message;
  };
  auto bad = options_;
  bad.certificate_pem = "nonsense";
  EXPECT_THAT(message(bad), HasSubstr("the server's certificate cannot be read"));
  bad = options_;
  bad.key_pem = clients_.issue("other").key_pem;
  EXPECT_THAT(message(bad), HasSubstr("the server's key cannot be read or is not the certificate's"));
  bad = options_;
  bad.client_ca_pem = "nonsense";
  EXPECT_THAT(message(bad), HasSubstr("authority"));
}

}  // namespace
}  // namespace fresnel::net

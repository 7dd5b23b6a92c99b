#include "fresnel/websocket/websocket_manager.hpp"

#include <gmock/gmock.h>

#include <boost/asio/detached.hpp>
#include <boost/json/parse.hpp>
#include <deque>
#include <optional>

#include "fresnel/net/websocket_testing.hpp"

namespace fresnel::websocket {
namespace {

using net::HttpExchange;
using net::WebSocketConnection;
using net::testing::client_close;
using net::testing::client_frame;
using net::testing::handshake_request;
using net::testing::RawClient;
using net::testing::read_frame;
using net::testing::run;
using net::testing::run_until;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

class WebSocketManagerTest : public ::testing::Test {
 protected:
  ~WebSocketManagerTest() override {
    server_.reset();
    manager_.reset();
    sockets_.clear();
    io_.restart();
    io_.poll();
  }

  void start(WebSocketManagerOptions options = {}, WebSocketManager::Counter counter = nullptr) {
    manager_.emplace(clock_, std::move(options), std::move(counter));
    server_.emplace(io_.get_executor(), clock_, net::HttpServerOptions(),
                    [this](HttpExchange& exchange) { return handle(exchange); });
    endpoint_ = server_->listen({"127.0.0.1", 0}).value();
  }
  awaitable<void> handle(HttpExchange& exchange) {
    auto accepted = co_await manager_->accept(exchange);
    if (accepted) {
      sockets_.push_back(*accepted);
      asio::co_spawn(io_, read_to_the_end(*accepted), asio::detached);
    } else {
      errors_.push_back(accepted.error());
    }
  }
  static awaitable<void> read_to_the_end(std::shared_ptr<WebSocketConnection> socket) {
    while (auto message = co_await socket->read()) {
    }
  }

  // A new client and the server's response: its header, and its body when it has a length.
  std::string connect(std::string request = handshake_request()) {
    clients_.emplace_back(io_);
    std::string response;
    run(io_, [&]() -> awaitable<void> {
      auto& client = clients_.back();
      co_await client.connect(endpoint_);
      co_await client.send(std::move(request));
      response = co_await client.read_until("\r\n\r\n");
      if (!response.starts_with("HTTP/1.1 101")) response += co_await client.read_until("}");
    });
    if (response.starts_with("HTTP/1.1 101")) {
      run_until(io_, [&] { return open_ < sockets_.size(); });
      open_ = sockets_.size();
    }
    return response;
  }
  static boost::json::object body_of(const std::string& response) {
    return boost::json::parse(response.substr(response.find("\r\n\r\n") + 4)).as_object();
  }

  ManualClock clock_;
  asio::io_context io_;
  std::optional<WebSocketManager> manager_;
  std::optional<net::HttpServer> server_;
  net::Endpoint endpoint_;
  std::deque<RawClient> clients_;
  std::vector<std::shared_ptr<WebSocketConnection>> sockets_;
  std::size_t open_ = 0;
  std::vector<Error> errors_;
};

TEST_F(WebSocketManagerTest, AcceptsAndRegisters) {
  start();
  EXPECT_THAT(connect(), StartsWith("HTTP/1.1 101 "));
  EXPECT_THAT(connect(), StartsWith("HTTP/1.1 101 "));
  EXPECT_EQ(manager_->get_active_connections(), sockets_);
  EXPECT_EQ(manager_->active_count(), 2u);
  sockets_[0]->abort();
  EXPECT_THAT(manager_->get_active_connections(), testing::ElementsAre(sockets_[1]));
}

TEST_F(WebSocketManagerTest, ForgetsAConnectionThatThePeerClosed) {
  start();
  connect();
  run(io_, [&]() -> awaitable<void> {
    co_await clients_[0].send(client_close(1000));
    co_await read_frame(clients_[0]);
  });
  clients_[0].close();
  run_until(io_, [&] { return manager_->active_count() == 0; });
  EXPECT_THAT(manager_->get_active_connections(), IsEmpty());
}

TEST_F(WebSocketManagerTest, RefusesAForeignOriginBeforeTheUpgrade) {
  start({.allowed_origins = {"https://friend.example"}});
  const auto response = connect(handshake_request("Origin: https://evil.example\r\n"));
  EXPECT_THAT(response, StartsWith("HTTP/1.1 403 "));
  EXPECT_THAT(response, Not(HasSubstr("evil.example")));
  EXPECT_EQ(body_of(response).at("code"), 403);
  EXPECT_EQ(body_of(response).at("reason"), "Forbidden");
  run_until(io_, [&] { return !errors_.empty(); });
  EXPECT_EQ(errors_.back().code, Errc::forbidden);
  EXPECT_EQ(errors_.back().status, 403);
  EXPECT_THAT(connect(handshake_request("Origin: null\r\n")), StartsWith("HTTP/1.1 403 "));
  EXPECT_THAT(connect(handshake_request("Origin: http://127.0.0.1\r\nOrigin: https://evil.example\r\n")),
              StartsWith("HTTP/1.1 403 "));
  EXPECT_THAT(connect(handshake_request("Origin: https://friend.example\r\n")), StartsWith("HTTP/1.1 101 "));
  EXPECT_THAT(connect(handshake_request("Origin: http://127.0.0.1\r\n")), StartsWith("HTTP/1.1 101 "));
}

TEST_F(WebSocketManagerTest, RefusesWhatIsNoHandshake) {
  start();
  const std::string key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  const std::string upgrade = "Host: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n";
  const std::string version = "Sec-WebSocket-Version: 13\r\n";
  EXPECT_THAT(connect("POST / HTTP/1.1\r\n" + upgrade + version + key + "\r\n"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(connect("GET / HTTP/1.1\r\n" + upgrade + version + "\r\n"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(connect("GET / HTTP/1.1\r\n" + upgrade + version + "Sec-WebSocket-Key: short\r\n\r\n"),
              StartsWith("HTTP/1.1 400 "));
  for (const auto& request :
       {"GET / HTTP/1.1\r\n" + upgrade + "Sec-WebSocket-Version: 8\r\n" + key + "\r\n",
        "GET / HTTP/1.1\r\n" + upgrade + key + "\r\n", "GET / HTTP/1.1\r\nHost: h\r\n" + version + key + "\r\n"}) {
    const auto response = connect(request);
    EXPECT_THAT(response, StartsWith("HTTP/1.1 426 "));
    EXPECT_THAT(response, HasSubstr("ec-"));
    EXPECT_THAT(response, HasSubstr("13\r\n"));
    EXPECT_EQ(body_of(response).at("code"), 426);
  }
  EXPECT_THAT(connect("GET / HTTP/1.1\r\n" + upgrade + version + key + "\r\n"), StartsWith("HTTP/1.1 101 "));
}

TEST_F(WebSocketManagerTest, RefusesWhatExceedsMaxConnectionsOfAllThreads) {
  const auto counter = std::make_shared<std::atomic<std::size_t>>(0);
  start({.max_connections = 3, .retry_after = seconds(7)}, counter);
  counter->fetch_add(1);  // another thread's
  connect();
  connect();
  const auto response = connect();
  EXPECT_THAT(response, StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(response, HasSubstr("etry-"));
  EXPECT_THAT(response, HasSubstr(": 7\r\n"));
  EXPECT_EQ(body_of(response).at("reason"), "ServiceUnavailable");
  EXPECT_EQ(counter->load(), 3u);
  sockets_[0]->abort();
  EXPECT_EQ(counter->load(), 2u);
  EXPECT_THAT(connect(), StartsWith("HTTP/1.1 101 "));
}

TEST_F(WebSocketManagerTest, SelectsAProtocolNeverACredential) {
  start({.protocols = {"v2.chat", "v1.chat", "base64url.bearer.secret"}});
  EXPECT_THAT(connect(handshake_request("Sec-WebSocket-Protocol: other, v1.chat\r\n"
                                        "Sec-WebSocket-Protocol: v2.chat,base64url.bearer.secret\r\n")),
              HasSubstr("Sec-WebSocket-Protocol: v2.chat\r\n"));
  EXPECT_EQ(sockets_.back()->protocol(), "v2.chat");
  EXPECT_THAT(connect(handshake_request("Sec-WebSocket-Protocol: base64url.bearer.secret\r\n")),
              Not(HasSubstr("Sec-WebSocket-Protocol")));
  EXPECT_EQ(sockets_.back()->protocol(), "");
  EXPECT_THAT(connect(handshake_request("Sec-WebSocket-Protocol: V1.CHAT\r\n")),
              Not(HasSubstr("Sec-WebSocket-Protocol")));
}

TEST_F(WebSocketManagerTest, PassesItsLimitsOn) {
  start({.max_message = 10});
  connect();
  run(io_, [&]() -> awaitable<void> {
    co_await clients_[0].send(client_frame(1, "eleven byte"));
    const auto frame = co_await read_frame(clients_[0]);
    EXPECT_EQ(frame.close_code(), 1009);
  });
}

TEST_F(WebSocketManagerTest, CloseTellsAllAndLetsNobodyIn) {
  start();
  for (int i = 0; i < 3; ++i) connect();
  bool closed = false;
  asio::co_spawn(io_, manager_->close(1001, "restart"), [&](std::exception_ptr) { closed = true; });
  for (auto& client : clients_) {
    EXPECT_FALSE(closed);
    run(io_, [&]() -> awaitable<void> {
      const auto frame = co_await read_frame(client);
      EXPECT_EQ(frame.close_code(), 1001);
      EXPECT_EQ(frame.payload.substr(2), "restart");
      co_await client.send(client_close(1001));
      co_await client.read_to_end();
    });
    client.close();
  }
  run_until(io_, [&] { return closed; });
  EXPECT_EQ(manager_->active_count(), 0u);
  EXPECT_THAT(connect(), StartsWith("HTTP/1.1 503 "));
}

TEST_F(WebSocketManagerTest, CloseGivesUpOnClientsThatDoNotAnswer) {
  start({.close_timeout = milliseconds(20)});
  for (int i = 0; i < 3; ++i) connect();
  run(io_, [&]() -> awaitable<void> { co_await manager_->close(); });
  EXPECT_EQ(manager_->active_count(), 0u);
}

TEST_F(WebSocketManagerTest, ConnectionsMayOutliveTheManager) {
  const auto counter = std::make_shared<std::atomic<std::size_t>>(0);
  start({}, counter);
  connect();
  server_.reset();
  manager_.reset();
  EXPECT_TRUE(sockets_[0]->is_open());
  sockets_[0]->abort();
  EXPECT_EQ(counter->load(), 0u);
}

TEST(WebSocketManager, RefusesToStartWithAMalformedOrigin) {
  ManualClock clock;
  WebSocketManagerOptions options;
  options.allowed_origins = {"nonsense"};
  EXPECT_THROW(WebSocketManager(clock, options), std::runtime_error);
}

}  // namespace
}  // namespace fresnel::websocket

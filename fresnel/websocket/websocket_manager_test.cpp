#include "fresnel/websocket/websocket_manager.hpp"

#include <gmock/gmock.h>

#include <boost/asio/detached.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/json/parse.hpp>
#include <deque>
#include <optional>

#include "fresnel/net/websocket_testing.hpp"

namespace fresnel::websocket {
namespace {

using net::HttpExchange;
using net::testing::client_close;
using net::testing::client_frame;
using net::testing::handshake_request;
using net::testing::RawClient;
using net::testing::RawFrame;
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
    manager_.emplace(io_.get_executor(), clock_, std::move(options), std::move(counter));
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
  static awaitable<void> read_to_the_end(std::shared_ptr<Socket> socket) {
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
  std::vector<std::shared_ptr<Socket>> sockets_;
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
  const auto right = "GET / HTTP/1.1\r\n" + upgrade + version + key;
  EXPECT_THAT(connect(right + key + "\r\n"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(connect(right + version + "\r\n"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(connect(right + "\r\n"), StartsWith("HTTP/1.1 101 "));
  const auto offering = [&](const std::string& extensions) {
    return connect(right + "Sec-WebSocket-Extensions: " + extensions + "\r\n\r\n").substr(0, 12);
  };
  for (const auto* bad : {"x junk", "x; a=1 junk", "x;;", "x; a=", "x; a=\"\"", "x; a=\\15", "x; a=\"b c\"", "=",
                          "x; a=\"b", "x; a=\"b\\", ";a"}) {
    EXPECT_EQ(offering(bad), "HTTP/1.1 400") << bad;
  }
  for (const auto* good :
       {"x", "x ; a ; b=1, , y", "x;a=\"\\15\"", ",x", "permessage-deflate; client_max_window_bits"}) {
    EXPECT_EQ(offering(good), "HTTP/1.1 101") << good;
  }
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
  EXPECT_EQ(sockets_.back()->context().protocol, "v2.chat");
  EXPECT_THAT(connect(handshake_request("Sec-WebSocket-Protocol: base64url.bearer.secret\r\n")),
              Not(HasSubstr("Sec-WebSocket-Protocol")));
  EXPECT_EQ(sockets_.back()->context().protocol, "");
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

TEST_F(WebSocketManagerTest, RefusesToStartWithAMalformedOrigin) {
  WebSocketManagerOptions options;
  options.allowed_origins = {"nonsense"};
  EXPECT_THROW(WebSocketManager(io_.get_executor(), clock_, options), std::runtime_error);
}

TEST_F(WebSocketManagerTest, IdsAreUniqueAndFindTheirSocket) {
  start();
  connect();
  connect();
  EXPECT_NE(sockets_[0]->id(), sockets_[1]->id());
  EXPECT_EQ(manager_->find(sockets_[1]->id()), sockets_[1]);
  WebSocketManager other(io_.get_executor(), clock_, {});
  EXPECT_EQ(other.find(sockets_[1]->id()), nullptr);
  for (const auto* id : {"", "-", "1", "99999999999999999999999999"}) EXPECT_EQ(manager_->find(id), nullptr);
  const auto prefix = sockets_[0]->id().substr(0, sockets_[0]->id().find('-') + 1);
  for (const auto* rest : {"", "x", "-1", "99999999999999999999999999", "3"}) {
    EXPECT_EQ(manager_->find(prefix + rest), nullptr) << rest;
  }
}

TEST_F(WebSocketManagerTest, ABroadcastReachesThoseThatTheFilterLetsThrough) {
  start();
  for (int i = 0; i < 3; ++i) connect();
  const auto second = sockets_[1]->id();
  const auto to_others = manager_->broadcast(OutboundMessage::text("for the others"),
                                             [&](const ConnectionContext& context) { return context.id != second; });
  EXPECT_EQ(to_others, (Delivery{.queued = 2, .skipped = 1}));
  EXPECT_EQ(manager_->broadcast(OutboundMessage::json({{"to", "all"}})), (Delivery{.queued = 3}));
  sockets_[2]->abort();
  EXPECT_EQ(manager_->broadcast(OutboundMessage::binary("bytes")), (Delivery{.queued = 2}));
  run(io_, [&]() -> awaitable<void> {
    {
      const auto frame = co_await read_frame(clients_[0]);
      EXPECT_EQ(frame, (RawFrame{1, "for the others"}));
    }
    for (int i = 0; i < 2; ++i) {
      {
        const auto frame = co_await read_frame(clients_[i]);
        EXPECT_EQ(frame, (RawFrame{1, R"({"to":"all"})"}));
      }
      {
        const auto frame = co_await read_frame(clients_[i]);
        EXPECT_EQ(frame, (RawFrame{2, "bytes"}));
      }
    }
  });
}

TEST_F(WebSocketManagerTest, ListenServesByCallbacks) {
  manager_.emplace(io_.get_executor(), clock_, WebSocketManagerOptions());
  std::vector<std::string> told;
  manager_->on_open([&](const auto& socket) { told.push_back("open " + std::to_string(socket->is_open())); });
  manager_->on_message([&](const auto& socket, net::Message message) {
    told.push_back("message " + message.payload);
    socket->send("echo " + message.payload);
  });
  manager_->on_close([&](const ConnectionContext& context, int code, const std::string& reason) {
    EXPECT_FALSE(context.id.empty());
    told.push_back("close " + std::to_string(code) + " " + reason);
  });
  endpoint_ = manager_->listen({"127.0.0.1", 0}).value();
  clients_.emplace_back(io_);
  run(io_, [&]() -> awaitable<void> {
    auto& client = clients_.back();
    co_await client.connect(endpoint_);
    co_await client.send(handshake_request());
    co_await client.read_until("\r\n\r\n");
    co_await client.send(client_frame(1, "hello"));
    {
      const auto frame = co_await read_frame(client);
      EXPECT_EQ(frame, (RawFrame{1, "echo hello"}));
    }
    co_await client.send(client_close(4000, "enough"));
    {
      const auto frame = co_await read_frame(client);
      EXPECT_EQ(frame.close_code(), 4000);
    }
  });
  clients_.back().close();
  run_until(io_, [&] { return told.size() == 3; });
  EXPECT_THAT(told, testing::ElementsAre("open 1", "message hello",
                                         "close 4000 the peer closed the WebSocket with code 4000: enough"));
  EXPECT_EQ(manager_->active_count(), 0u);
}

TEST_F(WebSocketManagerTest, NoCallbackComesAfterTheManagersEnd) {
  manager_.emplace(io_.get_executor(), clock_, WebSocketManagerOptions());
  int calls = 0;
  manager_->on_message([&](const auto&, const net::Message&) { ++calls; });
  manager_->on_close([&](const ConnectionContext&, int, const std::string&) { ++calls; });
  manager_->on_error([&](const std::string&, const Error&) { ++calls; });
  endpoint_ = manager_->listen({"127.0.0.1", 0}).value();
  clients_.emplace_back(io_);
  run(io_, [&]() -> awaitable<void> {
    auto& client = clients_.back();
    co_await client.connect(endpoint_);
    co_await client.send(handshake_request());
    co_await client.read_until("\r\n\r\n");
  });
  manager_.reset();
  run(io_, [&]() -> awaitable<void> { co_await clients_.back().read_to_end(); });
  EXPECT_EQ(calls, 0);
}

TEST_F(WebSocketManagerTest, ListenWithoutAReaderNoticesTheEndAllTheSame) {
  manager_.emplace(io_.get_executor(), clock_, WebSocketManagerOptions());
  endpoint_ = manager_->listen({"127.0.0.1", 0}).value();
  clients_.emplace_back(io_);
  run(io_, [&]() -> awaitable<void> {
    auto& client = clients_.back();
    co_await client.connect(endpoint_);
    co_await client.send(handshake_request());
    co_await client.read_until("\r\n\r\n");
    co_await client.send(client_frame(1, "read and forgotten"));
  });
  EXPECT_EQ(manager_->active_count(), 1u);
  clients_.back().close();
  run_until(io_, [&] { return manager_->active_count() == 0; });
}

TEST_F(WebSocketManagerTest, ACallbackThatThrowsEndsItsConnectionOnly) {
  start();
  std::vector<std::string> errors;
  manager_->on_message([](const auto&, const net::Message&) { throw std::runtime_error("a fault of the program"); });
  manager_->on_error([&](const std::string&, const Error& error) { errors.push_back(error.message); });
  endpoint_ = manager_->listen({"127.0.0.1", 0}).value();
  clients_.emplace_back(io_);
  run(io_, [&]() -> awaitable<void> {
    auto& client = clients_.back();
    co_await client.connect(endpoint_);
    co_await client.send(handshake_request());
    co_await client.read_until("\r\n\r\n");
    co_await client.send(client_frame(1, "hello"));
    {
      const auto frame = co_await read_frame(client);
      EXPECT_EQ(frame.close_code(), 1011);
    }
  });
  EXPECT_THAT(errors, testing::ElementsAre("a fault of the program"));
}

TEST_F(WebSocketManagerTest, OnErrorTellsOfRefusalsAndBrokenConnections) {
  start();
  std::vector<Errc> errors;
  int closed = 0;
  manager_->on_error([&](const std::string& peer, const Error& error) {
    EXPECT_THAT(peer, StartsWith("127.0.0.1:"));
    errors.push_back(error.code);
  });
  manager_->on_close([&](const ConnectionContext&, int code, const std::string&) {
    EXPECT_EQ(code, 1002);
    ++closed;
  });
  connect(handshake_request("Origin: https://evil.example\r\n"));
  EXPECT_THAT(errors, testing::ElementsAre(Errc::forbidden));
  connect();
  run(io_, [&]() -> awaitable<void> {
    co_await clients_.back().send("\xFF\x80\x01\x02\x03\x04");
    const auto frame = co_await read_frame(clients_.back());
    EXPECT_EQ(frame.close_code(), 1002);
  });
  clients_.back().close();
  run_until(io_, [&] { return closed == 1; });
  EXPECT_THAT(errors, testing::ElementsAre(Errc::forbidden, Errc::protocol));
}

// --- in a server on Boost.Beast

TEST_F(WebSocketManagerTest, AcceptsWhatABeastServerHasRead) {
  namespace http = boost::beast::http;
  WebSocketManagerOptions options;
  options.allowed_origins = {"https://friend.example"};
  manager_.emplace(io_.get_executor(), clock_, options);
  asio::ip::tcp::acceptor acceptor(io_, {asio::ip::make_address("127.0.0.1"), 0});
  std::vector<unsigned> statuses;
  const auto serve_one = [&]() -> awaitable<void> {
    auto socket = co_await acceptor.async_accept(asio::use_awaitable);
    boost::beast::tcp_stream stream(std::move(socket));
    boost::beast::flat_buffer buffer;
    http::request<http::string_body> request;
    co_await http::async_read(stream, buffer, request, asio::use_awaitable);
    AcceptOptions accept;
    accept.attributes = {{"room", "7"}};
    auto accepting = manager_->accept(stream, request, std::move(accept));
    auto accepted = co_await std::move(accepting);
    statuses.push_back(accepted.response.result_int());
    if (accepted) {
      EXPECT_EQ(accepted.context.attributes.at("room"), "7");
      EXPECT_THAT(accepted.context.peer, StartsWith("127.0.0.1:"));
      sockets_.push_back(accepted.socket);
      accepted.socket->send("welcome");
    } else {
      co_await http::async_write(stream, accepted.response, asio::use_awaitable);
    }
  };
  const net::Endpoint endpoint{"127.0.0.1", acceptor.local_endpoint().port()};
  for (const auto* origin : {"https://friend.example", "https://evil.example"}) {
    asio::co_spawn(io_, serve_one(), asio::detached);
    clients_.emplace_back(io_);
    run(io_, [&]() -> awaitable<void> {
      auto& client = clients_.back();
      co_await client.connect(endpoint);
      co_await client.send(handshake_request(std::string("Origin: ") + origin + "\r\n"));
      const auto head = co_await client.read_until("\r\n\r\n");
      if (head.starts_with("HTTP/1.1 101")) {
        {
          const auto frame = co_await read_frame(client);
          EXPECT_EQ(frame, (RawFrame{1, "welcome"}));
        }
      } else {
        EXPECT_THAT(head, HasSubstr("Content-Length: "));
        const auto body = co_await client.read_until("}");
        EXPECT_EQ(body_of(head + body).at("code"), 403);
      }
    });
  }
  EXPECT_THAT(statuses, testing::ElementsAre(101u, 403u));
  EXPECT_EQ(manager_->active_count(), 1u);
}

}  // namespace
}  // namespace fresnel::websocket

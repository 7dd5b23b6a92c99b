#include "fresnel/net/http_server.hpp"

#include <gmock/gmock.h>

#include "fresnel/net/testing.hpp"

namespace fresnel::net {
namespace {

using net::testing::Gate;
using net::testing::RawClient;
using net::testing::run;
using net::testing::run_until;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class HttpServerTest : public ::testing::Test {
 protected:
  ~HttpServerTest() override {
    server_.reset();
    io_.restart();
    io_.poll();  // what was cancelled unwinds while the clock is still there
  }

  void start(HttpServer::Handler handler, HttpServerOptions options = {}) {
    server_.emplace(io_.get_executor(), clock_, options, std::move(handler));
    const auto bound = server_->listen({"127.0.0.1", 0});
    ASSERT_TRUE(bound) << bound.error().message;
    endpoint_ = *bound;
  }

  // Sends `text` on a connection of its own and returns all that comes until the server closes.
  std::string talk(std::string text) {
    std::string answer;
    run(io_, [&]() -> awaitable<void> {
      RawClient client(io_);
      co_await client.connect(endpoint_);
      co_await client.send(std::move(text));
      answer = co_await client.read_to_end();
    });
    return answer;
  }

  asio::io_context io_;
  ManualClock clock_;
  std::optional<HttpServer> server_;
  Endpoint endpoint_;
};

awaitable<void> answer_ok(HttpExchange& exchange) {
  Headers headers;
  headers.add("content-type", "text/plain");
  const auto& request = exchange.request();
  std::string body = request.method + " " + request.target + " " + request.body;
  co_await exchange.respond(200, std::move(headers), std::move(body));
}

TEST(Endpoint, ParsesHostsAndPorts) {
  EXPECT_EQ(Endpoint::parse("127.0.0.1:80")->host, "127.0.0.1");
  EXPECT_EQ(Endpoint::parse("example.com:4466")->port, 4466);
  EXPECT_EQ(Endpoint::parse("[::1]:8080")->host, "::1");
  EXPECT_EQ(Endpoint::parse("[::1]:8080")->to_string(), "[::1]:8080");
  EXPECT_EQ(Endpoint::parse("0.0.0.0:0")->port, 0);
  for (const auto* bad :
       {"", "host", "host:", ":80", "host:65536", "host:70000", "host:131152", "host:x", "a b:1", "u@h:1", "::1:80"}) {
    const auto parsed = Endpoint::parse(bad);
    ASSERT_FALSE(parsed) << bad;
    EXPECT_EQ(parsed.error().code, Errc::invalid_argument);
    EXPECT_THAT(parsed.error().message, HasSubstr("host:port"));
  }
}

TEST(ServerRequest, SplitsItsTarget) {
  ServerRequest request;
  request.target = "/a%20b?x=1?2";
  EXPECT_EQ(request.path(), "/a%20b");
  EXPECT_EQ(request.query(), "x=1?2");
  request.target = "/plain";
  EXPECT_EQ(request.path(), "/plain");
  EXPECT_EQ(request.query(), "");
}

TEST_F(HttpServerTest, AnswersSeveralRequestsOnOneConnection) {
  start(answer_ok);
  const auto answer = talk(
      "GET /one HTTP/1.1\r\nHost: x\r\n\r\n"
      "POST /two HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
      "GET /three HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ndate: "));
  EXPECT_THAT(answer, HasSubstr("\r\n\r\nGET /one HTTP/1.1 200 OK"));
  EXPECT_THAT(answer, HasSubstr("\r\n\r\nPOST /two bodyHTTP/1.1 200 OK"));
  EXPECT_THAT(answer, HasSubstr("connection: close\r\n\r\nGET /three "));
}

TEST_F(HttpServerTest, ReadsChunkedRequestBodies) {
  start(answer_ok);
  const auto answer = talk(
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
      "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  EXPECT_THAT(answer, EndsWith("\r\n\r\nPOST / abcde"));
}

TEST_F(HttpServerTest, KeepsAnHttp10ConnectionOnlyWhenAsked) {
  start(answer_ok);
  EXPECT_THAT(talk("GET / HTTP/1.0\r\n\r\n"), HasSubstr("connection: close\r\n"));
  EXPECT_THAT(talk("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n"),
              HasSubstr("connection: keep-alive\r\n"));
}

TEST_F(HttpServerTest, HeadHasTheLengthAndNoBody) {
  start(answer_ok);
  const auto answer = talk("HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(answer, HasSubstr("content-length: 7\r\n"));
  EXPECT_THAT(answer, EndsWith("\r\n\r\n"));
}

TEST_F(HttpServerTest, StreamsEachPartAsItComes) {
  Gate gate(io_);
  start([&](HttpExchange& exchange) -> awaitable<void> {
    Headers headers;
    headers.add("transfer-encoding", "gzip");  // framing is the server's: this must not get through
    co_await exchange.begin(200, std::move(headers));
    co_await exchange.write("first\n");
    co_await gate.wait();
    co_await exchange.write("second\n");
    co_await exchange.finish();
  });
  run(io_, [&]() -> awaitable<void> {
    RawClient client(io_);
    co_await client.connect(endpoint_);
    co_await client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    const auto head = co_await client.read_until("6\r\nfirst\n\r\n");
    EXPECT_THAT(head, HasSubstr("transfer-encoding: chunked\r\n"));
    EXPECT_THAT(head, Not(HasSubstr("gzip")));
    gate.open();
    const auto rest = co_await client.read_to_end();
    EXPECT_EQ(rest, "7\r\nsecond\n\r\n0\r\n\r\n");
  });
}

TEST_F(HttpServerTest, StreamsWithAContentLengthUnchunked) {
  start([](HttpExchange& exchange) -> awaitable<void> {
    Headers headers;
    headers.add("Content-Length", "4");
    co_await exchange.begin(200, std::move(headers));
    co_await exchange.write("ab");
    co_await exchange.write("cd");
    const auto more = co_await exchange.write("e");
    EXPECT_FALSE(more);
  });
  const auto answer = talk("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(answer, HasSubstr("content-length: 4\r\n"));
  EXPECT_THAT(answer, EndsWith("\r\n\r\nabcd"));
}

TEST_F(HttpServerTest, AnUnfinishedStreamLooksBrokenOff) {
  start([](HttpExchange& exchange) -> awaitable<void> {
    Headers headers;
    co_await exchange.begin(200, std::move(headers));
    co_await exchange.write("part");
  });
  EXPECT_THAT(talk("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), EndsWith("4\r\npart\r\n"));
}

TEST_F(HttpServerTest, AHandlerThatThrowsGives500AndTheConnectionLives) {
  start([](HttpExchange& exchange) -> awaitable<void> {
    if (exchange.request().path() == "/throw") throw std::runtime_error("no reason a client should see");
    co_await answer_ok(exchange);
  });
  const auto answer = talk(
      "GET /throw HTTP/1.1\r\nHost: x\r\n\r\n"
      "GET /fine HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 500 Internal Server Error\r\n"));
  EXPECT_THAT(answer, HasSubstr("\"code\":500"));
  EXPECT_THAT(answer, Not(HasSubstr("no reason")));
  EXPECT_THAT(answer, EndsWith("GET /fine "));
}

TEST_F(HttpServerTest, AHandlerThatDoesNotAnswerGives500) {
  start([](HttpExchange&) -> awaitable<void> { co_return; });
  EXPECT_THAT(talk("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), StartsWith("HTTP/1.1 500 "));
}

TEST_F(HttpServerTest, AHeaderValueCannotStartAnotherHeader) {
  start([](HttpExchange& exchange) -> awaitable<void> {
    Headers headers;
    headers.add("x-echo", "a\r\nset-cookie: b");
    std::string body;
    co_await exchange.respond(200, std::move(headers), std::move(body));
  });
  const auto answer = talk("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(answer, HasSubstr("x-echo: a  set-cookie: b\r\n"));
}

TEST_F(HttpServerTest, RefusesWhatIsTooLargeOrMalformed) {
  start(answer_ok, {.max_header = 1024, .max_body = 10});
  const auto big_header = talk("GET / HTTP/1.1\r\nHost: x\r\nX: " + std::string(5000, 'a') + "\r\n\r\n");
  EXPECT_THAT(big_header, StartsWith("HTTP/1.1 431 "));
  EXPECT_THAT(big_header, HasSubstr("\"kind\":\"Status\""));
  EXPECT_THAT(talk("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n01234567890"), StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(talk("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n"),
              StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(talk("NONSENSE\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(talk("GET / HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(talk("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(talk("GET / HTTP/1.1\r\nHost: x\r\nExpect: wonders\r\n\r\n"), StartsWith("HTTP/1.1 417 "));
}

// Two lengths in one request are how requests are smuggled past a proxy (RFC 9112 section 11.2).
TEST_F(HttpServerTest, RefusesContradictoryFraming) {
  start(answer_ok);
  EXPECT_THAT(talk("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
              StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(talk("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
              StartsWith("HTTP/1.1 400 "));
}

TEST_F(HttpServerTest, InvitesABodyThatWaitsToBeInvited) {
  start(answer_ok);
  run(io_, [&]() -> awaitable<void> {
    RawClient client(io_);
    co_await client.connect(endpoint_);
    co_await client.send(
        "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n");
    const auto invited = co_await client.read_until("\r\n\r\n");
    EXPECT_EQ(invited, "HTTP/1.1 100 Continue\r\n\r\n");
    co_await client.send("abc");
    const auto answer = co_await client.read_to_end();
    EXPECT_THAT(answer, EndsWith("PUT / abc"));
  });
}

TEST_F(HttpServerTest, TellsAHandlerThatItsClientHasGone) {
  bool gone = false;
  bool began = false;
  start([&](HttpExchange& exchange) -> awaitable<void> {
    Headers headers;
    co_await exchange.begin(200, std::move(headers));
    began = true;
    co_await exchange.wait_for_disconnect();
    gone = true;
  });
  RawClient client(io_);
  run(io_, [&]() -> awaitable<void> {
    co_await client.connect(endpoint_);
    co_await client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    co_await client.read_until("\r\n\r\n");
    co_await client.send("GET /pipelined HTTP/1.1\r\nHost: x\r\n\r\n");
  });
  io_.poll();
  EXPECT_TRUE(began);
  EXPECT_FALSE(gone);
  client.close();
  run_until(io_, [&] { return gone; });
  run_until(io_, [&] { return server_->connections() == 0; });
}

TEST_F(HttpServerTest, AnAnswerToAClientThatHasGoneIsClosed) {
  std::vector<Errc> errors;
  start([&](HttpExchange& exchange) -> awaitable<void> {
    co_await exchange.wait_for_disconnect();
    for (int i = 0; i < 3; ++i) {
      Headers headers;
      std::string body(1u << 20, 'x');
      const auto sent = co_await exchange.respond(200, std::move(headers), std::move(body));
      if (!sent) errors.push_back(sent.error().code);
    }
  });
  RawClient client(io_);
  run(io_, [&]() -> awaitable<void> {
    co_await client.connect(endpoint_);
    co_await client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  });
  run_until(io_, [&] { return server_->connections() == 1; });
  client.close();
  run_until(io_, [&] { return server_->connections() == 0; });
  ASSERT_EQ(errors.size(), 3u);
  EXPECT_EQ(errors[0], Errc::closed);
  EXPECT_EQ(errors[1], Errc::internal);  // answered already, though in vain
}

TEST_F(HttpServerTest, HandsTheSocketOverWithTheBytesBehindTheRequest) {
  std::optional<UpgradedSocket> taken;
  bool upgrade = false;
  start([&](HttpExchange& exchange) -> awaitable<void> {
    upgrade = exchange.request().upgrade;
    taken = exchange.take_socket();
    Headers headers;
    std::string body;
    const auto late = co_await exchange.respond(200, std::move(headers), std::move(body));
    EXPECT_FALSE(late);
  });
  RawClient client(io_);
  run(io_, [&]() -> awaitable<void> {
    co_await client.connect(endpoint_);
    co_await client.send("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: echo\r\nConnection: keep-alive, Upgrade\r\n\r\nearly");
  });
  run_until(io_, [&] { return server_->connections() == 0 && taken; });
  EXPECT_TRUE(upgrade);
  EXPECT_EQ(taken->leftover, "early");
  server_->stop();
  run(io_, [&]() -> awaitable<void> {
    std::string text = "late";
    co_await asio::async_write(taken->socket, asio::buffer(text), asio::use_awaitable);
    const auto received = co_await client.read_exactly(4);
    EXPECT_EQ(received, "late");
  });
}

TEST_F(HttpServerTest, RefusesConnectionsBeyondTheLimit) {
  start(answer_ok, {.max_connections = 1});
  RawClient first(io_);
  run(io_, [&]() -> awaitable<void> { co_await first.connect(endpoint_); });
  run_until(io_, [&] { return server_->connections() == 1; });
  const auto refused = talk("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(refused, StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(refused, HasSubstr("retry-after: 1\r\n"));
  first.close();
  run_until(io_, [&] { return server_->connections() == 0; });
  EXPECT_THAT(talk("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(HttpServerTest, CutsAConnectionThatSendsNothingOrTooSlowly) {
  start(answer_ok, {.header_timeout = seconds(15), .body_timeout = seconds(60), .keep_alive_timeout = seconds(120)});
  const auto parts = {std::string(), std::string("GET / HT"),
                      std::string("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab")};
  for (const auto& part : parts) {
    RawClient client(io_);
    run(io_, [&]() -> awaitable<void> {
      co_await client.connect(endpoint_);
      co_await client.send(part);
    });
    run_until(io_, [&] { return server_->connections() == 1; });
    io_.poll();
    clock_.advance(seconds(14));
    io_.poll();
    EXPECT_EQ(server_->connections(), 1u);
    clock_.advance(seconds(60));
    run_until(io_, [&] { return server_->connections() == 0; });
    run(io_, [&]() -> awaitable<void> {
      const auto rest = co_await client.read_to_end();
      EXPECT_EQ(rest, "") << part;
    });
  }
}

TEST_F(HttpServerTest, CutsAnIdleConnectionAfterItsKeepAliveTime) {
  start(answer_ok, {.header_timeout = seconds(15), .keep_alive_timeout = seconds(120)});
  RawClient client(io_);
  run(io_, [&]() -> awaitable<void> {
    co_await client.connect(endpoint_);
    co_await client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    co_await client.read_until("GET / ");
  });
  io_.poll();
  clock_.advance(seconds(119));
  io_.poll();
  EXPECT_EQ(server_->connections(), 1u);
  clock_.advance(seconds(1));
  run_until(io_, [&] { return server_->connections() == 0; });
}

TEST_F(HttpServerTest, CutsAClientThatStopsReading) {
  std::optional<Error> failure;
  start([&](HttpExchange& exchange) -> awaitable<void> {
    Headers headers;
    std::string body(64u << 20, 'x');
    const auto sent = co_await exchange.respond(200, std::move(headers), std::move(body));
    if (!sent) failure = sent.error();
  });
  RawClient client(io_);
  run(io_, [&]() -> awaitable<void> {
    co_await client.connect(endpoint_);
    co_await client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    co_await client.read_until("\r\n\r\n");
  });
  while (io_.poll() > 0) io_.restart();  // until the socket is full
  clock_.advance(seconds(30));
  run_until(io_, [&] { return failure.has_value(); });
  EXPECT_EQ(failure->code, Errc::timeout);
}

TEST_F(HttpServerTest, StopDropsConnectionsAndCancelsTheirHandlers) {
  struct Ended {
    bool& flag;
    ~Ended() { flag = true; }
  };
  bool waiting = false;
  bool ended = false;
  Gate never(io_);
  start([&](HttpExchange&) -> awaitable<void> {
    const Ended mark{ended};
    waiting = true;
    co_await never.wait();
  });
  RawClient client(io_);
  run(io_, [&]() -> awaitable<void> {
    co_await client.connect(endpoint_);
    co_await client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  });
  run_until(io_, [&] { return waiting; });
  server_->stop();
  run_until(io_, [&] { return server_->connections() == 0; });
  EXPECT_TRUE(ended);
  run(io_, [&]() -> awaitable<void> {
    const auto rest = co_await client.read_to_end();
    EXPECT_EQ(rest, "");
    RawClient late(io_);
    try {
      co_await late.connect(endpoint_);
      ADD_FAILURE() << "the port is still open";
    } catch (const boost::system::system_error&) {
    }
  });
}

TEST_F(HttpServerTest, StopDropsAConnectionWhateverItIsDoing) {
  start([](HttpExchange& exchange) -> awaitable<void> {
    Headers headers;
    std::string body(exchange.request().path() == "/big" ? 64u << 20 : 1, 'x');
    co_await exchange.respond(200, std::move(headers), std::move(body));
  });
  const auto parts = {std::string(),
                      std::string("GET / HT"),
                      std::string("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
                      std::string("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab"),
                      std::string("GET /big HTTP/1.1\r\nHost: x\r\n\r\n"),
                      std::string("NONSENSE\r\n\r\n"),
                      std::string("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")};
  std::vector<std::unique_ptr<RawClient>> clients;
  for (const auto& part : parts) {
    clients.push_back(std::make_unique<RawClient>(io_));
    run(io_, [&]() -> awaitable<void> {
      co_await clients.back()->connect(endpoint_);
      co_await clients.back()->send(part);
    });
  }
  run_until(io_, [&] { return server_->connections() == parts.size(); });
  while (io_.poll() > 0) io_.restart();
  server_->stop();
  run_until(io_, [&] { return server_->connections() == 0; });
}

// stop() from outside the event loop, in the moment in which a connection ends by itself.
TEST_F(HttpServerTest, StopMayMeetAConnectionThatIsEnding) {
  start(answer_ok);
  RawClient client(io_);
  run(io_, [&]() -> awaitable<void> { co_await client.connect(endpoint_); });
  run_until(io_, [&] { return server_->connections() == 1; });
  io_.poll();
  client.close();
  server_->stop();
  run_until(io_, [&] { return server_->connections() == 0; });
}

TEST_F(HttpServerTest, TwoServersShareAPortOnlyWhenToldTo) {
  start(answer_ok, {.reuse_port = true});
  HttpServer second(io_.get_executor(), clock_, {.reuse_port = true}, answer_ok);
  EXPECT_TRUE(second.listen(endpoint_));
  HttpServer third(io_.get_executor(), clock_, {}, answer_ok);
  const auto taken = third.listen(endpoint_);
  ASSERT_FALSE(taken);
  EXPECT_THAT(taken.error().message, HasSubstr("cannot listen on " + endpoint_.to_string()));
}

}  // namespace
}  // namespace fresnel::net

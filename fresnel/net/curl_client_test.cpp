#include "fresnel/net/curl_client.hpp"

#include <gmock/gmock.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include "fresnel/net/http_server.hpp"
#include "fresnel/net/testing.hpp"

namespace fresnel::net {
namespace {

using net::testing::Gate;
using net::testing::RawClient;
using net::testing::run;
using net::testing::run_until;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// gzip of "hello gzip\n".
constexpr std::string_view kGzip(
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\xcb\x48\xcd\xc9\xc9\x57\x48\xaf\xca\x2c\xe0\x02\x00\x39\x7c\x63\x56\x0b"
    "\x00\x00\x00",
    31);

class CurlClientTest : public ::testing::Test {
 protected:
  ~CurlClientTest() override {
    client_.reset();
    server_.reset();
    io_.restart();
    io_.poll();
  }

  void start(HttpServer::Handler handler) {
    server_.emplace(io_.get_executor(), clock_, HttpServerOptions(), std::move(handler));
    endpoint_ = server_->listen({"127.0.0.1", 0}).value();
  }
  [[nodiscard]] std::string url(std::string_view path) const {
    return "http://" + endpoint_.to_string() + std::string(path);
  }
  // Opens `request` and expects a response.
  std::unique_ptr<HttpResponse> open(HttpRequest request) {
    std::unique_ptr<HttpResponse> response;
    run(io_, [&]() -> awaitable<void> {
      auto opened = co_await client_->open(std::move(request));
      EXPECT_TRUE(opened) << opened.error().message;
      if (opened) response = std::move(*opened);
    });
    return response;
  }
  Error open_error(HttpRequest request) {
    Error error;
    run(io_, [&]() -> awaitable<void> {
      auto opened = co_await client_->open(std::move(request));
      EXPECT_FALSE(opened);
      if (!opened) error = opened.error();
    });
    return error;
  }
  result<std::string> body_of(HttpResponse& response, std::size_t limit = 1u << 20) {
    result<std::string> body;
    run(io_, [&]() -> awaitable<void> { body = co_await read_all(response, limit); });
    return body;
  }
  // Handles whatever is ready; false when nothing was.
  void settle() {
    for (int quiet = 0; quiet<5; quiet = io_.poll()> 0 ? 0 : quiet + 1) io_.restart();
  }

  asio::io_context io_;
  SteadyClock clock_;
  std::optional<HttpServer> server_;
  std::optional<CurlClient> client_{std::in_place, io_.get_executor()};
  Endpoint endpoint_;
};

awaitable<void> echo_request(HttpExchange& exchange) {
  const auto& request = exchange.request();
  std::string body = request.method + " " + request.target + "\n";
  for (const auto& [name, value] : request.headers) body += name + "=" + value + "\n";
  body += "\n" + request.body;
  Headers headers;
  headers.add("x-twice", "one");
  headers.add("X-Twice", "two");
  headers.add("x-empty", "");
  const int status = request.path() == "/missing" ? 404 : 200;
  co_await exchange.respond(status, std::move(headers), std::move(body));
}

TEST_F(CurlClientTest, SendsMethodTargetHeadersAndBody) {
  start(echo_request);
  for (const std::string method : {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}) {
    HttpRequest request;
    request.method = method;
    request.url = url("/a%2Fb/../c?x=1&y=%20");
    request.headers.add("X-Some", "thing");
    request.headers.add("X-None", "");
    request.headers.add("Connection", "Upgrade");
    request.body = method == "GET" || method == "OPTIONS" ? "" : std::string("body\0of ", 8) + method;
    const auto expected_body = request.body;
    auto response = open(std::move(request));
    ASSERT_TRUE(response);
    EXPECT_EQ(response->status(), 200);
    EXPECT_EQ(response->headers().get("X-TWICE"), "one");
    const auto body = body_of(*response).value();
    EXPECT_THAT(body, StartsWith(method + " /a%2Fb/../c?x=1&y=%20\n"));
    EXPECT_THAT(body, HasSubstr("X-Some=thing\n"));
    EXPECT_THAT(body, HasSubstr("X-None=\n"));
    EXPECT_THAT(body, HasSubstr("Host=" + endpoint_.to_string() + "\n"));
    EXPECT_THAT(body, Not(HasSubstr("Connection")));
    EXPECT_THAT(body, Not(HasSubstr("Content-Type")));
    EXPECT_EQ(body.substr(body.find("\n\n") + 2), expected_body);
  }
}

TEST_F(CurlClientTest, AnErrorStatusIsAResponse) {
  start(echo_request);
  HttpRequest request;
  request.url = url("/missing");
  auto response = open(request);
  EXPECT_EQ(response->status(), 404);
  EXPECT_THAT(body_of(*response).value(), StartsWith("GET /missing\n"));
}

TEST_F(CurlClientTest, HeadHasHeadersAndNoBody) {
  start(echo_request);
  HttpRequest request;
  request.method = "HEAD";
  request.url = url("/");
  auto response = open(request);
  EXPECT_NE(response->headers().get("content-length"), "0");
  EXPECT_EQ(body_of(*response).value(), "");
}

TEST_F(CurlClientTest, SendsALargeBodyWithoutAnInvitation) {
  start([](HttpExchange& exchange) -> awaitable<void> {
    EXPECT_FALSE(exchange.request().headers.has("expect"));
    std::string size = std::to_string(exchange.request().body.size());
    Headers headers;
    co_await exchange.respond(200, std::move(headers), std::move(size));
  });
  HttpRequest request;
  request.method = "POST";
  request.url = url("/");
  request.body.assign(8u << 20, 'x');
  auto response = open(std::move(request));
  EXPECT_EQ(body_of(*response).value(), std::to_string(8u << 20));
}

TEST_F(CurlClientTest, UndoesGzipOnlyWhenItAskedForItItself) {
  start([](HttpExchange& exchange) -> awaitable<void> {
    Headers headers;
    headers.add("content-encoding", "gzip");
    headers.add("x-asked", std::string(exchange.request().headers.get("accept-encoding")));
    std::string body(kGzip);
    co_await exchange.respond(200, std::move(headers), std::move(body));
  });
  HttpRequest request;
  request.url = url("/");
  auto decoded = open(request);
  EXPECT_EQ(decoded->headers().get("x-asked"), "gzip");
  EXPECT_FALSE(decoded->headers().has("content-encoding"));
  EXPECT_FALSE(decoded->headers().has("content-length"));
  EXPECT_EQ(body_of(*decoded).value(), "hello gzip\n");

  request.headers.add("Accept-Encoding", "gzip, br");
  auto raw = open(request);
  EXPECT_EQ(raw->headers().get("x-asked"), "gzip, br");
  EXPECT_EQ(raw->headers().get("content-encoding"), "gzip");
  EXPECT_EQ(body_of(*raw).value(), kGzip);
}

TEST_F(CurlClientTest, GivesEachPartAsItComes) {
  Gate gate(io_);
  start([&](HttpExchange& exchange) -> awaitable<void> {
    Headers headers;
    co_await exchange.begin(200, std::move(headers));
    co_await exchange.write("first");
    co_await gate.wait();
    co_await exchange.write("second");
    co_await exchange.finish();
  });
  HttpRequest request;
  request.url = url("/");
  auto response = open(request);
  run(io_, [&]() -> awaitable<void> {
    auto part = co_await response->read();
    EXPECT_EQ(part.value(), "first");
    gate.open();
    part = co_await response->read();
    EXPECT_EQ(part.value(), "second");
    for (int i = 0; i < 2; ++i) {
      part = co_await response->read();
      EXPECT_EQ(part.value(), "");
    }
  });
}

TEST_F(CurlClientTest, ABrokenOffBodyIsAnErrorAfterItsBytes) {
  start([](HttpExchange& exchange) -> awaitable<void> {
    Headers headers;
    co_await exchange.begin(200, std::move(headers));
    co_await exchange.write("part");
  });
  HttpRequest request;
  request.url = url("/");
  auto response = open(request);
  run(io_, [&]() -> awaitable<void> {
    auto part = co_await response->read();
    EXPECT_EQ(part.value(), "part");
    part = co_await response->read();
    EXPECT_FALSE(part);
    EXPECT_EQ(part.error().code, Errc::closed);
    EXPECT_THAT(part.error().message, HasSubstr(endpoint_.to_string()));
  });
}

TEST_F(CurlClientTest, ASlowReaderSlowsTheServerDown) {
  constexpr std::size_t kPart = 64u << 10;
  constexpr std::size_t kTotal = 96u << 20;
  std::size_t sent = 0;
  start([&](HttpExchange& exchange) -> awaitable<void> {
    Headers headers;
    co_await exchange.begin(200, std::move(headers));
    for (std::string part(kPart, 'x'); sent < kTotal; sent += kPart) {
      const auto written = co_await exchange.write(part);
      if (!written) co_return;
    }
    co_await exchange.finish();
  });
  HttpRequest request;
  request.url = url("/");
  auto response = open(request);
  settle();
  EXPECT_LT(sent, kTotal / 4);  // what the kernel's buffers take, and max_buffered
  std::size_t received = 0;
  run(io_, [&]() -> awaitable<void> {
    for (;;) {
      const auto part = co_await response->read();
      EXPECT_TRUE(part);
      if (!part || part->empty()) break;
      EXPECT_LE(part->size(), 256u << 10);
      received += part->size();
    }
  });
  EXPECT_EQ(received, kTotal);
}

TEST_F(CurlClientTest, DestroyingAResponseClosesItsConnection) {
  bool gone = false;
  start([&](HttpExchange& exchange) -> awaitable<void> {
    Headers headers;
    co_await exchange.begin(200, std::move(headers));
    co_await exchange.wait_for_disconnect();
    gone = true;
  });
  HttpRequest request;
  request.url = url("/");
  auto response = open(request);
  settle();
  EXPECT_FALSE(gone);
  response.reset();
  run_until(io_, [&] { return gone; });
}

TEST_F(CurlClientTest, CancellingTheCoroutineCancelsTheRequest) {
  bool asked = false;
  bool gone = false;
  start([&](HttpExchange& exchange) -> awaitable<void> {
    asked = true;
    co_await exchange.wait_for_disconnect();
    gone = true;
    Headers headers;
    std::string body = "in vain";
    co_await exchange.respond(200, std::move(headers), std::move(body));
  });
  HttpRequest request;
  request.url = url("/");
  asio::cancellation_signal cancel;
  std::optional<Error> error;
  auto done = [&](const std::exception_ptr&, result<std::unique_ptr<HttpResponse>> opened) {
    if (!opened) error = opened.error();
  };
  asio::co_spawn(io_, client_->open(request), asio::bind_cancellation_slot(cancel.slot(), done));
  run_until(io_, [&] { return asked; });
  cancel.emit(asio::cancellation_type::terminal);
  run_until(io_, [&] { return gone && error; });
  EXPECT_EQ(error->code, Errc::cancelled);
}

TEST_F(CurlClientTest, DestroyingTheClientEndsItsRequests) {
  int asked = 0;
  int gone = 0;
  start([&](HttpExchange& exchange) -> awaitable<void> {
    ++asked;
    if (exchange.request().path() == "/stream") {
      Headers headers;
      co_await exchange.begin(200, std::move(headers));
    }
    co_await exchange.wait_for_disconnect();
    ++gone;
  });
  HttpRequest request;
  request.url = url("/stream");
  auto response = open(request);
  request.url = url("/silent");
  std::optional<Error> error;
  asio::co_spawn(io_, client_->open(request),
                 [&](const std::exception_ptr&, result<std::unique_ptr<HttpResponse>> opened) {
                   if (!opened) error = opened.error();
                 });
  run_until(io_, [&] { return asked == 2; });
  client_.reset();
  run_until(io_, [&] { return error && gone == 2; });
  EXPECT_EQ(error->code, Errc::cancelled);
  const auto body = body_of(*response);
  ASSERT_FALSE(body);
  EXPECT_EQ(body.error().code, Errc::cancelled);
}

TEST_F(CurlClientTest, GivesUpOnASilentServer) {
  bool gone = false;
  start([&](HttpExchange& exchange) -> awaitable<void> {
    co_await exchange.wait_for_disconnect();
    gone = true;
  });
  HttpRequest request;
  request.url = url("/secret?token=abc");
  request.response_timeout = milliseconds(20);
  const auto error = open_error(request);
  EXPECT_EQ(error.code, Errc::timeout);
  EXPECT_THAT(error.message, HasSubstr(endpoint_.to_string()));
  EXPECT_THAT(error.message, Not(HasSubstr("abc")));
  run_until(io_, [&] { return gone; });
}

TEST_F(CurlClientTest, GivesUpOnABodyThatStops) {
  start([](HttpExchange& exchange) -> awaitable<void> {
    Headers headers;
    co_await exchange.begin(200, std::move(headers));
    co_await exchange.write("some");
    co_await exchange.wait_for_disconnect();
  });
  HttpRequest request;
  request.url = url("/");
  request.idle_timeout = milliseconds(20);
  auto response = open(request);
  const auto body = body_of(*response);
  ASSERT_FALSE(body);
  EXPECT_EQ(body.error().code, Errc::timeout);
}

TEST_F(CurlClientTest, ARequestDoesNotWaitForAnothersResponse) {
  Gate gate(io_);
  start([&](HttpExchange& exchange) -> awaitable<void> {
    if (exchange.request().path() == "/slow") co_await gate.wait();
    co_await echo_request(exchange);
  });
  HttpRequest slow;
  slow.url = url("/slow");
  bool slow_done = false;
  asio::co_spawn(io_, client_->open(slow), [&](const std::exception_ptr&, const auto&) { slow_done = true; });
  HttpRequest quick;
  quick.url = url("/quick");
  EXPECT_TRUE(open(quick));
  EXPECT_FALSE(slow_done);
  gate.open();
  run_until(io_, [&] { return slow_done; });
}

TEST_F(CurlClientTest, ReusesItsConnection) {
  std::vector<std::string> peers;
  start([&](HttpExchange& exchange) -> awaitable<void> {
    peers.push_back(exchange.request().peer);
    co_await echo_request(exchange);
  });
  for (int i = 0; i < 3; ++i) {
    HttpRequest request;
    request.url = url("/");
    auto response = open(request);
    EXPECT_TRUE(body_of(*response));
  }
  ASSERT_EQ(peers.size(), 3u);
  EXPECT_EQ(peers[0], peers[1]);
  EXPECT_EQ(peers[1], peers[2]);
}

TEST_F(CurlClientTest, DoesNotFollowRedirects) {
  start([](HttpExchange& exchange) -> awaitable<void> {
    Headers headers;
    headers.add("location", "http://127.0.0.1:1/elsewhere");
    std::string body;
    co_await exchange.respond(302, std::move(headers), std::move(body));
  });
  HttpRequest request;
  request.url = url("/");
  EXPECT_EQ(open(request)->status(), 302);
}

TEST_F(CurlClientTest, SaysWhatIsWrongWithARequest) {
  HttpRequest request;
  for (const auto* bad : {"", "no url", "http://", "http://host:99999/"}) {
    request.url = bad;
    EXPECT_EQ(open_error(request).code, Errc::invalid_argument) << bad;
  }
  request.url = "file:///etc/passwd";
  EXPECT_NE(open_error(request).code, Errc::internal);
  request.url = "http://127.0.0.1:1/";
  request.headers.add("X-Evil", "a\r\nX-Other: b");
  EXPECT_EQ(open_error(request).code, Errc::invalid_argument);
}

TEST_F(CurlClientTest, SaysThatNobodyListens) {
  asio::ip::tcp::acceptor closed(io_, {asio::ip::make_address("127.0.0.1"), 0});
  const auto port = std::to_string(closed.local_endpoint().port());
  closed.close();
  HttpRequest request;
  request.url = "http://127.0.0.1:" + port + "/";
  const auto error = open_error(request);
  EXPECT_EQ(error.code, Errc::connect_failed);
  EXPECT_THAT(error.message, HasSubstr("127.0.0.1:" + port));
}

TEST_F(CurlClientTest, ReportsAServerThatIsNoHttpServerOrHangsUp) {
  asio::ip::tcp::acceptor acceptor(io_, {asio::ip::make_address("127.0.0.1"), 0});
  HttpRequest request;
  request.url = "http://127.0.0.1:" + std::to_string(acceptor.local_endpoint().port()) + "/";
  struct Case {
    std::string answer;
    Errc expected;
  };
  // The last one: interim responses only, then the end.
  for (const auto& [answer, expected] :
       {Case{"", Errc::closed}, Case{"SSH-2.0-OpenSSH\r\n\r\n", Errc::protocol},
        Case{"HTTP/1.1 200 OK\r\nX-Half: ", Errc::protocol}, Case{"HTTP/1.1 103 Early Hints\r\n\r\n", Errc::closed}}) {
    std::optional<Error> error;
    asio::co_spawn(io_, client_->open(request),
                   [&](const std::exception_ptr&, result<std::unique_ptr<HttpResponse>> opened) {
                     error = opened ? Error{Errc::internal, "a response"} : opened.error();
                   });
    run(io_, [&]() -> awaitable<void> {
      auto socket = co_await acceptor.async_accept(asio::use_awaitable);
      std::string head;
      auto buffer = asio::dynamic_buffer(head);
      co_await asio::async_read_until(socket, buffer, "\r\n\r\n", asio::use_awaitable);
      co_await asio::async_write(socket, asio::buffer(answer), asio::use_awaitable);
    });
    run_until(io_, [&] { return error.has_value(); });
    EXPECT_EQ(error->code, expected) << answer << ": " << error->message;
  }
}

TEST_F(CurlClientTest, ReadAllStopsAtItsLimit) {
  start(echo_request);
  HttpRequest request;
  request.url = url("/");
  auto response = open(request);
  const auto body = body_of(*response, 10);
  ASSERT_FALSE(body);
  EXPECT_EQ(body.error().code, Errc::too_large);
}

}  // namespace
}  // namespace fresnel::net

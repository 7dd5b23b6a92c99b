#include "fresnel/gateway/proxy.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <deque>

#include "fresnel/base/clock.hpp"
#include "fresnel/net/testing.hpp"

namespace fresnel::gateway {
namespace {

using net::testing::Gate;
using net::testing::RawClient;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::string text_of(const net::Headers& headers) {
  std::string text;
  for (const auto& [name, value] : headers) text += name + "=" + value + ";";
  return text;
}

TEST(ForwardedRequestHeaders, KeepsWhatConcernsTheApiServer) {
  const net::Headers headers = {{"Host", "gate"},
                                {"Accept", "application/json"},
                                {"Cookie", "headlamp-auth-prod.0=t"},
                                {"Authorization", "Bearer t"},
                                {"Origin", "http://gate"},
                                {"Referer", "http://gate/page"},
                                {"X-HEADLAMP_BACKEND-TOKEN", "t"},
                                {"x-headlamp-user-id", "u"},
                                {"Connection", "keep-alive, X-Hop"},
                                {"Keep-Alive", "5"},
                                {"X-Hop", "1"},
                                {"TE", "trailers"},
                                {"Transfer-Encoding", "chunked"},
                                {"Content-Length", "3"},
                                {"Upgrade", "h2c"},
                                {"HTTP2-Settings", "x"},
                                {"Proxy-Authorization", "Basic x"},
                                {"Expect", "100-continue"},
                                {"Sec-WebSocket-Key", "x"},
                                {"Sec-WebSocket-Protocol", "base64url.bearer.authorization.k8s.io.dA"},
                                {"Content-Type", "application/json-patch+json"},
                                {"Accept-Encoding", "gzip"},
                                {"Impersonate-User", "jane"}};
  EXPECT_EQ(
      text_of(forwarded_request_headers(headers)),
      "Accept=application/json;Content-Type=application/json-patch+json;Accept-Encoding=gzip;Impersonate-User=jane;");
}

TEST(ForwardedResponseHeaders, KeepsWhatConcernsTheClient) {
  const net::Headers headers = {{"content-type", "application/json"},
                                {"set-cookie", "a=b"},
                                {"connection", "close, x-hop"},
                                {"x-hop", "1"},
                                {"transfer-encoding", "chunked"},
                                {"access-control-allow-origin", "*"},
                                {"alt-svc", "h3"},
                                {"strict-transport-security", "max-age=1"},
                                {"content-length", "2"},
                                {"warning", "299 - old"},
                                {"www-authenticate", "Bearer"}};
  EXPECT_EQ(text_of(forwarded_response_headers(headers)),
            "content-type=application/json;content-length=2;warning=299 - old;www-authenticate=Bearer;");
}

TEST(MakeUpstreamRequest, KeepsWhatIsTheClientsAndLeavesAddressAndCredentialToTheApiClient) {
  net::ServerRequest request;
  request.method = "PATCH";
  request.target = "/clusters/a%2Fb/api/v1/pods/x%20y?fieldManager=a%2Bb";
  request.headers = {{"Authorization", "Bearer other"}, {"Content-Type", "application/merge-patch+json"}};
  request.body = "{}";
  const auto upstream = make_upstream_request(request);
  EXPECT_EQ(upstream.method, "PATCH");
  EXPECT_EQ(upstream.body, "{}");
  EXPECT_EQ(text_of(upstream.headers), "Content-Type=application/merge-patch+json;");
  EXPECT_EQ(upstream_target({"a/b", "/api/v1/pods/x%20y"}, request.query()), "/api/v1/pods/x%20y?fieldManager=a%2Bb");
}

// An upstream whose response the test feeds part by part.
class Feed final : public net::HttpTransport {
 public:
  explicit Feed(asio::io_context& io) : io_(io), signal_(io, TimePoint::max()) {}

  void answer(net::Headers headers) { headers_ = std::move(headers), wake(); }
  void fail(Error error) { failure_ = std::move(error), wake(); }
  void push(std::string part) { parts_.push_back(std::move(part)), wake(); }
  [[nodiscard]] bool cancelled() const { return cancelled_; }
  [[nodiscard]] int opened() const { return opened_; }

  awaitable<result<std::unique_ptr<net::HttpResponse>>> open(net::HttpRequest) override {
    ++opened_;
    const auto guard = std::make_unique<Response>(*this);
    while (!headers_ && !failure_) co_await wait();
    if (!headers_) co_return *failure_;
    co_return std::make_unique<Response>(*this);
  }

 private:
  struct Response final : net::HttpResponse {
    explicit Response(Feed& owner) : feed(owner) { ++feed.live_; }
    ~Response() override {
      if (--feed.live_ == 0) feed.cancelled_ = true;
    }
    int status() const noexcept override { return 200; }
    const net::Headers& headers() const noexcept override { return *feed.headers_; }
    awaitable<result<std::string>> read() override {
      while (feed.parts_.empty() && !feed.failure_) co_await feed.wait();
      if (feed.parts_.empty()) co_return *feed.failure_;
      std::string part = std::move(feed.parts_.front());
      feed.parts_.pop_front();
      co_return part;
    }
    Feed& feed;
  };

  void wake() { signal_.cancel(); }
  awaitable<void> wait() { co_await signal_.async_wait(asio::as_tuple(asio::use_awaitable)); }

  asio::io_context& io_;
  asio::steady_timer signal_;
  std::optional<net::Headers> headers_;
  std::optional<Error> failure_;
  std::deque<std::string> parts_;
  int opened_ = 0;
  int live_ = 0;
  bool cancelled_ = false;
};

class ProxyTest : public ::testing::Test {
 protected:
  ProxyTest()
      : feed_(io_), server_(io_.get_executor(), clock_, {}, [this](net::HttpExchange& exchange) {
          return handle(exchange, this);
        }) {}

  void TearDown() override {  // what the server still runs refers to the members below
    server_.stop();
    io_.restart();
    while (io_.poll() > 0) {
    }
  }

  static awaitable<void> handle(net::HttpExchange& exchange, ProxyTest* self) {
    kube::ApiClient client(self->feed_, kube::ClusterContext{});
    std::string target = "/";
    net::Headers extra = {{"access-control-allow-origin", "http://page"}};
    self->status_ = co_await proxy(exchange, client, std::move(target), std::move(extra));
    self->done_ = true;
  }

  // Plain functions: g++ 12 destroys temporaries twice that it finds among the arguments within a co_await.
  awaitable<void> get(RawClient& client) { return client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n"); }
  awaitable<void> connect(RawClient& client) { return client.connect(endpoint_); }
  awaitable<std::string> until(RawClient& client, const char* mark) { return client.read_until(mark); }
  awaitable<void> start(RawClient& client) {
    co_await connect(client);
    co_await get(client);
  }

  SteadyClock clock_;
  asio::io_context io_;
  Feed feed_;
  net::HttpServer server_;
  net::Endpoint endpoint_ = server_.listen({"127.0.0.1", 0}).value();
  int status_ = 0;
  bool done_ = false;
};

TEST_F(ProxyTest, PartsArriveAsTheyComeAndTheConnectionStaysUsable) {
  RawClient client(io_);
  net::testing::run(io_, [&]() -> awaitable<void> {
    feed_.answer({{"content-type", "application/json"}});
    co_await start(client);
    const auto head = co_await until(client, "\r\n\r\n");
    EXPECT_THAT(head, StartsWith("HTTP/1.1 200"));
    EXPECT_THAT(head, HasSubstr("transfer-encoding: chunked"));
    EXPECT_THAT(head, HasSubstr("access-control-allow-origin: http://page"));
    feed_.push("one\n");
    EXPECT_EQ(co_await until(client, "one\n\r\n"), "4\r\none\n\r\n");
    feed_.push("two\n");
    EXPECT_EQ(co_await until(client, "two\n\r\n"), "4\r\ntwo\n\r\n");
    feed_.push("");
    EXPECT_EQ(co_await until(client, "0\r\n\r\n"), "0\r\n\r\n");
    co_await get(client);
    EXPECT_THAT(co_await until(client, "\r\n\r\n"), StartsWith("HTTP/1.1 200"));
  });
  EXPECT_EQ(feed_.opened(), 2);
}

TEST_F(ProxyTest, AContentLengthIsKept) {
  RawClient client(io_);
  net::testing::run(io_, [&]() -> awaitable<void> {
    feed_.answer({{"content-length", "3"}});
    feed_.push("abc");
    feed_.push("");
    co_await start(client);
    const auto head = co_await until(client, "\r\n\r\n");
    EXPECT_THAT(head, HasSubstr("content-length: 3"));
    EXPECT_THAT(head, Not(HasSubstr("chunked")));
    EXPECT_EQ(co_await client.read_exactly(3), "abc");
  });
}

TEST_F(ProxyTest, AnUnreachableServerIsA502Status) {
  RawClient client(io_);
  net::testing::run(io_, [&]() -> awaitable<void> {
    feed_.fail({.code = Errc::connect_failed, .message = "connection refused"});
    co_await start(client);
    EXPECT_THAT(co_await until(client, "\r\n\r\n"), StartsWith("HTTP/1.1 502"));
    EXPECT_THAT(co_await until(client, "}\n"), HasSubstr("\"kind\":\"Status\""));
  });
}

TEST_F(ProxyTest, ABodyThatBreaksOffLooksBrokenOff) {
  RawClient client(io_);
  net::testing::run(io_, [&]() -> awaitable<void> {
    feed_.answer({});
    feed_.push("half");
    feed_.fail({.code = Errc::closed, .message = "gone"});
    co_await start(client);
    const auto all = co_await client.read_to_end();
    EXPECT_THAT(all, HasSubstr("half"));
    EXPECT_THAT(all, Not(HasSubstr("\r\n0\r\n\r\n")));
  });
}

TEST_F(ProxyTest, AClientThatLeavesCancelsTheUpstream) {
  for (const bool answered : {false, true}) {
    done_ = false;
    RawClient client(io_);
    net::testing::run(io_, [&]() -> awaitable<void> {
      if (answered) feed_.answer({});
      co_await start(client);
      if (answered) co_await until(client, "\r\n\r\n");
    });
    net::testing::run_until(io_, [&] { return feed_.opened() > (answered ? 1 : 0); });
    client.close();
    net::testing::run_until(io_, [&] { return done_; });
    EXPECT_TRUE(feed_.cancelled());
    EXPECT_EQ(status_, 499);
  }
}

}  // namespace
}  // namespace fresnel::gateway

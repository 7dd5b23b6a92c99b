// The HTTP client over HTTP/2, against frames written by hand (RFC 9113 section 4.1): streams share one connection, a
// paused one holds up no other, a cancelled one is reset alone.
#include <gmock/gmock.h>

#include "fresnel/net/curl_client.hpp"
#include "fresnel/net/proxy_testing.hpp"

namespace fresnel::net {
namespace {

using net::testing::Authority;
using net::testing::run;
using net::testing::run_until;
using net::testing::TestProxy;
using net::testing::TlsServer;
using net::testing::TlsStream;
using ::testing::ElementsAre;

enum FrameType { kData = 0, kHeaders = 1, kReset = 3, kSettings = 4, kGoAway = 7 };
constexpr int kEndStream = 1;
constexpr int kEndHeaders = 4;
constexpr int kAck = 1;

std::string big_endian(std::size_t value, int bytes) {
  std::string out;
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xFF);
  return out;
}

std::string frame(FrameType type, int flags, std::size_t stream, std::string_view payload = {}) {
  auto out = big_endian(payload.size(), 3) + static_cast<char>(type) + static_cast<char>(flags) + big_endian(stream, 4);
  return out.append(payload);
}

std::string ok_header(std::size_t stream) { return frame(kHeaders, kEndHeaders, stream, "\x88"); }  // :status 200

class CurlClientHttp2Test : public ::testing::Test {
 protected:
  CurlClientHttp2Test()
      : server_(
            std::in_place, io_, authority_.issue("server", "IP:127.0.0.1"),
            [this](TlsStream& stream) { return serve(stream); }, "", "h2") {
    request_.url = "https://" + server_->endpoint().to_string() + "/";
    request_.tls = std::make_shared<TlsOptions>(TlsOptions{.ca_pem = authority_.pem()});
  }
  ~CurlClientHttp2Test() override {
    client_.reset();
    server_.reset();
    io_.restart();
    io_.poll();
  }

  // Answers each stream with what answer_ makes of it.
  awaitable<void> serve(TlsStream& stream) {
    constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);
    std::string preface(24, '\0');
    co_await asio::async_read(stream, asio::buffer(preface), kNoThrow);
    auto out = frame(kSettings, 0, 0);
    for (;;) {
      const auto [unsent, written] = co_await asio::async_write(stream, asio::buffer(out), kNoThrow);
      std::array<unsigned char, 9> head{};
      const auto [failed, size] = co_await asio::async_read(stream, asio::buffer(head), kNoThrow);
      if (unsent || failed) {
        ++ended_;
        co_return;
      }
      std::string payload(static_cast<std::size_t>(head[0] << 16 | head[1] << 8 | head[2]), '\0');
      co_await asio::async_read(stream, asio::buffer(payload), kNoThrow);
      const std::size_t id = static_cast<std::size_t>(head[7]) << 8 | head[8];
      out.clear();
      if (head[3] == kSettings && (head[4] & kAck) == 0) out = frame(kSettings, kAck, 0);
      if (head[3] == kReset) {
        resets_.push_back(id);
        if (answer_reset_) out = answer_reset_(id);
      }
      if (head[3] == kHeaders) {
        streams_.push_back(id);
        out = answer_(id);
      }
    }
  }

  std::unique_ptr<HttpResponse> open() {
    std::unique_ptr<HttpResponse> response;
    run(io_, [&]() -> awaitable<void> {
      auto opened = co_await client_->open(request_);
      EXPECT_TRUE(opened) << opened.error().message;
      if (opened) response = std::move(*opened);
    });
    return response;
  }
  result<std::string> body_of(HttpResponse& response) {
    result<std::string> body;
    run(io_, [&]() -> awaitable<void> { body = co_await read_all(response, 16u << 20); });
    return body;
  }

  Authority authority_{"trusted"};
  asio::io_context io_;
  std::function<std::string(std::size_t)> answer_;
  std::function<std::string(std::size_t)> answer_reset_;
  int ended_ = 0;  // connections
  std::vector<std::size_t> streams_;
  std::vector<std::size_t> resets_;
  std::optional<TlsServer> server_;
  HttpRequest request_;
  std::optional<CurlClient> client_{std::in_place, io_.get_executor()};
};

TEST_F(CurlClientHttp2Test, RequestsMadeAtOnceShareOneConnection) {
  answer_ = [](std::size_t id) { return ok_header(id) + frame(kData, kEndStream, id, "stream " + std::to_string(id)); };
  std::vector<std::unique_ptr<HttpResponse>> responses;
  for (int i = 0; i < 20; ++i) {
    asio::co_spawn(io_, client_->open(request_),
                   [&](const std::exception_ptr&, result<std::unique_ptr<HttpResponse>> opened) {
                     EXPECT_TRUE(opened);
                     if (opened) responses.push_back(std::move(*opened));
                   });
  }
  run_until(io_, [&] { return responses.size() == 20; });
  EXPECT_EQ(responses[0]->status(), 200);
  EXPECT_EQ(body_of(*responses[0]).value().substr(0, 7), "stream ");
  EXPECT_EQ(server_->connections(), 1);
  EXPECT_EQ(streams_.size(), 20u);
}

TEST_F(CurlClientHttp2Test, RequestsMadeAtOnceShareOneTunnelOfAProxy) {
  answer_ = [](std::size_t id) { return ok_header(id) + frame(kData, kEndStream, id, "stream " + std::to_string(id)); };
  for (const auto kind : {Proxy::Kind::http, Proxy::Kind::socks5}) {
    const TestProxy proxy(io_, {.kind = kind, .username = "ada", .password = "hush"});
    request_.proxy_url = proxy.url("ada:hush@");
    std::vector<std::unique_ptr<HttpResponse>> responses;
    for (int i = 0; i < 20; ++i) {
      asio::co_spawn(io_, client_->open(request_),
                     [&](const std::exception_ptr&, result<std::unique_ptr<HttpResponse>> opened) {
                       EXPECT_TRUE(opened);
                       if (opened) responses.push_back(std::move(*opened));
                     });
    }
    run_until(io_, [&] { return responses.size() == 20; });
    EXPECT_EQ(body_of(*responses[0]).value().substr(0, 7), "stream ");
    EXPECT_EQ(proxy.connections(), 1);
  }
  EXPECT_EQ(server_->connections(), 2);
  EXPECT_EQ(streams_.size(), 40u);
}

TEST_F(CurlClientHttp2Test, APausedStreamHoldsUpNoOther) {
  constexpr std::size_t kFrames = 256;
  const std::string part(16u << 10, 'x');
  answer_ = [&](std::size_t id) {
    if (id != 1) return ok_header(id) + frame(kData, kEndStream, id, "quick");
    auto out = ok_header(id);
    for (std::size_t i = 0; i < kFrames; ++i) out += frame(kData, i + 1 == kFrames ? kEndStream : 0, id, part);
    return out;
  };
  auto unread = open();
  auto quick = open();
  EXPECT_EQ(body_of(*quick).value(), "quick");
  EXPECT_EQ(server_->connections(), 1);
  EXPECT_EQ(body_of(*unread).value().size(), kFrames * part.size());
}

TEST_F(CurlClientHttp2Test, DestroyingAResponseResetsItsStreamAlone) {
  answer_ = [](std::size_t id) { return ok_header(id) + frame(kData, 0, id, "more "); };
  answer_reset_ = [](std::size_t) { return frame(kData, kEndStream, 3, "to come"); };
  auto first = open();
  auto second = open();
  first.reset();
  run_until(io_, [&] { return !resets_.empty(); });
  EXPECT_THAT(resets_, ElementsAre(1u));
  EXPECT_EQ(body_of(*second).value(), "more to come");
  auto third = open();
  EXPECT_EQ(server_->connections(), 1);
  EXPECT_THAT(streams_, ElementsAre(1u, 3u, 5u));
}

TEST_F(CurlClientHttp2Test, AResetGoesOutBesideAPausedStreamToo) {
  const std::string part(16u << 10, 'x');
  answer_ = [&](std::size_t id) {
    auto out = ok_header(id);
    for (int i = 0; i < 64; ++i) out += frame(kData, i == 63 ? kEndStream : 0, id, part);
    return id == 1 ? out : ok_header(id);
  };
  auto paused = open();
  auto cancelled = open();
  cancelled.reset();
  run_until(io_, [&] { return !resets_.empty(); });
  EXPECT_EQ(body_of(*paused).value().size(), 64 * part.size());
}

TEST_F(CurlClientHttp2Test, CancellingTheLastStreamEndsTheConnection) {
  answer_ = [](std::size_t id) { return ok_header(id); };
  auto only = open();
  EXPECT_EQ(ended_, 0);
  only.reset();
  run_until(io_, [&] { return ended_ == 1; });
  auto next = open();
  EXPECT_EQ(server_->connections(), 2);
}

TEST_F(CurlClientHttp2Test, AServerThatResetsAStreamOrGoesAwayIsClosed) {
  answer_ = [](std::size_t id) {
    const auto started = ok_header(id) + frame(kData, 0, id, "some");
    if (id == 1) return started + frame(kReset, 0, id, big_endian(2, 4));  // INTERNAL_ERROR
    return started + frame(kGoAway, 0, 0, big_endian(0, 4) + big_endian(2, 4));
  };
  for (int i = 0; i < 2; ++i) {
    // libcurl may report the end of the stream before the header that arrived with it.
    result<std::string> body;
    run(io_, [&]() -> awaitable<void> {
      auto opened = co_await client_->open(request_);
      if (opened) {
        body = co_await read_all(**opened, 1000);
      } else {
        body = opened.error();
      }
    });
    ASSERT_FALSE(body);
    EXPECT_EQ(body.error().code, Errc::closed) << body.error().message;
  }
}

}  // namespace
}  // namespace fresnel::net

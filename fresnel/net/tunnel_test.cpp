#include "fresnel/net/tunnel.hpp"

#include <gmock/gmock.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include "fresnel/net/tls_testing.hpp"

// GCC 12 inlines a coroutine frame's operator new down to aligned_alloc, but not its operator delete, and takes the
// pair for a mismatch.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif

namespace fresnel::net {
namespace {

using net::testing::Authority;
using net::testing::RawClient;
using net::testing::run;
using net::testing::run_until;
using net::testing::TlsServer;
using net::testing::TlsStream;

// client_ <-> the tunnel <-> server_.
class TunnelTest : public ::testing::Test {
 protected:
  ~TunnelTest() override {
    client_.close();
    server_.close();
    io_.restart();
    io_.poll();
  }

  UpgradedSocket connect_client(std::string leftover = "") {
    asio::ip::tcp::acceptor acceptor(io_, {asio::ip::make_address("127.0.0.1"), 0});
    const Endpoint endpoint{"127.0.0.1", acceptor.local_endpoint().port()};
    UpgradedSocket taken{asio::ip::tcp::socket(io_), std::move(leftover)};
    run(io_, [&]() -> awaitable<void> {
      co_await client_.connect(endpoint);
      taken.socket = co_await acceptor.async_accept(asio::use_awaitable);
    });
    return taken;
  }
  std::unique_ptr<ClientStream> connect_server(Endpoint endpoint, std::shared_ptr<const TlsOptions> tls = nullptr) {
    std::unique_ptr<ClientStream> stream;
    run(io_, [&]() -> awaitable<void> {
      auto dialled = co_await dial(io_.get_executor(), endpoint.host, endpoint.port, tls, seconds(10), "");
      EXPECT_TRUE(dialled) << dialled.error().message;
      stream = std::move(*dialled);
    });
    return stream;
  }
  void spawn(UpgradedSocket client, std::unique_ptr<ClientStream> server, std::string head) {
    asio::co_spawn(io_, tunnel(std::move(client), std::move(server), std::move(head), clock_, options_),
                   asio::bind_cancellation_slot(
                       cancel_.slot(), [&](const std::exception_ptr&, TunnelReport report) { report_ = report; }));
  }
  void start(std::string head = "", std::string leftover = "") {
    asio::ip::tcp::acceptor acceptor(io_, {asio::ip::make_address("127.0.0.1"), 0});
    auto server = connect_server({"127.0.0.1", acceptor.local_endpoint().port()});
    server_.socket() = acceptor.accept();
    spawn(connect_client(std::move(leftover)), std::move(server), std::move(head));
  }
  void settle() {
    for (int quiet = 0; quiet<5; quiet = io_.poll()> 0 ? 0 : quiet + 1) io_.restart();
  }

  asio::io_context io_;
  ManualClock clock_;
  TunnelOptions options_;
  RawClient client_{io_};
  RawClient server_{io_};
  asio::cancellation_signal cancel_;
  std::optional<TunnelReport> report_;
};

TEST(UpgradeRequestHead, IsSentAsItIsAndNothingElse) {
  const Headers headers{{"Host", "h:1"}, {"Connection", "Upgrade"}, {"Upgrade", "SPDY/3.1"}, {"X-Empty", ""}};
  EXPECT_EQ(upgrade_request_head("POST", "/exec?a=b", headers).value(),
            "POST /exec?a=b HTTP/1.1\r\nHost: h:1\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Empty: \r\n\r\n");
  EXPECT_FALSE(upgrade_request_head("GET", "/a HTTP/1.1\r\nX: y", headers));
  EXPECT_FALSE(upgrade_request_head("GET\r\n", "/", headers));
  EXPECT_FALSE(upgrade_request_head("GET", "", headers));
  EXPECT_FALSE(upgrade_request_head("GET", "/", {}));
  EXPECT_FALSE(upgrade_request_head("GET", "/", {{"Host", "h\r\nX: y"}}));
  EXPECT_FALSE(upgrade_request_head("GET", "/", {{"Host", "h"}, {"X: y\r\nZ", "1"}}));
}

TEST_F(TunnelTest, CarriesEveryByteBothWaysUnchanged) {
  start("GET /exec HTTP/1.1\r\n\r\n", "early");
  std::string bytes(300'000, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7 + i / 251);
  run(io_, [&]() -> awaitable<void> {
    const auto head = co_await server_.read_exactly(27);
    EXPECT_EQ(head, "GET /exec HTTP/1.1\r\n\r\nearly");
    co_await server_.send("HTTP/1.1 403 Forbidden\r\n\r\n");
    const auto answer = co_await client_.read_until("\r\n\r\n");
    EXPECT_EQ(answer, "HTTP/1.1 403 Forbidden\r\n\r\n");
    co_await client_.send(bytes);
    const auto up = co_await server_.read_exactly(bytes.size());
    EXPECT_TRUE(up == bytes);
    co_await server_.send(bytes);
    const auto down = co_await client_.read_exactly(bytes.size());
    EXPECT_TRUE(down == bytes);
  });
  client_.close();
  server_.close();
  run_until(io_, [&] { return report_.has_value(); });
  EXPECT_EQ(report_->to_server, bytes.size() + 27);
  EXPECT_EQ(report_->to_client, bytes.size() + 26);
  EXPECT_FALSE(report_->idle);
}

TEST_F(TunnelTest, PassesOnTheEndOfEachSideAlone) {
  for (const bool client_first : {true, false}) {
    report_.reset();
    start();
    auto& first = client_first ? client_ : server_;
    auto& second = client_first ? server_ : client_;
    run(io_, [&]() -> awaitable<void> {
      co_await first.send("last words");
      first.socket().shutdown(asio::ip::tcp::socket::shutdown_send);
      const auto heard = co_await second.read_to_end();
      EXPECT_EQ(heard, "last words");
      co_await second.send("still here");
      const auto answer = co_await first.read_exactly(10);
      EXPECT_EQ(answer, "still here");
      EXPECT_FALSE(report_);
      second.socket().shutdown(asio::ip::tcp::socket::shutdown_send);
      const auto rest = co_await first.read_to_end();
      EXPECT_EQ(rest, "");
    });
    run_until(io_, [&] { return report_.has_value(); });
  }
}

TEST_F(TunnelTest, AResetOfOneSideEndsTheOther) {
  for (const bool client_first : {true, false}) {
    report_.reset();
    start();
    settle();
    auto& first = client_first ? client_ : server_;
    auto& second = client_first ? server_ : client_;
    first.socket().set_option(asio::socket_base::linger(true, 0));
    first.close();
    run_until(io_, [&] { return report_.has_value(); });
    run(io_, [&]() -> awaitable<void> {
      const auto rest = co_await second.read_to_end();
      EXPECT_EQ(rest, "");
    });
    second.close();
  }
}

TEST_F(TunnelTest, ASideThatDoesNotReadStopsTheOther) {
  start();
  std::size_t sent = 0;
  const std::string part(1u << 20, 'x');
  const auto flood = [&]() -> awaitable<void> {
    while (sent < (256u << 20)) {
      const auto [failed, size] =
          co_await asio::async_write(client_.socket(), asio::buffer(part), asio::as_tuple(asio::use_awaitable));
      if (failed) co_return;
      sent += size;
    }
  };
  asio::co_spawn(io_, flood(), asio::detached);
  settle();
  EXPECT_LT(sent, 64u << 20);  // what the kernel's buffers take
  client_.close();
  settle();
}

TEST_F(TunnelTest, AnIdleTunnelEnds) {
  options_.idle_timeout = seconds(60);
  start();
  settle();
  clock_.advance(seconds(59));
  run(io_, [&]() -> awaitable<void> {
    co_await server_.send("x");
    co_await client_.read_exactly(1);
  });
  clock_.advance(seconds(59));
  settle();
  EXPECT_FALSE(report_);
  clock_.advance(seconds(1));
  run_until(io_, [&] { return report_.has_value(); });
  EXPECT_TRUE(report_->idle);
  run(io_, [&]() -> awaitable<void> {
    const auto rest = co_await client_.read_to_end();
    EXPECT_EQ(rest, "");
  });
}

TEST_F(TunnelTest, CancellingEndsIt) {
  start();
  settle();
  cancel_.emit(asio::cancellation_type::terminal);
  run(io_, [&]() -> awaitable<void> {
    const auto client_rest = co_await client_.read_to_end();
    const auto server_rest = co_await server_.read_to_end();
    EXPECT_EQ(client_rest + server_rest, "");
  });
}

awaitable<void> echo(TlsStream& stream) {
  std::array<char, 4096> bytes{};
  for (;;) {
    const auto [failed, size] =
        co_await stream.async_read_some(asio::buffer(bytes), asio::as_tuple(asio::use_awaitable));
    if (failed) co_return;
    co_await asio::async_write(stream, asio::buffer(bytes.data(), size), asio::as_tuple(asio::use_awaitable));
  }
}

TEST_F(TunnelTest, CarriesBytesToATlsServer) {
  const Authority authority("trusted");
  TlsServer server(io_, authority.issue("server", "IP:127.0.0.1"), echo);
  auto tls = std::make_shared<TlsOptions>(TlsOptions{.ca_pem = authority.pem()});
  auto stream = connect_server(server.endpoint(), tls);
  spawn(connect_client(), std::move(stream), "head");
  const std::string bytes(100'000, 'x');
  run(io_, [&]() -> awaitable<void> {
    co_await client_.send(bytes);
    const auto back = co_await client_.read_exactly(bytes.size() + 4);
    EXPECT_TRUE(back == "head" + bytes);
    client_.socket().shutdown(asio::ip::tcp::socket::shutdown_send);
    const auto rest = co_await client_.read_to_end();
    EXPECT_EQ(rest, "");
  });
  run_until(io_, [&] { return report_.has_value(); });
}

}  // namespace
}  // namespace fresnel::net

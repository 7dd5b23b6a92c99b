#include "fresnel/net/dial.hpp"

#include <gmock/gmock.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/redirect_error.hpp>

#include "fresnel/net/proxy_testing.hpp"

namespace fresnel::net {
namespace {

using net::testing::answer_what_was_seen;
using net::testing::Authority;
using net::testing::run;
using net::testing::run_until;
using net::testing::TestProxy;
using net::testing::TlsServer;
using ::testing::HasSubstr;

using Dialled = result<std::unique_ptr<ClientStream>>;

class DialTest : public ::testing::Test {
 protected:
  ~DialTest() override {
    server_.reset();
    io_.restart();
    io_.poll();
  }
  void start(const std::string& names, const std::string& client_ca = "") {
    server_.emplace(io_, authority_.issue("server", names), answer_what_was_seen, client_ca);
  }
  Dialled try_dial(Endpoint endpoint, std::shared_ptr<const TlsOptions> tls, Duration timeout = seconds(10),
                   const std::string& proxy_url = "") {
    Dialled dialled;
    run(io_, [&]() -> awaitable<void> {
      dialled = co_await dial(io_.get_executor(), endpoint.host, endpoint.port, tls, timeout, proxy_url);
    });
    return dialled;
  }
  Dialled try_tls(const TlsOptions& tls) {
    return try_dial(server_->endpoint(), std::make_shared<const TlsOptions>(tls));
  }
  // What the server answers over `stream`.
  std::string ask(ClientStream& stream) {
    std::string answer;
    run(io_, [&]() -> awaitable<void> {
      const std::array<std::string_view, 3> parts{"GET / HTTP/1.1\r\n", "Host: h\r\n", "\r\n"};
      std::array<asio::const_buffer, 3> buffers;
      for (std::size_t i = 0; i < parts.size(); ++i) buffers[i] = asio::buffer(parts[i]);
      co_await asio::async_write(stream, buffers, asio::use_awaitable);
      auto space = asio::dynamic_buffer(answer);
      co_await asio::async_read_until(stream, space, " h", asio::use_awaitable);
    });
    return answer.substr(answer.find("\r\n\r\n") + 4);
  }

  Authority authority_{"trusted"};
  asio::io_context io_;
  std::optional<TlsServer> server_;
};

TEST_F(DialTest, ReadsAndWritesPlainTcp) {
  asio::ip::tcp::acceptor acceptor(io_, {asio::ip::make_address("127.0.0.1"), 0});
  auto dialled = try_dial({"localhost", acceptor.local_endpoint().port()}, nullptr);
  ASSERT_TRUE(dialled) << dialled.error().message;
  auto& stream = **dialled;
  EXPECT_FALSE(stream.is_tls());
  auto peer = acceptor.accept();
  run(io_, [&]() -> awaitable<void> {
    co_await asio::async_write(stream, asio::buffer("there", 5), asio::use_awaitable);
    stream.shutdown_send();
    std::string received;
    auto space = asio::dynamic_buffer(received);
    error_code ended;
    co_await asio::async_read(peer, space, asio::redirect_error(asio::use_awaitable, ended));
    EXPECT_EQ(received, "there");
    EXPECT_EQ(ended, asio::error::eof);
    co_await asio::async_write(peer, asio::buffer("back", 4), asio::use_awaitable);
    std::array<char, 4> bytes{};
    co_await asio::async_read(stream, asio::buffer(bytes), asio::use_awaitable);
    EXPECT_EQ(std::string_view(bytes.data(), 4), "back");
  });
}

TEST_F(DialTest, VerifiesTheServerAndOffersOnlyHttp11) {
  start("IP:127.0.0.1");
  auto dialled = try_tls({.ca_pem = authority_.pem()});
  ASSERT_TRUE(dialled) << dialled.error().message;
  EXPECT_TRUE((*dialled)->is_tls());
  EXPECT_EQ(ask(**dialled), "  h");
  EXPECT_EQ(server_->offered(), "\x08http/1.1");
}

TEST_F(DialTest, RefusesWhomItDoesNotTrust) {
  start("DNS:example.test");
  const auto endpoint = server_->endpoint().to_string();
  const auto stranger = try_tls({.ca_pem = Authority("other").pem(), .server_name = "example.test"});
  ASSERT_FALSE(stranger);
  EXPECT_EQ(stranger.error().code, Errc::tls_failed);
  EXPECT_THAT(stranger.error().message, HasSubstr(endpoint));
  EXPECT_THAT(stranger.error().message, HasSubstr("unable to get local issuer certificate"));
  EXPECT_FALSE(try_tls({.server_name = "example.test"}));  // the system's roots
  EXPECT_FALSE(try_tls({.ca_pem = authority_.pem()}));     // the certificate is for another name
  EXPECT_TRUE(try_tls({.insecure_skip_verify = true}));
}

TEST_F(DialTest, AServerNameIsAnnouncedAndVerified) {
  start("DNS:example.test");
  auto dialled = try_tls({.ca_pem = authority_.pem(), .server_name = "example.test"});
  ASSERT_TRUE(dialled) << dialled.error().message;
  EXPECT_EQ(ask(**dialled), "example.test  h");
}

TEST_F(DialTest, ShowsItsClientCertificate) {
  const Authority clients("clients");
  start("IP:127.0.0.1", clients.pem());
  const auto alice = clients.issue("alice");
  auto dialled =
      try_tls({.ca_pem = authority_.pem(), .client_cert_pem = alice.cert_pem, .client_key_pem = alice.key_pem});
  ASSERT_TRUE(dialled) << dialled.error().message;
  EXPECT_EQ(ask(**dialled), " alice h");
}

TEST_F(DialTest, SaysWhichCertificateOrKeyIsUnreadable) {
  start("IP:127.0.0.1");
  const auto alice = authority_.issue("alice");
  const auto bob = authority_.issue("bob");
  for (const TlsOptions& bad :
       {TlsOptions{.ca_pem = "garbage"},
        TlsOptions{.ca_pem = authority_.pem(), .client_cert_pem = "garbage", .client_key_pem = alice.key_pem},
        TlsOptions{.ca_pem = authority_.pem(), .client_cert_pem = alice.cert_pem, .client_key_pem = "garbage"},
        TlsOptions{.ca_pem = authority_.pem(), .client_cert_pem = alice.cert_pem, .client_key_pem = bob.key_pem}}) {
    const auto dialled = try_tls(bad);
    ASSERT_FALSE(dialled);
    EXPECT_EQ(dialled.error().code, Errc::tls_failed);
  }
}

TEST_F(DialTest, SaysThatNobodyListensOrTheNameIsUnknown) {
  asio::ip::tcp::acceptor closed(io_, {asio::ip::make_address("127.0.0.1"), 0});
  const auto port = closed.local_endpoint().port();
  closed.close();
  const auto refused = try_dial({"127.0.0.1", port}, nullptr);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::connect_failed);
  EXPECT_THAT(refused.error().message, HasSubstr("127.0.0.1:" + std::to_string(port)));
  const auto unknown = try_dial({"no such host", 1}, nullptr);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, Errc::connect_failed);
}

// A server that accepts and stays silent.
TEST_F(DialTest, GivesUpInTimeAndWhenCancelled) {
  asio::ip::tcp::acceptor acceptor(io_, {asio::ip::make_address("127.0.0.1"), 0});
  const Endpoint endpoint{"127.0.0.1", acceptor.local_endpoint().port()};
  auto tls = std::make_shared<TlsOptions>();
  const auto late = try_dial(endpoint, tls, milliseconds(20));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Errc::timeout);

  asio::cancellation_signal cancel;
  std::optional<Dialled> outcome;
  asio::co_spawn(io_, dial(io_.get_executor(), endpoint.host, endpoint.port, tls, seconds(10), ""),
                 asio::bind_cancellation_slot(
                     cancel.slot(), [&](const std::exception_ptr&, Dialled dialled) { outcome = std::move(dialled); }));
  auto first = acceptor.accept();
  run(io_, [&]() -> awaitable<void> { first = co_await acceptor.async_accept(asio::use_awaitable); });
  cancel.emit(asio::cancellation_type::terminal);
  run_until(io_, [&] { return outcome.has_value(); });
  EXPECT_EQ(outcome->error().code, Errc::cancelled);
}

TEST_F(DialTest, TakesEveryAnswerThatAProxyMayGive) {
  struct Case {
    Proxy::Kind kind;
    std::string answer;
    std::string why;  // empty: connected
    Errc code = Errc::protocol;
  };
  const auto http = Proxy::Kind::http;
  const auto socks = Proxy::Kind::socks5;
  const std::string chosen("\5\0", 2);
  const std::string ipv4("\5\0\0\1....pp", 10);
  for (const auto& [kind, answer, why, code] :
       {Case{http, "HTTP/1.1 200 OK\r\n\r\n", ""}, Case{http, "HTTP/1.0 204 \r\nContent-Length: 5\r\n\r\n", ""},
        Case{http, "HTTP/1.1 200 OK\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n", "too large"},
        Case{http, "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 101 Switching Protocols\r\n\r\n", "more than its answer"},
        Case{http, "HTTP/1.1 301 Moved\r\n\r\n", "HTTP 301", Errc::connect_failed},
        Case{http, "HTTP/1.1 100 Continue\r\n\r\n", "HTTP 100", Errc::connect_failed},
        Case{http, "HTTP/1.1 200 OK\r\nX: ", "broke off", Errc::connect_failed},
        Case{http, "SSH-2.0-OpenSSH\r\n\r\n", "does not speak HTTP"}, Case{socks, chosen + ipv4, ""},
        Case{socks, chosen + std::string("\5\0\0\4", 4) + std::string(16, '.') + "pp", ""},
        Case{socks, chosen + std::string("\5\0\0\3\4host", 9) + "pp", ""},
        Case{socks, chosen + std::string("\5\0\0\2", 4), "does not speak SOCKS5"},
        Case{socks, chosen + std::string("\4\0\0\1", 4), "does not speak SOCKS5"},
        Case{socks, "\5\1", "wants a user", Errc::connect_failed},
        Case{socks, "\5\xff", "wants a user", Errc::connect_failed},
        Case{socks, "HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak SOCKS5"},
        Case{socks, chosen + std::string("\5\4\0\1", 4), "SOCKS reply 4, host unreachable", Errc::connect_failed},
        Case{socks, chosen + std::string("\5\xf0\0\1", 4), "SOCKS reply 240, an unknown", Errc::connect_failed},
        Case{socks, chosen + ipv4.substr(0, 9), "broke off", Errc::connect_failed}}) {
    const TestProxy proxy(io_, {.kind = kind, .answer = answer});
    const auto dialled = try_dial({"cluster.test", 443}, nullptr, seconds(10), proxy.url());
    const auto what = ::testing::PrintToString(answer.substr(0, 40));
    ASSERT_EQ(dialled.has_value(), why.empty()) << what << (dialled ? "" : dialled.error().message);
    if (dialled) continue;
    EXPECT_EQ(dialled.error().code, code) << what;
    EXPECT_THAT(dialled.error().message, HasSubstr(why)) << what;
  }
}

TEST_F(DialTest, AsksAProxyForNoNameThatWouldBreakTheRequest) {
  for (const auto kind : {Proxy::Kind::http, Proxy::Kind::socks5}) {
    const TestProxy proxy(io_, {.kind = kind});
    for (const auto& name : {std::string(), std::string("a b"), std::string("a\r\nX-Evil: b"), std::string(256, 'x')}) {
      const auto dialled = try_dial({name, 443}, nullptr, seconds(10), proxy.url());
      ASSERT_FALSE(dialled);
      EXPECT_EQ(dialled.error().code, Errc::invalid_argument);
    }
    EXPECT_TRUE(proxy.asked().empty());
  }
}

TEST_F(DialTest, ClosingEndsAPendingRead) {
  start("IP:127.0.0.1");
  auto dialled = try_tls({.ca_pem = authority_.pem()});
  ASSERT_TRUE(dialled);
  std::array<char, 10> space{};
  std::optional<error_code> ended;
  (*dialled)->async_read_some(asio::buffer(space), [&](const error_code& failed, std::size_t) { ended = failed; });
  dialled.value().reset();
  run_until(io_, [&] { return ended.has_value(); });
  EXPECT_TRUE(*ended);
}

}  // namespace
}  // namespace fresnel::net

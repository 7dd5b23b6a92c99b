// What leaves through a proxy, the same for HTTP and WebSockets: each case runs with a CurlClient (http, https) and
// with a WebSocketDialer (ws, wss), through proxies of each kind.
#include <gmock/gmock.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "fresnel/net/curl_client.hpp"
#include "fresnel/net/proxy_testing.hpp"
#include "fresnel/net/tls_server.hpp"
#include "fresnel/net/websocket_client.hpp"
#include "fresnel/net/websocket_connection.hpp"

namespace fresnel::net {
namespace {

using net::testing::Authority;
using net::testing::run;
using net::testing::run_until;
using net::testing::TestProxy;
using net::testing::TestProxyOptions;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Kind = Proxy::Kind;

// What SSL_CERT_FILE says until this ends, or the next one; then nothing.
class SystemRoots {
 public:
  explicit SystemRoots(const std::string& pem) : path_(::testing::TempDir() + "proxied_test_roots.XXXXXX") {
    const int file = ::mkstemp(path_.data());
    if (file < 0) throw std::runtime_error("no temporary file");
    ::close(file);
    std::ofstream(path_) << pem;
    ::setenv("SSL_CERT_FILE", path_.c_str(), 1);
  }
  ~SystemRoots() {
    ::unsetenv("SSL_CERT_FILE");
    (void)std::remove(path_.c_str());
  }
  SystemRoots(const SystemRoots&) = delete;
  SystemRoots& operator=(const SystemRoots&) = delete;

 private:
  std::string path_;
};

struct Way {
  std::string scheme;  // of the target
  Kind proxy = Kind::http;

  [[nodiscard]] bool is_websocket() const { return scheme.starts_with("ws"); }
  [[nodiscard]] bool is_tls() const { return scheme == "https" || scheme == "wss"; }
  // The request goes to the proxy itself, which answers with a response of its own.
  [[nodiscard]] bool is_forwarded() const { return scheme == "http" && proxy != Kind::socks5; }
  friend std::ostream& operator<<(std::ostream& out, const Way& way) {
    return out << way.scheme << " through "
               << (way.proxy == Kind::http    ? "http"
                   : way.proxy == Kind::https ? "https"
                                              : "socks5");
  }
};

std::vector<Way> ways(bool (*wanted)(const Way&)) {
  std::vector<Way> ways;
  for (const auto* scheme : {"http", "https", "ws", "wss"}) {
    for (const auto proxy : {Kind::http, Kind::https, Kind::socks5}) {
      if (const Way way{scheme, proxy}; wanted(way)) ways.push_back(way);
    }
  }
  return ways;
}

class ProxiedTest : public ::testing::TestWithParam<Way> {
 protected:
  ProxiedTest() {
    const auto serve = [this](HttpExchange& exchange) { return answer(exchange); };
    HttpServerOptions options;
    if (way().is_tls()) {
      const auto identity = servers_.issue("server", "DNS:cluster.test,DNS:other.test,IP:127.0.0.1");
      options.tls = TlsServer::make({.certificate_pem = identity.cert_pem, .key_pem = identity.key_pem}).value();
    }
    server_.emplace(io_.get_executor(), clock_, options, serve);
    port_ = server_->listen({"127.0.0.1", 0}).value().port;
    tls_ = std::make_shared<TlsOptions>(TlsOptions{.ca_pem = servers_.pem()});
  }
  ~ProxiedTest() override {
    client_.reset();
    sockets_.clear();
    server_.reset();
    proxies_.clear();
    io_.restart();
    io_.poll();
  }
  static Way way() { return GetParam(); }

  awaitable<void> answer(HttpExchange& exchange) {
    seen_.push_back(std::string(exchange.request().headers.get("host")) + " " + exchange.request().target + " " +
                    std::string(exchange.request().headers.get("authorization")));
    if (!exchange.request().upgrade) {
      Headers headers;
      std::string body = "hello";
      co_await exchange.respond(200, std::move(headers), std::move(body));
      co_return;
    }
    auto accepting = WebSocketConnection::accept(exchange.take_socket(), exchange.request(), clock_);
    auto accepted = co_await std::move(accepting);
    EXPECT_TRUE(accepted) << accepted.error().message;
    if (!accepted) co_return;
    (void)(*accepted)->send("hello");
    sockets_.push_back(std::move(*accepted));
  }
  TestProxy& start_proxy(TestProxyOptions options = {}) {
    options.kind = way().proxy;
    if (options.kind == Kind::https) options.identity = proxy_authority_.issue("proxy", "DNS:localhost");
    return *proxies_.emplace_back(std::make_unique<TestProxy>(io_, std::move(options)));
  }
  // Of a proxy that is none.
  [[nodiscard]] static std::string url_of(const asio::ip::tcp::acceptor& acceptor) {
    const auto* scheme = way().proxy == Kind::http ? "http" : way().proxy == Kind::https ? "https" : "socks5";
    return scheme + std::string("://ada:hush@localhost:") + std::to_string(acceptor.local_endpoint().port());
  }

  awaitable<result<std::string>> fetch(std::string url, std::string proxy_url, Duration limit) {
    HttpRequest request;
    request.url = std::move(url);
    request.proxy_url = std::move(proxy_url);
    request.tls = tls_;
    request.headers.add("Authorization", "Bearer token");
    request.connect_timeout = request.response_timeout = limit;
    auto opened = co_await client_->open(std::move(request));
    if (!opened) co_return opened.error();
    if ((*opened)->status() != 200) co_return Error{Errc::api, "HTTP " + std::to_string((*opened)->status())};
    co_return co_await read_all(**opened, 1000);
  }
  awaitable<result<std::string>> receive(std::string url, std::string proxy_url, Duration limit) {
    DialRequest request;
    request.url = std::move(url);
    request.proxy_url = std::move(proxy_url);
    request.tls = tls_;
    request.headers.add("Authorization", "Bearer token");
    request.timeout = limit;
    auto dialled = co_await dialer_.dial(std::move(request));
    if (!dialled) co_return dialled.error();
    auto message = co_await (*dialled)->read();
    if (!message) co_return message.error();
    co_return message->payload;
  }
  awaitable<result<std::string>> asking(std::string proxy_url, std::string host, Duration limit = seconds(10)) {
    auto url = way().scheme + "://" + host + ":" + std::to_string(port_) + "/path?x=1";
    return way().is_websocket() ? receive(std::move(url), std::move(proxy_url), limit)
                                : fetch(std::move(url), std::move(proxy_url), limit);
  }
  // What the server says, or the error.
  result<std::string> ask(const std::string& proxy_url, const std::string& host = "cluster.test",
                          Duration limit = seconds(10)) {
    result<std::string> answer;
    run(io_, [&]() -> awaitable<void> { answer = co_await asking(proxy_url, host, limit); });
    return answer;
  }
  // What a proxy is asked for `host`.
  [[nodiscard]] std::string question(const std::string& host = "cluster.test") const {
    const auto target = host + ":" + std::to_string(port_);
    if (way().is_forwarded()) return "GET http://" + target + "/path?x=1";
    return (way().proxy == Kind::socks5 ? "SOCKS " : "CONNECT ") + target;
  }
  void expect_refused(const result<std::string>& answer, const TestProxy& proxy, Errc code, std::string_view why) {
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, code) << answer.error().message;
    EXPECT_EQ(answer.error().status, 0);
    EXPECT_THAT(answer.error().message, HasSubstr(proxy.url()));
    EXPECT_THAT(answer.error().message, HasSubstr("cluster.test:" + std::to_string(port_)));
    EXPECT_THAT(answer.error().message, HasSubstr(std::string(why)));
    for (const auto* secret : {"hush", "ada", "token"}) {
      EXPECT_THAT(answer.error().message, Not(HasSubstr(secret)));
    }
    EXPECT_THAT(seen_, IsEmpty());
  }

  Authority servers_{"servers"};
  Authority proxy_authority_{"proxies"};
  SystemRoots roots_{proxy_authority_.pem()};
  asio::io_context io_;
  SteadyClock clock_;
  std::optional<HttpServer> server_;
  std::uint16_t port_ = 0;
  std::shared_ptr<TlsOptions> tls_;
  std::vector<std::unique_ptr<TestProxy>> proxies_;
  std::vector<std::shared_ptr<WebSocketConnection>> sockets_;
  std::vector<std::string> seen_;  // "<Host> <target> <Authorization>"
  std::optional<CurlClient> client_{std::in_place, io_.get_executor()};
  WebSocketDialer dialer_{io_.get_executor()};
};

class ProxiedByHttpsTest : public ProxiedTest {};
class ProxiedToTlsTest : public ProxiedTest {};

std::string name_of(const ::testing::TestParamInfo<Way>& info) {
  auto name = ::testing::PrintToString(info.param);
  std::replace(name.begin(), name.end(), ' ', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Ways, ProxiedTest, ::testing::ValuesIn(ways([](const Way&) { return true; })), name_of);
INSTANTIATE_TEST_SUITE_P(Ways, ProxiedByHttpsTest,
                         ::testing::ValuesIn(ways([](const Way& way) { return way.proxy == Kind::https; })), name_of);
INSTANTIATE_TEST_SUITE_P(Ways, ProxiedToTlsTest, ::testing::ValuesIn(ways([](const Way& way) { return way.is_tls(); })),
                         name_of);

TEST_P(ProxiedTest, TheProxyGetsTheNameAndTheServerTheRequest) {
  auto& proxy = start_proxy();
  EXPECT_EQ(ask(proxy.url()).value(), "hello");
  EXPECT_THAT(proxy.asked(), ElementsAre(question()));
  EXPECT_THAT(seen_, ElementsAre("cluster.test:" + std::to_string(port_) + " /path?x=1 Bearer token"));
  // What is for the server is not for the proxy, as far as it does not pass it on.
  EXPECT_THAT(proxy.heads(), Not(HasSubstr("Proxy-Authorization")));
  if (!way().is_forwarded()) {
    EXPECT_THAT(proxy.heads(), Not(HasSubstr("token")));
  }
}

TEST_P(ProxiedTest, AnExplicitProxyIsUsedForLoopbackToo) {
  auto& proxy = start_proxy();
  EXPECT_EQ(ask(proxy.url(), "127.0.0.1").value(), "hello");
  EXPECT_THAT(proxy.asked(),
              ElementsAre(way().proxy == Kind::socks5 ? "SOCKS IPv4:" + std::to_string(port_) : question("127.0.0.1")));
}

TEST_P(ProxiedTest, SaysWhoAsks) {
  auto& proxy = start_proxy({.username = "ada", .password = "hu sh"});
  EXPECT_EQ(ask(proxy.url("ada:hu%20sh@")).value(), "hello");
  EXPECT_THAT(proxy.asked(), ElementsAre(question()));
}

TEST_P(ProxiedTest, AWrongOrMissingPasswordIsTheProxysRefusal) {
  for (const std::string userinfo : {"ada:hushhush@", "ada@", ""}) {
    std::string why = "HTTP 407";
    if (way().proxy == Kind::socks5) why = userinfo.empty() ? "wants a user" : "refused the user";
    if (way().proxy == Kind::socks5 && !way().is_websocket()) why = "";  // libcurl's own words
    auto& proxy = start_proxy({.username = "ada", .password = "hush"});
    expect_refused(ask(proxy.url(userinfo)), proxy, Errc::connect_failed, why);
    EXPECT_THAT(proxy.asked(), IsEmpty());
  }
}

TEST_P(ProxiedTest, ARefusalNamesTheProxyAndItsStatus) {
  for (const int status : {403, 502}) {
    auto& proxy = start_proxy({.refusal = status});
    const auto answer = ask(proxy.url("ada:hush@"));
    const auto why = way().proxy == Kind::socks5 ? std::string() : "HTTP " + std::to_string(status);
    if (way().is_forwarded()) {
      EXPECT_EQ(answer.error().message, why);  // whoever answered it, that is the response
    } else {
      expect_refused(answer, proxy, Errc::connect_failed, why);
    }
  }
}

TEST_P(ProxiedTest, AProxyThatIsDownIsNamed) {
  auto& proxy = start_proxy();
  asio::ip::tcp::acceptor closed(io_, {asio::ip::make_address("127.0.0.1"), 0});
  const auto url = url_of(closed);
  closed.close();
  const auto answer = ask(url);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::connect_failed);
  EXPECT_THAT(answer.error().message, HasSubstr(url.substr(url.find('@') + 1)));
  EXPECT_THAT(answer.error().message, Not(HasSubstr("hush")));
  EXPECT_EQ(proxy.connections(), 0);
}

TEST_P(ProxiedTest, ASilentProxyIsATimeout) {
  asio::ip::tcp::acceptor silent(io_, {asio::ip::make_address("127.0.0.1"), 0});
  const auto answer = ask(url_of(silent), "cluster.test", milliseconds(50));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::timeout) << answer.error().message;
  EXPECT_THAT(answer.error().message, HasSubstr("proxy"));
  EXPECT_THAT(answer.error().message, Not(HasSubstr("hush")));
}

TEST_P(ProxiedTest, CancellingGivesASilentProxyUp) {
  asio::ip::tcp::acceptor silent(io_, {asio::ip::make_address("127.0.0.1"), 0});
  asio::cancellation_signal cancel;
  std::optional<result<std::string>> outcome;
  asio::co_spawn(
      io_, asking(url_of(silent), "cluster.test"),
      asio::bind_cancellation_slot(
          cancel.slot(), [&](const std::exception_ptr&, result<std::string> answer) { outcome = std::move(answer); }));
  std::string received(1, '\0');
  asio::ip::tcp::socket peer(io_);
  run(io_, [&]() -> awaitable<void> {
    peer = co_await silent.async_accept(asio::use_awaitable);
    co_await asio::async_read(peer, asio::buffer(received), asio::use_awaitable);
  });
  cancel.emit(asio::cancellation_type::terminal);
  run_until(io_, [&] { return outcome.has_value(); });
  EXPECT_EQ(outcome->error().code, Errc::cancelled);
  run(io_, [&]() -> awaitable<void> {  // the connection is gone
    std::string rest;
    auto space = asio::dynamic_buffer(rest);
    co_await asio::async_read(peer, space, asio::as_tuple(asio::use_awaitable));
  });
}

TEST_P(ProxiedTest, AProxyThatTalksNonsenseOrHangsUpIsAnError) {
  for (const std::string nonsense : {"SSH-2.0-OpenSSH\r\n\r\n", "\5", "HTTP/1.1 2", "\4\1"}) {
    auto& proxy = start_proxy({.answer = nonsense});
    const auto answer = ask(proxy.url("ada:hush@"));
    ASSERT_FALSE(answer) << nonsense;
    EXPECT_THAT(answer.error().message, HasSubstr(proxy.url()));
    EXPECT_THAT(answer.error().message, Not(HasSubstr("hush")));
    EXPECT_TRUE(answer.error().code == Errc::connect_failed || answer.error().code == Errc::protocol ||
                (way().is_forwarded() && answer.error().code == Errc::closed))
        << answer.error().message;
  }
}

TEST_P(ProxiedByHttpsTest, TheProxyIsHeldToTheSystemsRoots) {
  auto& proxy = start_proxy();
  tls_->insecure_skip_verify = true;  // is about the server alone
  {
    const SystemRoots others(servers_.pem());
    expect_refused(ask(proxy.url()), proxy, Errc::tls_failed, "issuer certificate");
    tls_ = std::make_shared<TlsOptions>(TlsOptions{.ca_pem = servers_.pem() + proxy_authority_.pem()});
    expect_refused(ask(proxy.url()), proxy, Errc::tls_failed, "issuer certificate");
  }
  const SystemRoots right(proxy_authority_.pem());
  const auto address = "https://127.0.0.1" + proxy.address().substr(proxy.address().find(':'));
  const auto misnamed = ask(address);  // the certificate is for another name
  ASSERT_FALSE(misnamed);
  EXPECT_EQ(misnamed.error().code, Errc::tls_failed);
  EXPECT_EQ(ask(proxy.url()).value(), "hello");
}

TEST_P(ProxiedToTlsTest, TheServersCertificateIsVerified) {
  auto& proxy = start_proxy();
  const auto misnamed = ask(proxy.url(), "elsewhere.test");
  ASSERT_FALSE(misnamed);
  EXPECT_EQ(misnamed.error().code, Errc::tls_failed) << misnamed.error().message;
  tls_ = std::make_shared<TlsOptions>(TlsOptions{.ca_pem = servers_.pem(), .server_name = "other.test"});
  EXPECT_EQ(ask(proxy.url()).value(), "hello");  // verified by that name, and asked for by its own
  tls_ = std::make_shared<TlsOptions>(TlsOptions{.ca_pem = proxy_authority_.pem()});
  EXPECT_EQ(ask(proxy.url()).error().code, Errc::tls_failed);
  EXPECT_THAT(proxy.asked(), ElementsAre(question("elsewhere.test"), question(), question()));
}

TEST_P(ProxiedToTlsTest, WithoutAnAuthorityTheServerIsHeldToTheSystemsRoots) {
  auto& proxy = start_proxy();
  tls_ = nullptr;
  EXPECT_EQ(ask(proxy.url()).error().code, Errc::tls_failed);
  const SystemRoots both(servers_.pem() + proxy_authority_.pem());
  EXPECT_EQ(ask(proxy.url()).value(), "hello");
}

TEST_P(ProxiedTest, ConnectionsAreSharedOnlyWithinAProxyAndAUser) {
  auto& first = start_proxy();
  auto& second = start_proxy();
  auto& locked = start_proxy({.username = "ada", .password = "hush"});
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(ask(first.url()).value(), "hello");
    EXPECT_EQ(ask(second.url()).value(), "hello");
    EXPECT_EQ(ask(locked.url("ada:hush@")).value(), "hello");
    EXPECT_FALSE(ask(locked.url("ada:guess@")));
    EXPECT_FALSE(ask(locked.url("eve:hush@")));
    EXPECT_FALSE(ask(locked.url()));
    EXPECT_EQ(ask("", "127.0.0.1").value(), "hello");
  }
  const bool keeps = !way().is_websocket() && !way().is_forwarded();
  EXPECT_EQ(first.connections(), keeps ? 1 : 2);
  EXPECT_EQ(second.connections(), keeps ? 1 : 2);
  EXPECT_EQ(locked.connections(), keeps ? 7 : 8);
  EXPECT_THAT(locked.asked(), Each(question()));
}

TEST_P(ProxiedTest, SaysWhatIsWrongWithAProxysUrl) {
  for (const auto* bad : {"ftp://ada:hush@h", "ada:hush@h:1", "http://ada:hush@:1"}) {
    const auto answer = ask(bad);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Errc::invalid_argument);
    EXPECT_THAT(answer.error().message, HasSubstr("expected http, https or socks5://"));
    EXPECT_THAT(answer.error().message, Not(HasSubstr("hush")));
  }
}

// In a process of its own, which reads the environment when it first asks.
TEST_P(ProxiedTest, WithoutAProxyTheEnvironmentSays) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto body = [&] {
    auto& proxy = start_proxy({.username = "ada", .password = "hush"});
    // libcurl's own variables must not count, nor its reading of NO_PROXY.
    ::setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    ::setenv(way().is_tls() ? "HTTPS_PROXY" : "HTTP_PROXY", proxy.url("ada:hush@").c_str(), 1);
    ::setenv(way().is_tls() ? "HTTP_PROXY" : "HTTPS_PROXY", "http://127.0.0.1:1", 1);
    ::setenv("NO_PROXY", "other.test,cluster.test:1", 1);
    EXPECT_EQ(ask("").value(), "hello");
    EXPECT_EQ(ask("", "127.0.0.1").value(), "hello");
    EXPECT_FALSE(ask("", "other.test"));  // straight, and there is no such name
    EXPECT_EQ(ask(proxy.url("ada:hush@"), "other.test").value(), "hello");
    EXPECT_THAT(proxy.asked(), ElementsAre(question(), question("other.test")));
    std::exit(HasFailure() ? 1 : 0);
  };
  EXPECT_EXIT(body(), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace fresnel::net

// A proxy for tests: HTTP with CONNECT and with absolute targets (RFC 9112 section 3.2), the same behind TLS, or
// SOCKS5. It leads every name to 127.0.0.1, so that a test sees whether names came to it unresolved.
//
// Thread safety: one thread. A bad set-up throws.
#pragma once

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "fresnel/net/digest.hpp"
#include "fresnel/net/proxy.hpp"
#include "fresnel/net/tls_testing.hpp"

namespace fresnel::net::testing {

struct TestProxyOptions {
  Proxy::Kind kind = Proxy::Kind::http;
  std::string username;  // empty: nobody must say who asks
  std::string password;
  int refusal = 0;     // a status to answer with, or SOCKS5's reply 2; 0: none
  std::string answer;  // sent in answer to anything, as it is, before the connection is closed
  Identity identity;   // of an https proxy
};

class TestProxy {
 public:
  TestProxy(asio::io_context& io, TestProxyOptions options) : state_(std::make_shared<State>(io, std::move(options))) {
    asio::co_spawn(io, accept(state_), asio::detached);
  }
  ~TestProxy() { state_->acceptor.close(); }
  TestProxy(const TestProxy&) = delete;
  TestProxy& operator=(const TestProxy&) = delete;

  // With `userinfo` ("user:password@"). "localhost" for https, whose certificate names it.
  [[nodiscard]] std::string url(std::string_view userinfo = "") const {
    const auto kind = state_->options.kind;
    const std::string scheme = kind == Proxy::Kind::http ? "http" : kind == Proxy::Kind::https ? "https" : "socks5";
    return scheme + "://" + std::string(userinfo) + address();
  }
  // As messages name it.
  [[nodiscard]] std::string address() const {
    return "localhost:" + std::to_string(state_->acceptor.local_endpoint().port());
  }
  [[nodiscard]] int connections() const { return state_->connections; }
  // What it was asked for and willing to do: "CONNECT host:port", "GET http://host:port/path", "SOCKS host:port".
  [[nodiscard]] const std::vector<std::string>& asked() const { return state_->asked; }
  // The headers of HTTP requests, as they came.
  [[nodiscard]] const std::string& heads() const { return state_->heads; }

 private:
  struct State {
    State(asio::io_context& io, TestProxyOptions given)
        : options(std::move(given)),
          context(asio::ssl::context::tls_server),
          acceptor(io, {asio::ip::make_address("127.0.0.1"), 0}) {
      if (options.kind != Proxy::Kind::https) return;
      context.use_certificate_chain(asio::buffer(options.identity.cert_pem));
      context.use_private_key(asio::buffer(options.identity.key_pem), asio::ssl::context::pem);
    }
    [[nodiscard]] bool wants_credentials() const { return !options.username.empty(); }

    TestProxyOptions options;
    asio::ssl::context context;
    asio::ip::tcp::acceptor acceptor;
    int connections = 0;
    std::vector<std::string> asked;
    std::string heads;
  };
  using StatePtr = std::shared_ptr<State>;
  using Socket = asio::ip::tcp::socket;
  static constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);

  static awaitable<void> accept(StatePtr state) {
    for (;;) {
      auto [closed, socket] = co_await state->acceptor.async_accept(kNoThrow);
      if (closed) co_return;
      ++state->connections;
      const auto executor = socket.get_executor();
      asio::co_spawn(executor, serve(state, std::move(socket)), asio::detached);
    }
  }
  static awaitable<void> serve(StatePtr state, Socket socket) {
    try {
      if (state->options.kind == Proxy::Kind::https) {
        TlsStream stream(std::move(socket), state->context);
        co_await stream.async_handshake(TlsStream::server, asio::use_awaitable);
        co_await serve_http(state, stream);
      } else if (state->options.kind == Proxy::Kind::http) {
        co_await serve_http(state, socket);
      } else {
        co_await serve_socks(state, socket);
      }
    } catch (const boost::system::system_error&) {
    }
  }

  // Only the port counts.
  static awaitable<Socket> reach(std::uint16_t port) {
    Socket server(co_await asio::this_coro::executor);
    const asio::ip::tcp::endpoint address(asio::ip::make_address("127.0.0.1"), port);
    co_await server.async_connect(address, asio::use_awaitable);
    co_return server;
  }
  template <class Stream>
  static awaitable<void> send(Stream& stream, std::string text) {
    co_await asio::async_write(stream, asio::buffer(text), asio::use_awaitable);
  }
  // Takes what still comes, so that the kernel does not reset the connection and the text with it.
  template <class Stream>
  static awaitable<void> say_goodbye(Stream& stream, std::string text) {
    co_await send(stream, text);
    stream.lowest_layer().shutdown(Socket::shutdown_send);
    std::string rest;
    auto space = asio::dynamic_buffer(rest);
    co_await asio::async_read(stream, space, kNoThrow);
  }
  template <class From, class To>
  static awaitable<void> copy(From& from, To& to) {
    std::array<char, 16384> space{};
    for (;;) {
      const auto [ended, size] = co_await from.async_read_some(asio::buffer(space), kNoThrow);
      const auto bytes = asio::buffer(space.data(), size);
      const auto [failed, written] = co_await asio::async_write(to, bytes, kNoThrow);
      if (ended || failed) break;
    }
    error_code ignored;
    from.lowest_layer().close(ignored);
    to.lowest_layer().close(ignored);
  }
  template <class Stream>
  static awaitable<void> join(Stream& client, Socket& server) {
    using namespace asio::experimental::awaitable_operators;
    co_await (copy(client, server) && copy(server, client));
  }

  static std::uint16_t port_of(std::string_view authority) {
    return static_cast<std::uint16_t>(std::stoi(std::string(authority.substr(authority.rfind(':') + 1))));
  }
  static std::string refusal(int status) {
    return "HTTP/1.1 " + std::to_string(status) +
           " No\r\nProxy-Authenticate: Basic realm=\"test\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
  }

  template <class Stream>
  static awaitable<void> serve_http(StatePtr state, Stream& client) {
    std::string pending;
    auto buffer = asio::dynamic_buffer(pending);
    const auto size = co_await asio::async_read_until(client, buffer, "\r\n\r\n", asio::use_awaitable);
    const auto& options = state->options;
    auto head = pending.substr(0, size);
    state->heads += head;
    const auto credentials = "Proxy-Authorization: Basic " + to_base64(options.username + ":" + options.password);
    const bool known = !state->wants_credentials() || head.find(credentials + "\r\n") != std::string::npos;
    const int status = known ? options.refusal : 407;
    if (!options.answer.empty() || status != 0) {
      std::string reply = options.answer;
      if (reply.empty()) reply = refusal(status);
      co_await say_goodbye(client, std::move(reply));
      co_return;
    }
    const auto method = head.substr(0, head.find(' '));
    auto target = head.substr(method.size() + 1, head.find(' ', method.size() + 1) - method.size() - 1);
    state->asked.push_back(method + " " + target);
    if (method == "CONNECT") {
      auto server = co_await reach(port_of(target));
      co_await send(client, "HTTP/1.1 200 Connection established\r\nX-Proxy: test\r\n\r\n");
      co_await join(client, server);
      co_return;
    }
    const auto path = target.find('/', std::string_view("http://").size());
    auto server = co_await reach(port_of(target.substr(0, path)));
    std::string onwards = method + " " + target.substr(path) + " HTTP/1.1\r\nConnection: close";
    for (std::string_view rest = std::string_view(head).substr(head.find("\r\n"));;) {
      const auto line = rest.substr(0, rest.find("\r\n", 2));
      if (!line.starts_with("\r\nProxy-")) onwards += line;
      if (line.size() == rest.size() || line.empty()) break;
      rest.remove_prefix(line.size());
    }
    onwards += pending.substr(size);
    co_await send(server, std::move(onwards));
    co_await join(client, server);
  }

  static awaitable<std::string> take(Socket& client, std::size_t size) {
    std::string bytes(size, '\0');
    co_await asio::async_read(client, asio::buffer(bytes), asio::use_awaitable);
    co_return bytes;
  }
  static awaitable<bool> socks_knows(StatePtr state, Socket& client) {
    const auto& options = state->options;
    const auto greeting = co_await take(client, 2);
    const auto methods = co_await take(client, static_cast<unsigned char>(greeting[1]));
    const char method = state->wants_credentials() ? 2 : 0;
    const bool offered = methods.find(method) != std::string::npos;
    std::string choice("\5\xff");
    if (offered) choice[1] = method;
    co_await send(client, std::move(choice));
    if (!offered || method == 0) co_return offered;
    const auto user_size = co_await take(client, 2);
    const auto user = co_await take(client, static_cast<unsigned char>(user_size[1]));
    const auto password_size = co_await take(client, 1);
    const auto password = co_await take(client, static_cast<unsigned char>(password_size[0]));
    const bool right = user == options.username && password == options.password;
    std::string verdict("\1\1");
    if (right) verdict[1] = 0;
    co_await send(client, std::move(verdict));
    co_return right;
  }
  static awaitable<void> serve_socks(StatePtr state, Socket& client) {
    if (!state->options.answer.empty()) {
      co_await take(client, 1);
      co_await say_goodbye(client, state->options.answer);
      co_return;
    }
    if (!co_await socks_knows(state, client)) co_return;
    const auto head = co_await take(client, 4);
    std::string host;
    if (head[3] == 3) {
      const auto size = co_await take(client, 1);
      host = co_await take(client, static_cast<unsigned char>(size[0]));
    } else {
      const std::size_t size = head[3] == 1 ? 4 : 16;
      (void)co_await take(client, size);
      host = size == 4 ? "IPv4" : "IPv6";
    }
    const auto port_bytes = co_await take(client, 2);
    const auto port = static_cast<std::uint16_t>(static_cast<unsigned char>(port_bytes[0]) << 8 |
                                                 static_cast<unsigned char>(port_bytes[1]));
    const bool refuses = state->options.refusal != 0;
    if (!refuses) state->asked.push_back("SOCKS " + host + ":" + std::to_string(port));
    std::string reply("\5\2\0\3\4host\0\x50", 11);  // with a name for its own address
    if (!refuses) reply[1] = 0;
    if (refuses) {
      co_await say_goodbye(client, reply);
      co_return;
    }
    auto server = co_await reach(port);
    co_await send(client, reply);
    co_await join(client, server);
  }

  StatePtr state_;
};

}  // namespace fresnel::net::testing

// An HTTP/1.1 server on Beast: keep-alive, streamed responses, upgrades handed over with their socket.
//
//   HttpServer server(executor, clock, options, [](HttpExchange& exchange) -> awaitable<void> {
//     co_await exchange.respond(200, {{"content-type", "text/plain"}}, "ok\n");
//   });
//   auto bound = server.listen({"127.0.0.1", 0});
//
// A handler that throws, or returns without an answer, is answered for with 500; one that returns in the middle of a
// streamed response has the connection cut, so that the client sees it broken off.
//
// Thread safety: one thread (that of the executor). The handler runs as a coroutine, one a connection; stop() cancels
// those still running, which then end when the executor runs next: what they refer to must live until then.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "fresnel/base/asio.hpp"
#include "fresnel/base/clock.hpp"
#include "fresnel/base/error.hpp"
#include "fresnel/net/http.hpp"
#include "fresnel/net/server_socket.hpp"

namespace fresnel::net {

struct Endpoint {
  std::string host = "127.0.0.1";  // a numeric address or a name
  std::uint16_t port = 0;          // 0: a free one

  // "host:port", an IPv6 host in brackets. Error invalid_argument says what was expected.
  [[nodiscard]] static result<Endpoint> parse(std::string_view text);
  [[nodiscard]] std::string to_string() const;
};

struct ServerRequest {
  std::string method;
  std::string target;  // as sent: path and query
  Headers headers;
  std::string body;
  std::string peer;                                      // address:port
  bool upgrade = false;                                  // asks for a protocol switch (RFC 9110 section 7.8)
  std::shared_ptr<const ClientCertificate> certificate;  // verified; null: the client showed none

  [[nodiscard]] std::string_view path() const noexcept;   // before '?', still percent-encoded
  [[nodiscard]] std::string_view query() const noexcept;  // after '?', empty when none
};

// A connection taken over from the server: the socket and the bytes already read beyond the request.
struct UpgradedSocket {
  ServerSocket socket;
  std::string leftover;
};

// One request and its response. The handler must respond, stream, or take the socket.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;
  [[nodiscard]] virtual const ServerRequest& request() const noexcept = 0;
  [[nodiscard]] virtual const Executor& executor() const noexcept = 0;
  // A whole response. Errors (closed, timeout) need no handling: the connection is already being dropped.
  virtual awaitable<result<void>> respond(int status, Headers headers, std::string body) = 0;
  // A response in parts, chunked unless `headers` has a content-length. Parts are sent as they come, unbuffered.
  virtual awaitable<result<void>> begin(int status, Headers headers) = 0;
  virtual awaitable<result<void>> write(std::string_view bytes) = 0;
  virtual awaitable<result<void>> finish() = 0;
  // Completes when the client has gone away (or has closed its side); run it beside a streamed response that may stay
  // quiet for long. It must have ended before the handler does.
  virtual awaitable<void> wait_for_disconnect() = 0;
  // The socket, for an upgrade or a tunnel; the exchange is over. The request stays readable.
  [[nodiscard]] virtual UpgradedSocket take_socket() = 0;
};

struct HttpServerOptions {
  std::size_t max_header = 64u << 10;     // bytes; beyond: 431
  std::size_t max_body = 16u << 20;       // bytes; beyond: 413
  std::size_t max_connections = 10'000;   // beyond: 503 with Retry-After
  Duration header_timeout = seconds(15);  // from accept to the first byte, and from there to a whole request header
  Duration body_timeout = seconds(60);
  Duration write_timeout = seconds(30);        // one write that makes no progress
  Duration keep_alive_timeout = seconds(120);  // from a response to the first byte of the next request
  bool reuse_port = false;                     // SO_REUSEPORT: several servers, one a thread, on one port
  std::shared_ptr<const TlsServer> tls;        // null: plain TCP. The handshake is part of header_timeout
};

class HttpServer {
 public:
  using Handler = std::function<awaitable<void>(HttpExchange&)>;

  HttpServer(const Executor& executor, Clock& clock, HttpServerOptions options, Handler handler);
  ~HttpServer();  // stop()
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Binds and accepts from now on. Returns the address in use. Error: invalid_argument, or internal when it is taken.
  [[nodiscard]] result<Endpoint> listen(const Endpoint& endpoint);
  // Stops accepting and drops every connection the server still owns (upgraded sockets are their takers').
  void stop();
  // Connections whose requests are being read or handled; one taken over counts until its handler returns.
  [[nodiscard]] std::size_t connections() const noexcept;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace fresnel::net

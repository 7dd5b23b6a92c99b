// One connection of an HttpServer: reads requests, runs the handler for each, frames the responses. Internal to net.
//
// Thread safety: one thread, that of the socket's executor. Owned by the coroutines that run serve() or refuse() and
// watch(); drop() may be called at any moment on that thread.
// One deadline is enough: a connection either reads a request or writes a response. wait_for_disconnect() has none.
#pragma once

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <memory>
#include <string>

#include "fresnel/net/http_server.hpp"

namespace fresnel::net {

class HttpConnection : public std::enable_shared_from_this<HttpConnection> {
 public:
  HttpConnection(ServerSocket socket, Clock& clock, const HttpServerOptions& options);

  // Serves requests until the connection ends.
  [[nodiscard]] awaitable<void> serve(const HttpServer::Handler& handler);
  // Answers whatever comes with 503 and ends.
  [[nodiscard]] awaitable<void> refuse();
  // Cuts the connection when a deadline is missed; runs beside the other two and ends with them.
  [[nodiscard]] awaitable<void> watch();
  // Cuts the connection and cancels its handler, unless the handler has taken the socket.
  void drop();
  // Cancels serve(); to be bound to the coroutine that runs it.
  [[nodiscard]] asio::cancellation_slot slot() noexcept { return cancel_.slot(); }

 private:
  class Exchange;
  struct Incoming;

  awaitable<bool> shake_hands();
  awaitable<bool> wait_for_bytes(Duration limit);
  awaitable<result<Incoming>> read_request();
  awaitable<bool> serve_one(const HttpServer::Handler& handler);
  awaitable<bool> run_handler(const HttpServer::Handler& handler, Exchange& exchange);
  awaitable<void> send_error(int status, std::string message);
  awaitable<void> linger();
  awaitable<void> wait_for_disconnect();
  template <class Buffers>
  awaitable<result<void>> send(Buffers buffers);

  void set_deadline(Duration from_now);
  void clear_deadline() noexcept { deadline_ = TimePoint::max(); }
  void end() noexcept;

  ServerSocket socket_;
  Executor executor_;
  Clock& clock_;
  const HttpServerOptions options_;
  boost::beast::flat_buffer buffer_;  // bytes read beyond the current request
  Timer timer_;
  TimePoint deadline_ = TimePoint::max();
  TimePoint armed_ = TimePoint::max();  // what watch() is waiting for
  bool timed_out_ = false;
  bool gone_ = false;  // wait_for_disconnect() saw the client leave
  bool taken_ = false;
  bool ended_ = false;
  asio::cancellation_signal cancel_;
};

// {"kind":"Status",...}: the body of an error in the form of a Kubernetes Status, which clients of an API server read.
[[nodiscard]] std::string status_body(int status, std::string_view message);

}  // namespace fresnel::net

#include "fresnel/net/http_connection.hpp"

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/chunk_encode.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <charconv>
#include <ctime>
#include <optional>

#include "fresnel/base/log.hpp"
#include "fresnel/net/tcp_options.hpp"

// GCC 12 inlines a coroutine frame's operator new down to aligned_alloc, but not its operator delete, and takes the
// pair for a mismatch.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif

namespace fresnel::net {
namespace {

namespace http = boost::beast::http;
using asio::ip::tcp;

constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kMaxPipelined = 64u << 10;  // bytes read ahead while a response is being sent
constexpr std::size_t kMaxDrained = 1u << 20;     // bytes of a refused request that are read and dropped
constexpr Duration kLinger = seconds(2);

std::string_view reason_of(int status) {
  switch (status) {
    case 400: return "BadRequest";
    case 413: return "RequestEntityTooLarge";
    case 500: return "InternalError";
    case 503: return "ServiceUnavailable";
    default: return "";
  }
}

std::string date_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts)};
}

// Header text as it may stand on the wire: a line break in a value would start a header of its own.
void append_line(std::string& out, std::string_view name, std::string_view value) {
  const auto start = out.size();
  out.append(name).append(": ").append(value);
  std::replace_if(
      out.begin() + static_cast<std::ptrdiff_t>(start), out.end(),
      [](char c) { return c == '\r' || c == '\n' || c == '\0'; }, ' ');
  out += "\r\n";
}

// How the end of a response's body is told (RFC 9112 section 6.3).
struct Framing {
  enum class Kind { none, length, chunked, until_close } kind = Kind::none;
  std::uint64_t length = 0;
};

std::string response_head(int status, const Headers& headers, const Framing& framing, std::string_view connection) {
  std::string out = "HTTP/1.1 " + std::to_string(status) + ' ';
  out += http::obsolete_reason(http::int_to_status(static_cast<unsigned>(status)));
  out += "\r\n";
  for (const auto& [name, value] : headers) {
    // The framing of a message belongs to the server (RFC 9110 section 7.6.1).
    static constexpr std::array<std::string_view, 4> kOwn{"connection", "keep-alive", "transfer-encoding",
                                                          "content-length"};
    const std::string& field = name;  // clang 14 captures no structured bindings
    const auto same = [&field](std::string_view own) { return equal_ignoring_case(field, own); };
    if (std::none_of(kOwn.begin(), kOwn.end(), same)) append_line(out, name, value);
  }
  if (!headers.has("date")) append_line(out, "date", date_now());
  if (framing.kind == Framing::Kind::length) append_line(out, "content-length", std::to_string(framing.length));
  if (framing.kind == Framing::Kind::chunked) append_line(out, "transfer-encoding", "chunked");
  if (!connection.empty()) append_line(out, "connection", connection);
  out += "\r\n";
  return out;
}

std::optional<std::uint64_t> content_length(const Headers& headers) {
  const auto text = headers.get("content-length");
  std::uint64_t length = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), length);
  if (text.empty() || failed != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return length;
}

bool has_no_body(int status) { return status < 200 || status == 204 || status == 304; }

std::string peer_of(const tcp::socket& socket) {
  error_code failed;
  const auto endpoint = socket.remote_endpoint(failed);
  return failed ? std::string() : Endpoint{endpoint.address().to_string(), endpoint.port()}.to_string();
}

// What a request that cannot be read is answered with; status 0 when there is nobody to answer.
Error refusal(const error_code& failed, bool timed_out) {
  if (timed_out) return {Errc::timeout, "the request did not arrive in time"};
  if (failed == http::error::header_limit) return {Errc::too_large, "the request's header is too large", 431};
  if (failed == http::error::body_limit) return {Errc::too_large, "the request's body is too large", 413};
  const bool malformed = failed.category() == http::make_error_code(http::error::bad_method).category();
  if (!malformed || failed == http::error::end_of_stream || failed == http::error::partial_message) {
    return {Errc::closed, "the client closed the connection"};
  }
  return {Errc::protocol, "the request is malformed: " + failed.message(), 400};
}

}  // namespace

std::string status_body(int status, std::string_view message) {
  boost::json::object body{{"kind", "Status"},    {"apiVersion", "v1"}, {"metadata", boost::json::object()},
                           {"status", "Failure"}, {"message", message}, {"reason", reason_of(status)},
                           {"code", status}};
  return boost::json::serialize(body) + "\n";
}

struct HttpConnection::Incoming {
  ServerRequest request;
  bool keep_alive = false;
  bool http_1_0 = false;
};

// The one implementation of HttpExchange: lives while the handler runs.
class HttpConnection::Exchange final : public HttpExchange {
 public:
  enum class State { waiting, streaming, done, broken, taken };

  Exchange(HttpConnection& connection, Incoming incoming)
      : connection_(connection), incoming_(std::move(incoming)), keep_alive_(incoming_.keep_alive) {}

  const ServerRequest& request() const noexcept override { return incoming_.request; }
  const Executor& executor() const noexcept override { return connection_.executor_; }
  awaitable<result<void>> respond(int status, Headers headers, std::string body) override;
  awaitable<result<void>> begin(int status, Headers headers) override;
  awaitable<result<void>> write(std::string_view bytes) override;
  awaitable<result<void>> finish() override;
  awaitable<void> wait_for_disconnect() override { return connection_.wait_for_disconnect(); }
  UpgradedSocket take_socket() override;

  [[nodiscard]] State state() const noexcept { return state_; }
  [[nodiscard]] bool keep_alive() const noexcept { return keep_alive_; }

 private:
  [[nodiscard]] bool head_only() const noexcept { return incoming_.request.method == "HEAD"; }
  [[nodiscard]] std::string_view connection_header() const noexcept;
  result<void> settle(result<void> sent, State next);

  HttpConnection& connection_;
  Incoming incoming_;
  State state_ = State::waiting;
  bool keep_alive_;
  bool silent_ = false;  // the body is not sent: HEAD, 204, 304
  Framing framing_;
  std::uint64_t written_ = 0;
};

std::string_view HttpConnection::Exchange::connection_header() const noexcept {
  if (!keep_alive_) return "close";
  return incoming_.http_1_0 ? "keep-alive" : "";
}

result<void> HttpConnection::Exchange::settle(result<void> sent, State next) {
  state_ = sent ? next : State::broken;
  return sent;
}

awaitable<result<void>> HttpConnection::Exchange::respond(int status, Headers headers, std::string body) {
  if (state_ != State::waiting) co_return Error{Errc::internal, "the request has been answered already"};
  if (equal_ignoring_case(headers.get("connection"), "close")) keep_alive_ = false;
  Framing framing{Framing::Kind::length, body.size()};
  if (has_no_body(status)) framing.kind = Framing::Kind::none;
  // A handler that answers HEAD without making the body knows its length (RFC 9110 section 9.3.2).
  if (head_only() && body.empty()) framing.length = content_length(headers).value_or(0);
  const auto head = response_head(status, headers, framing, connection_header());
  std::array<asio::const_buffer, 2> buffers{asio::buffer(head), asio::buffer(body)};
  if (head_only() || framing.kind == Framing::Kind::none) buffers[1] = asio::const_buffer();
  auto sent = co_await connection_.send(buffers);
  co_return settle(std::move(sent), State::done);
}

awaitable<result<void>> HttpConnection::Exchange::begin(int status, Headers headers) {
  if (state_ != State::waiting) co_return Error{Errc::internal, "the request has been answered already"};
  silent_ = head_only() || has_no_body(status);
  if (const auto length = content_length(headers); length && !has_no_body(status)) {
    framing_ = {Framing::Kind::length, *length};
  } else if (!silent_) {
    framing_.kind = incoming_.http_1_0 ? Framing::Kind::until_close : Framing::Kind::chunked;
  }
  if (framing_.kind == Framing::Kind::until_close || equal_ignoring_case(headers.get("connection"), "close")) {
    keep_alive_ = false;
  }
  const auto head = response_head(status, headers, framing_, connection_header());
  auto sent = co_await connection_.send(asio::const_buffer(head.data(), head.size()));
  co_return settle(std::move(sent), State::streaming);
}

awaitable<result<void>> HttpConnection::Exchange::write(std::string_view bytes) {
  if (state_ != State::streaming) co_return Error{Errc::closed, "no response is being sent"};
  if (silent_ || bytes.empty()) co_return result<void>();
  written_ += bytes.size();
  if (framing_.kind == Framing::Kind::length && written_ > framing_.length) {
    state_ = State::broken;
    co_return Error{Errc::internal, "the response is longer than its content-length"};
  }
  const asio::const_buffer part(bytes.data(), bytes.size());
  if (framing_.kind != Framing::Kind::chunked) {
    auto sent = co_await connection_.send(part);
    co_return settle(std::move(sent), State::streaming);
  }
  const auto chunk = http::make_chunk(part);
  auto sent = co_await connection_.send(chunk);
  co_return settle(std::move(sent), State::streaming);
}

awaitable<result<void>> HttpConnection::Exchange::finish() {
  if (state_ != State::streaming) co_return Error{Errc::closed, "no response is being sent"};
  if (!silent_ && framing_.kind == Framing::Kind::length && written_ < framing_.length) {
    state_ = State::broken;
    co_return Error{Errc::internal, "the response is shorter than its content-length"};
  }
  state_ = State::done;
  if (framing_.kind != Framing::Kind::chunked) co_return result<void>();
  const auto last = http::make_chunk_last();
  auto sent = co_await connection_.send(last);
  co_return settle(std::move(sent), State::done);
}

UpgradedSocket HttpConnection::Exchange::take_socket() {
  state_ = State::taken;
  connection_.taken_ = true;
  connection_.end();
  auto& buffer = connection_.buffer_;
  std::string leftover(static_cast<const char*>(buffer.data().data()), buffer.size());
  buffer.consume(buffer.size());
  return {std::move(connection_.socket_), std::move(leftover)};
}

HttpConnection::HttpConnection(ServerSocket socket, Clock& clock, const HttpServerOptions& options)
    : socket_(std::move(socket)),
      executor_(socket_.get_executor()),
      clock_(clock),
      options_(options),
      timer_(executor_, clock) {
  set_tcp_options(socket_.native_handle());
  error_code ignored;
  socket_.non_blocking(true, ignored);
}

awaitable<void> HttpConnection::serve(const HttpServer::Handler& handler) {
  if (!co_await shake_hands()) co_return end();
  auto patience = options_.header_timeout;
  while (co_await wait_for_bytes(patience) && co_await serve_one(handler)) patience = options_.keep_alive_timeout;
  end();
}

awaitable<void> HttpConnection::refuse() {
  if (!co_await shake_hands()) co_return end();
  std::string message = "this server has as many connections as it may have; try again";
  co_await send_error(503, std::move(message));
  end();
}

awaitable<void> HttpConnection::watch() {
  while (!ended_) {
    armed_ = deadline_;
    if (armed_ == TimePoint::max()) {
      co_await timer_.wait();
    } else if (co_await timer_.wait_until(armed_) && !ended_ && deadline_ <= clock_.now()) {
      // Not just cancel(): an operation between two of its steps would not notice that.
      timed_out_ = true;
      clear_deadline();
      error_code ignored;
      socket_.cancel(ignored);
      socket_.shutdown(tcp::socket::shutdown_both, ignored);
    }
  }
}

void HttpConnection::drop() {
  if (taken_) return;
  end();
  error_code ignored;
  socket_.shutdown(tcp::socket::shutdown_both, ignored);
  cancel_.emit(asio::cancellation_type::terminal);
  // Emitted from outside the event loop, the signal goes on from inside it (co_spawn dispatches): until then it must
  // live, though the coroutine may end before.
  asio::post(executor_, [self = shared_from_this()] {});
}

void HttpConnection::end() noexcept {
  ended_ = true;
  timer_.cancel();
}

void HttpConnection::set_deadline(Duration from_now) {
  deadline_ = clock_.now() + from_now;
  // A later deadline is found when the earlier one has woken watch().
  if (deadline_ < armed_) timer_.cancel();
}

template <class Buffers>
awaitable<result<void>> HttpConnection::send(Buffers buffers) {
  // Asked before each step of the write: whatever made progress has its full time again.
  const auto step = [this](const error_code& failed, std::size_t) -> std::size_t {
    if (failed || ended_) return 0;
    set_deadline(options_.write_timeout);
    return 64u << 10;
  };
  const auto [failed, size] = co_await asio::async_write(socket_, buffers, step, kNoThrow);
  clear_deadline();
  if (timed_out_) co_return Error{Errc::timeout, "the client stopped reading"};
  if (failed || ended_) co_return Error{Errc::closed, "the client closed the connection"};
  co_return result<void>();
}

// False when there is no talking to the client.
awaitable<bool> HttpConnection::shake_hands() {
  if (socket_.tls() == nullptr) co_return true;
  set_deadline(options_.header_timeout);
  const auto [failed] = co_await socket_.async_handshake(kNoThrow);
  clear_deadline();
  if (failed && !ended_) log::debug("{}: no TLS: {}", peer_of(socket_), failed.message());
  co_return !failed && !timed_out_ && !ended_;
}

// Keeps an idle connection without a buffer of its own. False when the connection has ended.
awaitable<bool> HttpConnection::wait_for_bytes(Duration limit) {
  if (buffer_.size() > 0 || socket_.has_decrypted()) co_return true;
  set_deadline(limit);
  const auto [failed] = co_await socket_.async_wait(tcp::socket::wait_read, kNoThrow);
  clear_deadline();
  co_return !failed && !timed_out_ && !ended_;
}

awaitable<result<HttpConnection::Incoming>> HttpConnection::read_request() {
  http::request_parser<http::string_body> parser;
  parser.header_limit(static_cast<std::uint32_t>(options_.max_header));
  parser.body_limit(options_.max_body);
  set_deadline(options_.header_timeout);
  const auto [bad_header, header_size] = co_await http::async_read_header(socket_, buffer_, parser, kNoThrow);
  if (bad_header || timed_out_) co_return refusal(bad_header, timed_out_);
  const auto& message = parser.get();
  if (message.version() >= 11 && message.count(http::field::host) != 1) {
    co_return Error{Errc::protocol, "the request needs exactly one Host header", 400};
  }
  if (const auto expect = message[http::field::expect]; !expect.empty() && message.version() >= 11) {
    if (!equal_ignoring_case(expect, "100-continue")) {
      co_return Error{Errc::protocol, "the only expectation known is 100-continue", 417};
    }
    constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    const auto sent = co_await send(asio::const_buffer(kContinue.data(), kContinue.size()));
    if (!sent) co_return sent.error();
  }
  set_deadline(options_.body_timeout);
  const auto [bad_body, body_size] = co_await http::async_read(socket_, buffer_, parser, kNoThrow);
  clear_deadline();
  if (bad_body || timed_out_) co_return refusal(bad_body, timed_out_);

  Incoming incoming;
  incoming.keep_alive = message.keep_alive();
  incoming.http_1_0 = message.version() < 11;
  auto& request = incoming.request;
  request.method = message.method_string();
  request.target = message.target();
  for (const auto& field : message) request.headers.add(std::string(field.name_string()), std::string(field.value()));
  request.upgrade = http::token_list(message[http::field::connection]).exists("upgrade") &&
                    !message[http::field::upgrade].empty() && !incoming.http_1_0;
  request.peer = peer_of(socket_);
  request.certificate = socket_.client_certificate();
  request.body = std::move(parser.get().body());
  co_return incoming;
}

// True when the connection may serve another request.
awaitable<bool> HttpConnection::serve_one(const HttpServer::Handler& handler) {
  auto incoming = co_await read_request();
  if (!incoming) {
    auto error = incoming.error();
    if (error.status != 0 && !ended_) co_await send_error(error.status, std::move(error.message));
    co_return false;
  }
  Exchange exchange(*this, std::move(*incoming));
  co_return co_await run_handler(handler, exchange);
}

awaitable<bool> HttpConnection::run_handler(const HttpServer::Handler& handler, Exchange& exchange) {
  using State = Exchange::State;
  std::string fault;
  try {
    co_await handler(exchange);
    if (exchange.state() == State::waiting) fault = "it did not answer";
  } catch (const std::exception& thrown) {
    fault = thrown.what();
  } catch (...) {
    fault = "it threw something unknown";
  }
  if (exchange.state() == State::taken) co_return false;
  // Dropped, and what the handler threw was its cancellation; or it has found out that there is nobody to answer.
  if (ended_ || (gone_ && exchange.state() == State::waiting)) co_return false;
  if (!fault.empty()) {
    log::error("{} {}: the handler failed: {}", exchange.request().method, exchange.request().path(), fault);
  }
  if (exchange.state() == State::waiting) {
    Headers headers;
    headers.add("content-type", "application/json");
    auto body = status_body(500, "the server failed to answer this request");
    (void)co_await exchange.respond(500, std::move(headers), std::move(body));
  }
  // A response that broke off must look broken off: no last chunk, the connection just ends.
  if (exchange.state() != State::done) co_return false;
  if (!exchange.keep_alive()) co_await linger();
  co_return exchange.keep_alive();
}

awaitable<void> HttpConnection::send_error(int status, std::string message) {
  Headers headers;
  headers.add("content-type", "application/json");
  if (status == 503) headers.add("retry-after", "1");
  const auto body = status_body(status, message);
  const auto head = response_head(status, headers, Framing{Framing::Kind::length, body.size()}, "close");
  const std::array<asio::const_buffer, 2> buffers{asio::buffer(head), asio::buffer(body)};
  if (co_await send(buffers)) co_await linger();
}

// Closing a socket with unread bytes resets the connection, and the client might lose the response: so send FIN, then
// read what is still coming, for a short while (RFC 9112 section 9.6).
awaitable<void> HttpConnection::linger() {
  error_code failed;
  socket_.shutdown(tcp::socket::shutdown_send, failed);
  set_deadline(kLinger);
  std::array<char, 4096> dropped{};
  for (std::size_t total = 0; !failed && !ended_ && total < kMaxDrained;) {
    const auto [ended, size] = co_await socket_.async_read_some(asio::buffer(dropped), kNoThrow);
    failed = ended;
    total += size;
  }
  clear_deadline();
}

// Reads ahead, within a bound, because only reading tells of the end of a connection.
awaitable<void> HttpConnection::wait_for_disconnect() {
  for (;;) {
    const bool full = buffer_.size() >= kMaxPipelined;
    const auto what = full ? tcp::socket::wait_error : tcp::socket::wait_read;
    if (full || !socket_.has_decrypted()) {
      const auto [failed] = co_await socket_.async_wait(what, kNoThrow);
      gone_ = !failed && full;
      if (failed || ended_ || full) co_return;
    }
    error_code ended;
    const auto space = buffer_.prepare(4096);
    const auto size = socket_.read_some(space, ended);
    buffer_.commit(size);
    gone_ = ended && ended != asio::error::would_block;
    if (gone_) co_return;
  }
}

}  // namespace fresnel::net

#include "fresnel/net/websocket_client.hpp"

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket/error.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <charconv>
#include <optional>

#include "fresnel/net/dial.hpp"

// GCC 12 inlines a coroutine frame's operator new down to aligned_alloc, but not its operator delete, and takes the
// pair for a mismatch.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif

namespace fresnel::net {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;
namespace websocket = boost::beast::websocket;

constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);
constexpr Duration kCloseTimeout = seconds(5);
constexpr std::size_t kMaxQuoted = 512;      // bytes of a refusal's body that an error repeats
constexpr std::size_t kMaxReason = 123;      // RFC 6455 section 5.5: a control frame holds 125 bytes
constexpr std::size_t kMaxKept = 64u << 10;  // bytes of read buffer kept from one message to the next
constexpr int kNoStatus = 1005;              // RFC 6455 section 7.4.1: a Close frame without a code
constexpr int kAbnormal = 1006;              // no Close frame at all

// No compression for now; without it the stream is smaller and faster to compile.
using Stream = websocket::stream<ClientStream, false>;

struct Target {
  std::string host;       // to connect to
  std::string authority;  // for the Host field
  std::uint16_t port = 0;
  std::string path;  // with the query
  bool tls = false;

  [[nodiscard]] std::string name() const { return (tls ? "wss://" : "ws://") + authority; }
};

// Boost.URL keeps any digits as a port and gives its number modulo 65,536.
std::optional<std::uint16_t> parse_port(std::string_view digits, bool tls) {
  std::uint16_t port = tls ? 443 : 80;
  if (digits.empty()) return port;
  const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (failed != std::errc() || end != digits.data() + digits.size() || port == 0) return std::nullopt;
  return port;
}

result<Target> parse_target(const std::string& url) {
  const auto parsed = boost::urls::parse_uri(url);
  const auto scheme = parsed ? std::string(parsed->scheme()) : std::string();
  const bool tls = scheme == "wss" || scheme == "https";
  const auto port = parsed ? parse_port(std::string(parsed->port()), tls) : std::nullopt;
  if (!port || parsed->encoded_host().empty() || parsed->has_userinfo() ||
      (!tls && scheme != "ws" && scheme != "http")) {
    return Error{Errc::invalid_argument,
                 "the WebSocket's URL cannot be used: expected ws, wss, http or https, a host and a path"};
  }
  Target target;
  target.tls = tls;
  target.host = parsed->host_address();
  target.authority = std::string(parsed->encoded_host_and_port());
  target.port = *port;
  target.path = std::string(parsed->encoded_path());
  if (target.path.empty()) target.path = "/";
  if (parsed->has_query()) target.path += "?" + std::string(parsed->encoded_query());
  return target;
}

// Fields of the opening handshake itself (RFC 6455 section 4.1).
bool is_handshake_field(std::string_view name) {
  static constexpr std::array<std::string_view, 7> kOwn{"connection",
                                                        "upgrade",
                                                        "sec-websocket-key",
                                                        "sec-websocket-version",
                                                        "sec-websocket-protocol",
                                                        "sec-websocket-extensions",
                                                        "content-length"};
  return std::any_of(kOwn.begin(), kOwn.end(), [&](std::string_view own) { return equal_ignoring_case(name, own); });
}

bool breaks_line(std::string_view text) { return text.find_first_of(std::string_view("\r\n\0", 3)) != text.npos; }

bool is_valid(const DialRequest& request) {
  return std::none_of(request.headers.begin(), request.headers.end(),
                      [](const auto& field) {
                        return field.first.empty() || breaks_line(field.first) || breaks_line(field.second);
                      }) &&
         std::none_of(request.protocols.begin(), request.protocols.end(),
                      [](const auto& protocol) { return protocol.empty() || breaks_line(protocol); });
}

// Text from the peer, fit for a message on one line.
std::string quoted(std::string text, std::size_t limit) {
  if (text.size() > limit) text.resize(limit);
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }, ' ');
  text.erase(std::find_if(text.rbegin(), text.rend(), [](char c) { return c != ' '; }).base(), text.end());
  return text;
}

// A Close frame's reason must stay UTF-8 when it is cut.
std::string close_text(std::string reason) {
  if (reason.size() <= kMaxReason) return reason;
  reason.resize(kMaxReason + 1);
  while ((static_cast<unsigned char>(reason.back()) & 0xC0) == 0x80) reason.pop_back();
  reason.pop_back();
  return reason;
}

Error refused(const Target& target, const websocket::response_type& response) {
  const int status = static_cast<int>(response.result_int());
  std::string message = target.name() + " refused the WebSocket: HTTP " + std::to_string(status);
  if (const auto body = quoted(response.body(), kMaxQuoted); !body.empty()) message += ": " + body;
  return {status >= 400 ? code_of_http_status(status) : Errc::protocol, std::move(message), status};
}

class WebSocketClient final : public MessageStream {
 public:
  class Impl;
  explicit WebSocketClient(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  ~WebSocketClient() override { WebSocketClient::abort(); }
  WebSocketClient(const WebSocketClient&) = delete;
  WebSocketClient& operator=(const WebSocketClient&) = delete;

  awaitable<result<Message>> read() override;
  awaitable<result<void>> write(Message message) override;
  awaitable<result<Duration>> ping(Duration limit) override;
  awaitable<void> close(int code, std::string reason) override;
  void abort() noexcept override;
  [[nodiscard]] std::string_view protocol() const noexcept override;

 private:
  std::shared_ptr<Impl> impl_;
};

// Outlives the client while an operation is under way.
class WebSocketClient::Impl {
 public:
  Impl(ClientStream stream, Target target, std::size_t max_message)
      : stream_(std::move(stream)), target_(std::move(target)), pong_(stream_.get_executor()) {
    stream_.read_message_max(max_message);
    stream_.auto_fragment(false);
    stream_.control_callback([this](websocket::frame_type kind, std::string_view payload) {
      if (kind != websocket::frame_type::pong || payload != awaited_pong_) return;
      awaited_pong_.clear();
      pong_.cancel();
    });
  }

  static awaitable<result<void>> handshake(std::shared_ptr<Impl> self, DialRequest request, Duration limit);
  static awaitable<result<Message>> read(std::shared_ptr<Impl> self);
  static awaitable<result<void>> write(std::shared_ptr<Impl> self, Message message);
  static awaitable<result<Duration>> ping(std::shared_ptr<Impl> self, Duration limit);
  static awaitable<void> close(std::shared_ptr<Impl> self, int code, std::string reason);
  void start_heartbeat(Duration heartbeat);
  void abort() noexcept;
  [[nodiscard]] std::string_view protocol() const noexcept { return protocol_; }

 private:
  void decorate(const DialRequest& request);
  result<void> select_protocol(const DialRequest& request, const websocket::response_type& response);
  [[nodiscard]] Error failure(const error_code& failed, bool cancelled) const;

  Stream stream_;
  Target target_;
  beast::flat_buffer buffer_;
  std::string protocol_;
  std::uint64_t pings_ = 0;
  std::string awaited_pong_;  // its payload; empty: none
  asio::steady_timer pong_;   // cancelled when it has come
  bool closing_ = false;      // close() has been called
  bool over_ = false;         // aborted, or read() has met the end
};

void WebSocketClient::Impl::decorate(const DialRequest& request) {
  std::string protocols;
  for (const auto& protocol : request.protocols) protocols += (protocols.empty() ? "" : ", ") + protocol;
  stream_.set_option(
      websocket::stream_base::decorator([headers = request.headers, protocols](websocket::request_type& message) {
        for (const auto& [name, value] : headers) {
          if (equal_ignoring_case(name, "host"))
            message.set(http::field::host, value);
          else if (!is_handshake_field(name))
            message.insert(name, value);
        }
        if (!protocols.empty()) message.set(http::field::sec_websocket_protocol, protocols);
      }));
}

result<void> WebSocketClient::Impl::select_protocol(const DialRequest& request,
                                                    const websocket::response_type& response) {
  if (response.count(http::field::sec_websocket_extensions) > 0) {  // RFC 6455 section 4.1: none was offered
    return Error{Errc::protocol, target_.name() + " uses a WebSocket extension that was not offered"};
  }
  protocol_ = std::string(response[http::field::sec_websocket_protocol]);
  const auto& offered = request.protocols;
  if (!protocol_.empty() && std::find(offered.begin(), offered.end(), protocol_) == offered.end()) {
    return Error{Errc::protocol, target_.name() + " selected a WebSocket subprotocol that was not offered"};
  }
  return {};
}

awaitable<result<void>> WebSocketClient::Impl::handshake(std::shared_ptr<Impl> self, DialRequest request,
                                                         Duration limit) {
  self->stream_.set_option(websocket::stream_base::timeout{limit, (Duration::max)(), false});
  self->decorate(request);
  websocket::response_type response;
  const auto [failed] =
      co_await self->stream_.async_handshake(response, self->target_.authority, self->target_.path, kNoThrow);
  self->stream_.set_option(websocket::stream_base::decorator([](websocket::request_type&) {}));  // holds the headers
  const auto state = co_await asio::this_coro::cancellation_state;
  if (failed == websocket::error::upgrade_declined) co_return refused(self->target_, response);
  if (failed) co_return self->failure(failed, state.cancelled() != asio::cancellation_type::none);
  co_return self->select_protocol(request, response);
}

void WebSocketClient::Impl::start_heartbeat(Duration heartbeat) {
  const bool beats = heartbeat > Duration::zero();
  // Beast pings after half of the idle timeout.
  const Duration idle = beats ? 2 * heartbeat : (Duration::max)();
  stream_.set_option(websocket::stream_base::timeout{kCloseTimeout, idle, beats});
}

Error WebSocketClient::Impl::failure(const error_code& failed, bool cancelled) const {
  const auto name = "the WebSocket to " + target_.name();
  const auto& why = stream_.reason();
  // A Close that was read is the reason, though the answer to it may have met a connection that was gone.
  if (failed == websocket::error::closed || (!cancelled && !over_ && why.code != websocket::close_code::none)) {
    const int code = why.code == websocket::close_code::none ? kNoStatus : static_cast<int>(why.code);
    auto reason = quoted(std::string(why.reason.data(), why.reason.size()), kMaxReason);
    return {Errc::closed, name + " was closed: " + std::to_string(code) + (reason.empty() ? "" : " " + reason), code};
  }
  if (cancelled) return {Errc::cancelled, name + " was cancelled"};
  if (failed == beast::error::timeout) return {Errc::timeout, name + " gave no sign of life", kAbnormal};
  if (failed == websocket::error::message_too_big || failed == websocket::error::buffer_overflow) {
    return {Errc::too_large, name + " sent a message that is too large", 1009};
  }
  if (failed == websocket::error::bad_frame_payload) {
    return {Errc::protocol, name + " sent text that is not UTF-8", 1007};
  }
  if (failed == websocket::condition::protocol_violation || failed == websocket::condition::handshake_failed ||
      failed.category() == http::make_error_code(http::error::bad_method).category()) {
    return {Errc::protocol, name + " broke the protocol: " + failed.message(), 1002};
  }
  if (over_) return {Errc::closed, name + " was dropped", kAbnormal};
  return {Errc::closed, name + " was lost: " + failed.message(), kAbnormal};
}

awaitable<result<Message>> WebSocketClient::Impl::read(std::shared_ptr<Impl> self) {
  auto& buffer = self->buffer_;
  const auto [failed, size] = co_await self->stream_.async_read(buffer, kNoThrow);
  if (failed) {
    const auto state = co_await asio::this_coro::cancellation_state;
    auto error = self->failure(failed, state.cancelled() != asio::cancellation_type::none);
    self->abort();
    co_return error;
  }
  Message message;
  message.binary = self->stream_.got_binary();
  message.payload.assign(static_cast<const char*>(buffer.data().data()), buffer.size());
  buffer.consume(buffer.size());
  if (buffer.capacity() > kMaxKept) buffer.shrink_to_fit();
  co_return message;
}

awaitable<result<void>> WebSocketClient::Impl::write(std::shared_ptr<Impl> self, Message message) {
  self->stream_.binary(message.binary);
  const auto payload = asio::buffer(message.payload);
  const auto [failed, size] = co_await self->stream_.async_write(payload, kNoThrow);
  if (!failed) co_return result<void>();
  const auto state = co_await asio::this_coro::cancellation_state;
  auto error = self->failure(failed, state.cancelled() != asio::cancellation_type::none);
  // A frame cut short cannot be followed by another.
  if (error.code == Errc::cancelled) self->abort();
  co_return error;
}

// Beast's own pings, its heartbeat, have no payload.
awaitable<result<Duration>> WebSocketClient::Impl::ping(std::shared_ptr<Impl> self, Duration limit) {
  const auto begin = std::chrono::steady_clock::now();
  self->awaited_pong_ = std::to_string(++self->pings_);
  self->pong_.expires_at(begin + limit);
  const websocket::ping_data payload(self->awaited_pong_);
  const auto [failed] = co_await self->stream_.async_ping(payload, kNoThrow);
  if (failed) {
    const auto state = co_await asio::this_coro::cancellation_state;
    co_return self->failure(failed, state.cancelled() != asio::cancellation_type::none);
  }
  if (!self->awaited_pong_.empty() && !self->over_) co_await self->pong_.async_wait(kNoThrow);
  const auto name = "the WebSocket to " + self->target_.name();
  if (self->over_) co_return Error{Errc::closed, name + " was dropped", kAbnormal};
  if (!std::exchange(self->awaited_pong_, {}).empty()) {
    co_return Error{Errc::timeout, name + " did not answer a ping in time"};
  }
  co_return std::chrono::steady_clock::now() - begin;
}

awaitable<void> WebSocketClient::Impl::close(std::shared_ptr<Impl> self, int code, std::string reason) {
  if (self->closing_ || self->over_ || !self->stream_.is_open()) co_return;
  self->closing_ = true;
  const auto text = close_text(std::move(reason));
  const websocket::close_reason why(static_cast<websocket::close_code>(code), text);
  co_await self->stream_.async_close(why, kNoThrow);
  self->abort();
}

void WebSocketClient::Impl::abort() noexcept {
  over_ = true;
  pong_.cancel();
  stream_.next_layer().close();
}

awaitable<result<Message>> WebSocketClient::read() { return Impl::read(impl_); }

awaitable<result<void>> WebSocketClient::write(Message message) { return Impl::write(impl_, std::move(message)); }

awaitable<result<Duration>> WebSocketClient::ping(Duration limit) { return Impl::ping(impl_, limit); }

awaitable<void> WebSocketClient::close(int code, std::string reason) {
  return Impl::close(impl_, code, std::move(reason));
}

void WebSocketClient::abort() noexcept { impl_->abort(); }

std::string_view WebSocketClient::protocol() const noexcept { return impl_->protocol(); }

}  // namespace

awaitable<result<std::unique_ptr<MessageStream>>> WebSocketDialer::dial(DialRequest request) {
  const auto options = options_;
  const auto deadline = std::chrono::steady_clock::now() + request.timeout;
  auto target = parse_target(request.url);
  if (!target) co_return target.error();
  if (!is_valid(request)) {
    co_return Error{Errc::invalid_argument, "a header or subprotocol for " + target->name() + " has a line break"};
  }
  std::shared_ptr<const TlsOptions> tls;
  if (target->tls) tls = request.tls ? request.tls : std::make_shared<const TlsOptions>();
  auto dialling = net::dial(executor_, target->host, target->port, std::move(tls), request.timeout, request.proxy_url);
  auto stream = co_await std::move(dialling);
  if (!stream) co_return stream.error();
  auto impl = std::make_shared<WebSocketClient::Impl>(std::move(**stream), std::move(*target), request.max_message);
  const auto left = std::max<Duration>(deadline - std::chrono::steady_clock::now(), milliseconds(1));
  auto agreed = co_await WebSocketClient::Impl::handshake(impl, std::move(request), left);
  if (!agreed) co_return agreed.error();
  impl->start_heartbeat(options.heartbeat);
  std::unique_ptr<MessageStream> client = std::make_unique<WebSocketClient>(std::move(impl));
  co_return client;
}

}  // namespace fresnel::net

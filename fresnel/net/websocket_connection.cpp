#include "fresnel/net/websocket_connection.hpp"

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "fresnel/net/deflate.hpp"
#include "fresnel/net/outbound_queue.hpp"
#include "fresnel/net/tcp_options.hpp"
#include "fresnel/net/tcp_progress.hpp"

namespace fresnel::net {
namespace {

namespace beast = boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;

using Stream = websocket::stream<OutboundQueue, false>;

constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);
constexpr int kNoStatus = 1005;          // RFC 6455 section 7.1.5: the Close had no code
constexpr int kAbnormal = 1006;          // there was no Close
constexpr std::size_t kFirstPart = 128;  // bytes of a message that are read before memory is taken for it
constexpr std::size_t kPart = 4096;      // bytes read at a time then

http::request<http::empty_body> handshake_of(const ServerRequest& request) {
  http::request<http::empty_body> handshake;
  handshake.method_string(request.method);
  handshake.target(request.target);
  handshake.version(11);
  for (const auto& [name, value] : request.headers) handshake.insert(name, value);
  return handshake;
}

OutboundLimits limits_of(const WebSocketConnectionOptions& options) {
  return {options.high_water, options.low_water, options.max_outbound, options.close_timeout};
}

// A peer needs time to answer the ping that the interval brings.
WebSocketConnectionOptions with_sound_heartbeat(WebSocketConnectionOptions options) {
  if (options.heartbeat_timeout <= options.heartbeat_interval)
    options.heartbeat_timeout = 2 * options.heartbeat_interval;
  return options;
}

// At most 123 bytes (RFC 6455 section 5.5), cut between characters.
std::string_view cut_reason(std::string_view reason) {
  if (reason.size() <= 123) return reason;
  std::size_t size = 123;
  while (size > 0 && (static_cast<unsigned char>(reason[size]) & 0xC0) == 0x80) --size;
  return reason.substr(0, size);
}

Error closed_error(const websocket::close_reason& reason) {
  const int code = reason.code == websocket::close_code::none ? kNoStatus : reason.code;
  std::string message = "the peer closed the WebSocket with code " + std::to_string(code);
  if (!reason.reason.empty()) message.append(": ").append(reason.reason.data(), reason.reason.size());
  return {Errc::closed, std::move(message), code};
}

}  // namespace

// Lives as long as a coroutine of it runs; the connection's destructor ends them all.
class WebSocketConnection::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(UpgradedSocket upgraded, std::string peer_address, Clock& clock, WebSocketConnectionOptions settings);

  // A refusal is in end() afterwards.
  static awaitable<void> handshake(std::shared_ptr<Impl> self, const ServerRequest& request);
  static awaitable<result<Message>> read(std::shared_ptr<Impl> self);
  static awaitable<void> close(std::shared_ptr<Impl> self, int code, std::string reason);
  void schedule_beat();
  SendStatus send(Opcode opcode, std::string payload);
  // The end, once: `error` is what read() reports from now on.
  void finish(Error error);
  void on_closed(std::function<void()> callback);

  [[nodiscard]] const std::optional<Error>& end() const noexcept { return end_; }
  [[nodiscard]] OutboundQueue& queue() noexcept { return stream_.next_layer(); }

  const std::string peer;
  const WebSocketConnectionOptions options;
  WebSocketConnection::Counters counters;  // messages_in only
  Duration round_trip = Duration::zero();
  bool deflates = false;

 private:
  void start_close_timer();
  void on_control(websocket::frame_type kind);
  void beat();
  void look_for_life();
  [[nodiscard]] Error end_of_read(error_code error) const;

  Clock& clock_;
  Stream stream_;
  Timer heartbeat_;
  std::optional<Error> end_;
  std::vector<std::function<void()>> on_closed_;
  std::unique_ptr<asio::steady_timer> close_timer_;  // set once close() has been called
  TimePoint last_alive_;
  TcpProgress progress_;
  std::optional<TimePoint> ping_sent_;  // and not yet answered
};

WebSocketConnection::Impl::Impl(UpgradedSocket upgraded, std::string peer_address, Clock& clock,
                                WebSocketConnectionOptions settings)
    : peer(std::move(peer_address)),
      options(with_sound_heartbeat(std::move(settings))),
      clock_(clock),
      stream_(std::move(upgraded.socket), std::move(upgraded.leftover), limits_of(options)),
      heartbeat_(stream_.get_executor(), clock),
      last_alive_(clock.now()) {
  TcpLiveness liveness;
  // A peer that stops reading is no worse than one that falls silent: both have the same time.
  if (options.heartbeat_interval > Duration::zero()) liveness.user_timeout = options.heartbeat_timeout;
  set_tcp_options(queue().next_layer().native_handle(), liveness);
  stream_.read_message_max(options.max_message);
}

awaitable<void> WebSocketConnection::Impl::handshake(std::shared_ptr<Impl> self, const ServerRequest& request) {
  auto& stream = self->stream_;
  // Beast's own idle timeout counts received bytes only and would end slow readers: beat() takes its place.
  stream.set_option(
      websocket::stream_base::timeout{self->options.handshake_timeout, websocket::stream_base::none(), false});
  const auto deflate = self->options.deflate ? negotiate_deflate(request.headers) : std::nullopt;
  stream.set_option(
      websocket::stream_base::decorator([&options = self->options, &deflate](websocket::response_type& response) {
        response.set(http::field::server, options.server);
        if (!options.protocol.empty()) response.set(http::field::sec_websocket_protocol, options.protocol);
        if (deflate) response.set(http::field::sec_websocket_extensions, *deflate);
      }));
  const auto upgrade = handshake_of(request);
  const auto [error] = co_await stream.async_accept(upgrade, kAsTuple);
  stream.set_option(websocket::stream_base::decorator([](websocket::response_type&) {}));
  if (error) {
    const int status = error == websocket::error::bad_sec_version ? 426 : 400;
    auto& queue = self->queue();
    const auto teardown = [&queue](auto handler) {
      async_teardown(beast::role_type::server, queue, std::move(handler));
    };
    auto token = kAsTuple;
    co_await asio::async_initiate<decltype(token), void(error_code)>(teardown, token);
    self->finish({Errc::protocol, "the WebSocket handshake was refused: " + error.message(), status});
    co_return;
  }
  stream.set_option(
      websocket::stream_base::timeout{self->options.close_timeout, websocket::stream_base::none(), false});
  stream.control_callback([raw = self.get()](websocket::frame_type kind, std::string_view) { raw->on_control(kind); });
  self->deflates = deflate.has_value();
  if (self->deflates) self->queue().inflate_inbound(self->options.max_message);
  self->queue().open();
}

awaitable<result<Message>> WebSocketConnection::Impl::read(std::shared_ptr<Impl> self) {
  if (self->end_) co_return *self->end_;
  // An idle connection waits with a small buffer, its first part's.
  std::array<char, kFirstPart> first;
  Message message;
  std::size_t size = 0;
  do {
    if (size > 0) message.payload.resize(size + kPart);
    const auto into = size == 0 ? asio::buffer(first) : asio::buffer(message.payload.data() + size, kPart);
    const auto [error, received] = co_await self->stream_.async_read_some(into, kAsTuple);
    if (error) {
      self->finish(self->end_of_read(error));
      co_return *self->end_;
    }
    if (size == 0) message.payload.assign(first.data(), received);
    size += received;
  } while (!self->stream_.is_message_done());
  message.payload.resize(size);
  message.binary = self->stream_.got_binary();
  ++self->counters.messages_in;
  self->last_alive_ = self->clock_.now();
  co_return message;
}

Error WebSocketConnection::Impl::end_of_read(error_code error) const {
  const auto& reason = stream_.reason();
  if (error == websocket::error::closed) {
    if (close_timer_) return {Errc::closed, "this side closed the WebSocket", reason.code};
    return closed_error(reason);
  }
  if (error == websocket::error::message_too_big) {
    return {Errc::too_large, "a WebSocket message exceeds " + std::to_string(options.max_message) + " bytes", 1009};
  }
  if (error == websocket::error::bad_frame_payload) {
    return {Errc::protocol, "a WebSocket text message is not valid UTF-8", 1007};
  }
  if (error == websocket::condition::protocol_violation) {
    return {Errc::protocol, "the peer broke the WebSocket protocol: " + error.message(), 1002};
  }
  // The Close was exchanged, only the farewell of TCP failed or took too long.
  if (reason.code != websocket::close_code::none) return closed_error(reason);
  if (close_timer_) return {Errc::closed, "this side closed the WebSocket", kAbnormal};
  return {Errc::closed, "the WebSocket ended without a Close: " + error.message(), kAbnormal};
}

awaitable<void> WebSocketConnection::Impl::close(std::shared_ptr<Impl> self, int code, std::string reason) {
  if (self->end_) co_return;
  if (self->close_timer_) {
    co_await self->close_timer_->async_wait(kAsTuple);
    co_return;
  }
  self->queue().seal();
  self->start_close_timer();
  const websocket::close_reason why(static_cast<websocket::close_code>(code), cut_reason(reason));
  co_await self->stream_.async_close(why, kAsTuple);
  self->finish({Errc::closed, "this side closed the WebSocket", code});
}

// Beast limits the wait for the peer's Close too, but every further message of the peer would renew its limit.
void WebSocketConnection::Impl::start_close_timer() {
  close_timer_ = std::make_unique<asio::steady_timer>(stream_.get_executor(), options.close_timeout);
  close_timer_->async_wait([weak = weak_from_this()](error_code error) {
    const auto self = weak.lock();
    if (self && !error) self->finish({Errc::closed, "the peer did not answer the Close in time", kAbnormal});
  });
}

void WebSocketConnection::Impl::finish(Error error) {
  if (end_) return;
  end_ = std::move(error);
  heartbeat_.cancel();
  if (close_timer_) close_timer_->cancel();
  queue().abort();
  const auto callbacks = std::exchange(on_closed_, {});
  for (const auto& callback : callbacks) callback();
}

void WebSocketConnection::Impl::on_closed(std::function<void()> callback) {
  if (end_) {
    callback();
  } else {
    on_closed_.push_back(std::move(callback));
  }
}

SendStatus WebSocketConnection::Impl::send(Opcode opcode, std::string payload) {
  if (payload.size() <= OutboundBacklog::kTinyBody) return queue().send(opcode, payload, SharedBytes());
  return queue().send(opcode, {}, SharedBytes(std::move(payload)));
}

void WebSocketConnection::Impl::on_control(websocket::frame_type kind) {
  last_alive_ = clock_.now();
  if (kind != websocket::frame_type::pong || !ping_sent_) return;
  round_trip = last_alive_ - *ping_sent_;
  ping_sent_.reset();
}

// Compares with the moment of the ping, or of the last look. A peer's kernel acknowledges bytes while the peer itself
// hangs; only while bytes wait for it to make room does an acknowledgement show that it reads.
void WebSocketConnection::Impl::look_for_life() {
  const auto now = tcp_progress(queue().next_layer().native_handle());
  if (!now) return;
  const bool drains = now->acknowledged > progress_.acknowledged && (progress_.backlog || queue().bytes() > 0);
  if (drains || now->received > progress_.received) last_alive_ = clock_.now();
  progress_ = *now;
}

// A coroutine for each connection would cost a kilobyte of it.
void WebSocketConnection::Impl::schedule_beat() {
  if (end_) return;
  const auto look = std::min(last_alive_ + options.heartbeat_timeout, clock_.now() + options.heartbeat_interval);
  heartbeat_.call_at(ping_sent_ ? look : last_alive_ + options.heartbeat_interval, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->beat();
  });
}

void WebSocketConnection::Impl::beat() {
  if (end_) return;
  if (ping_sent_) look_for_life();
  const auto silence = clock_.now() - last_alive_;
  if (silence >= options.heartbeat_timeout) {
    finish({Errc::timeout, "the peer gave no sign of life within the heartbeat timeout", kAbnormal});
  } else if (silence >= options.heartbeat_interval && !ping_sent_) {
    ping_sent_ = clock_.now();
    progress_ = tcp_progress(queue().next_layer().native_handle()).value_or(progress_);
    stream_.async_ping({}, [weak = weak_from_this()](error_code) {
      if (const auto self = weak.lock()) self->schedule_beat();
    });
  } else {
    schedule_beat();
  }
}

WebSocketConnection::WebSocketConnection(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

WebSocketConnection::~WebSocketConnection() { abort(); }

awaitable<result<std::shared_ptr<WebSocketConnection>>> WebSocketConnection::accept(
    UpgradedSocket socket, const ServerRequest& request, Clock& clock, WebSocketConnectionOptions options) {
  const bool beats = options.heartbeat_interval > Duration::zero();
  auto impl = std::make_shared<Impl>(std::move(socket), request.peer, clock, std::move(options));
  co_await Impl::handshake(impl, request);
  if (impl->end()) co_return *impl->end();
  if (beats) impl->schedule_beat();
  co_return std::shared_ptr<WebSocketConnection>(new WebSocketConnection(std::move(impl)));
}

awaitable<result<Message>> WebSocketConnection::read() { return Impl::read(impl_); }

SendStatus WebSocketConnection::send(std::string_view prefix, const SharedBytes& body) {
  return impl_->queue().send(Opcode::text, prefix, body);
}

SendStatus WebSocketConnection::send_deflated(std::string_view prefix, const SharedBytes& body) {
  return impl_->queue().send(Opcode::text, prefix, body, Coding::deflated);
}

SendStatus WebSocketConnection::send_binary_deflated(std::string_view prefix, const SharedBytes& body) {
  return impl_->queue().send(Opcode::binary, prefix, body, Coding::deflated);
}

SendStatus WebSocketConnection::send(std::string text) { return impl_->send(Opcode::text, std::move(text)); }

SendStatus WebSocketConnection::send_binary(std::string_view prefix, const SharedBytes& body) {
  return impl_->queue().send(Opcode::binary, prefix, body);
}

SendStatus WebSocketConnection::send_binary(std::string bytes) { return impl_->send(Opcode::binary, std::move(bytes)); }

std::size_t WebSocketConnection::outbound_bytes() const noexcept { return impl_->queue().bytes(); }

void WebSocketConnection::on_drained(std::function<void()> callback) { impl_->queue().on_drained(std::move(callback)); }

void WebSocketConnection::on_closed(std::function<void()> callback) { impl_->on_closed(std::move(callback)); }

awaitable<void> WebSocketConnection::close(int code, std::string reason) {
  return Impl::close(impl_, code, std::move(reason));
}

void WebSocketConnection::abort() { impl_->finish({Errc::closed, "this side dropped the WebSocket", kAbnormal}); }

const Error* WebSocketConnection::end() const noexcept { return impl_->end() ? &*impl_->end() : nullptr; }
bool WebSocketConnection::is_open() const noexcept { return impl_->queue().is_open(); }
const std::string& WebSocketConnection::peer() const noexcept { return impl_->peer; }
const std::string& WebSocketConnection::protocol() const noexcept { return impl_->options.protocol; }

bool WebSocketConnection::deflates() const noexcept { return impl_->deflates; }

WebSocketConnection::Counters WebSocketConnection::counters() const noexcept {
  const auto& out = impl_->queue().counters();
  return {impl_->counters.messages_in, out.messages, out.bytes, out.writes};
}

Duration WebSocketConnection::round_trip() const noexcept { return impl_->round_trip; }
Executor WebSocketConnection::executor() const { return impl_->queue().get_executor(); }

}  // namespace fresnel::net

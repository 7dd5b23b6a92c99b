#include "fresnel/load/connection.hpp"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "fresnel/load/message_text.hpp"

namespace fresnel::load {
namespace {

constexpr std::size_t kHead = 2048;  // annotations stand within it
constexpr std::size_t kMaxErrorText = 300;

Error system_error(std::string_view what, int number) {
  return {Errc::connect_failed, fmt::format("{}: {}", what, std::strerror(number))};
}

bool must_wait(int number) { return number == EAGAIN || number == EWOULDBLOCK || number == EINTR; }

std::uint64_t wall_nanoseconds() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

}  // namespace

Connection::Connection(const GeneratorOptions& options, Totals& totals)
    : options_(options), totals_(totals), parser_(options.look_inside ? kHead : 0) {}

result<void> Connection::connect(std::string_view request, std::string_view messages) {
  drop();
  const auto& target = options_.target;
  socket_ = ::socket(target.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (socket_ < 0) return end(system_error("cannot make a socket", errno));
  const int on = 1;
  (void)setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (options_.receive_buffer > 0) {
    (void)setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &options_.receive_buffer, sizeof options_.receive_buffer);
  }
  started_ = std::chrono::steady_clock::now();
  handshake_ = HandshakeReader();
  parser_ = FrameParser(options_.look_inside ? kHead : 0);
  messages_ = messages;
  unsent_ = request;
  answers_ = 0;
  close_code_ = 0;
  state_ = State::connecting;
  const auto* address = reinterpret_cast<const sockaddr*>(&target.address);
  if (::connect(socket_, address, target.address_size) != 0 && errno != EINPROGRESS) {
    return end(system_error("cannot connect to " + target.host, errno));
  }
  return {};
}

void Connection::drop() noexcept {
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
  state_ = State::down;
  live_ = false;
  deflating_ = false;
  flooded_ = false;
  unsent_.clear();
}

Error Connection::end(Error error) {
  ++(state_ == State::open ? totals_.closed : totals_.failed);
  if (totals_.first_fault.empty()) totals_.first_fault = error.message;
  drop();
  return error;
}

std::uint64_t Connection::nanoseconds_since_start() const {
  return static_cast<std::uint64_t>(std::chrono::nanoseconds(std::chrono::steady_clock::now() - started_).count());
}

result<void> Connection::on_writable() {
  if (state_ == State::connecting) {
    int failure = 0;
    socklen_t size = sizeof failure;
    (void)getsockopt(socket_, SOL_SOCKET, SO_ERROR, &failure, &size);
    if (failure != 0) return end(system_error("cannot connect to " + options_.target.host, failure));
    state_ = State::handshaking;
  }
  return flush();
}

result<void> Connection::flush() {
  while (!unsent_.empty()) {
    const auto sent = ::send(socket_, unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
    if (sent < 0 && must_wait(errno)) return {};
    if (sent < 0) return end(system_error("cannot send to " + options_.target.host, errno));
    unsent_.erase(0, static_cast<std::size_t>(sent));
  }
  return {};
}

result<void> Connection::on_readable(std::span<char> buffer) {
  const auto size = ::recv(socket_, buffer.data(), buffer.size(), 0);
  if (size < 0 && must_wait(errno)) return {};
  if (size < 0) return end(system_error("the connection broke", errno));
  if (size == 0) {
    const auto why = close_code_ != 0 ? fmt::format("the server closed the WebSocket with code {}", close_code_)
                                      : std::string("the server cut the connection");
    return end({Errc::closed, why, close_code_});
  }
  std::string_view bytes(buffer.data(), static_cast<std::size_t>(size));
  if (state_ != State::open) {
    auto answer = handshake_.feed(bytes);
    if (!answer) return end(answer.error());
    if (!*answer) return {};
    on_open(**answer);
  }
  totals_.wire_bytes += bytes.size();
  if (auto fed = parser_.feed(bytes, *this); !fed) return end(fed.error());
  if (flooded_) return end({Errc::too_large, "the server sent more pings than it takes answers"});
  return flush();
}

void Connection::on_open(const HandshakeAnswer& answer) {
  state_ = State::open;
  deflating_ = answer.deflate;
  totals_.connect.record(nanoseconds_since_start());
  unsent_ += messages_;
  live_ = options_.messages.empty();
}

void Connection::count_answer() {
  if (++answers_ != options_.messages.size()) return;
  live_ = true;
  totals_.ready.record(nanoseconds_since_start());
}

void Connection::on_message(const ReceivedMessage& message) {
  if (!options_.look_inside || message.compressed) {
    ++totals_.messages;
    totals_.compressed += message.compressed ? 1 : 0;
    return;
  }
  switch (kind_of(message.head)) {
    case MessageKind::complete:
      ++totals_.completes;
      count_answer();
      return;
    case MessageKind::error:
      ++totals_.errors;
      if (totals_.first_error.empty()) totals_.first_error = message.head.substr(0, kMaxErrorText);
      count_answer();
      return;
    case MessageKind::status: ++totals_.statuses; return;
    case MessageKind::data: ++totals_.messages;
  }
  if (const auto written = written_at(message.head)) {
    const auto now = wall_nanoseconds();
    totals_.latency.record(now > *written ? now - *written : 0);
  }
}

void Connection::on_control(int opcode, std::string_view payload) {
  constexpr int kClose = 8;
  constexpr int kPing = 9;
  constexpr int kPong = 10;
  if (opcode == kPing) {
    flooded_ = unsent_.size() > messages_.size() + Generator::kMaxUnsent;
    if (!flooded_) append_client_frame(unsent_, kPong, payload);
  } else if (opcode == kClose && close_code_ == 0) {
    const auto byte = [&](std::size_t i) { return static_cast<int>(static_cast<unsigned char>(payload[i])); };
    close_code_ = payload.size() < 2 ? 1005 : byte(0) << 8 | byte(1);
    append_client_frame(unsent_, kClose, payload.substr(0, 2));
  }
}

}  // namespace fresnel::load

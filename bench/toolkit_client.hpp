// One WebSocket of bench/toolkit_load.cpp: it connects, subscribes, counts what it is sent, closes with a handshake.
//
// Every message carries a number (bench/toolkit_server.cpp). Those of one channel, and the broadcasts, must come in
// ascending order: together with the right count, each has come exactly once.
//
// Thread safety: one thread.
#pragma once

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fresnel/load/frame_parser.hpp"
#include "fresnel/load/handshake.hpp"

namespace fresnel::bench {

struct ToolkitLoadOptions {
  std::uint16_t port = 0;  // of the server, on 127.0.0.1
  std::size_t connections = 1;
  std::size_t channels = 0;
  std::size_t subscriptions = 0;  // of each connection
};

class ToolkitClient final : private load::FrameHandler {
 public:
  enum class State : std::uint8_t { down, connecting, handshaking, subscribing, live, closing };

  // It subscribes to the channels from number * subscriptions on, so that all channels get equally many subscribers.
  ToolkitClient(const ToolkitLoadOptions& options, std::size_t number)
      : options_(options), number_(number), parser_(kHead), latest_(options.subscriptions + 1) {}
  ~ToolkitClient() override { drop(); }
  ToolkitClient(const ToolkitClient&) = delete;
  ToolkitClient& operator=(const ToolkitClient&) = delete;

  // An error, of this and of on_event(), is why the connection is down now; an orderly end is none.
  [[nodiscard]] std::string connect(std::string_view request) {
    handshake_ = load::HandshakeReader();
    parser_ = load::FrameParser(kHead);
    fault_.clear();
    answers_ = 0;
    has_close_ = false;
    unsent_ = request;
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (socket_ < 0) return fail(std::strerror(errno));
    const int on = 1;
    (void)setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    // One address has 28,000 ports towards a server, and a connection that is over keeps its own for a minute. So they
    // come from several; the port is chosen when the other end is known, so that each address has all ports.
    (void)setsockopt(socket_, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    const auto own = address(static_cast<std::uint32_t>(2 + number_ % kAddresses), 0);
    const auto server = address(1, options_.port);
    if (bind(socket_, reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0) return fail(std::strerror(errno));
    state_ = State::connecting;
    const int connected = ::connect(socket_, reinterpret_cast<const sockaddr*>(&server), sizeof server);
    return connected == 0 || errno == EINPROGRESS ? std::string() : fail(std::strerror(errno));
  }

  [[nodiscard]] std::string on_event(bool readable, bool writable, std::span<char> buffer) {
    if (writable && state_ == State::connecting) {
      int failure = 0;
      socklen_t size = sizeof failure;
      (void)getsockopt(socket_, SOL_SOCKET, SO_ERROR, &failure, &size);
      if (failure != 0) return fail(std::strerror(failure));
      state_ = State::handshaking;
    }
    if (readable) {
      if (auto fault = receive(buffer); !fault.empty()) return fault;
    }
    return flush();
  }

  // A ping, whose pong comes behind everything that the server has sent before it.
  void ask_for_pong() {
    has_pong_ = false;
    load::append_client_frame(unsent_, 9, "fence");
  }
  void begin_to_close() {
    state_ = State::closing;
    load::append_client_frame(unsent_, 8, "\x03\xE8");  // 1000
  }
  void drop() noexcept {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
    state_ = State::down;
    unsent_.clear();
  }

  [[nodiscard]] int socket() const noexcept { return socket_; }
  [[nodiscard]] State state() const noexcept { return state_; }
  [[nodiscard]] bool has_pong() const noexcept { return has_pong_; }
  [[nodiscard]] bool wants_to_write() const noexcept { return state_ == State::connecting || !unsent_.empty(); }
  std::uint64_t messages = 0;        // counted since the owner set it to zero
  bool is_watched_for_room = false;  // the owner's: its epoll tells when the socket can be written to

 private:
  static constexpr std::size_t kHead = 128;
  static constexpr std::size_t kAddresses = 8;

  static sockaddr_in address(std::uint32_t host, std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(0x7F000000u + host);
    address.sin_port = htons(port);
    return address;
  }

  std::string fail(std::string_view why) {
    drop();
    return fmt::format("connection {}: {}", number_, why);
  }

  std::string flush() {
    while (!unsent_.empty() && state_ > State::connecting) {
      const auto sent = ::send(socket_, unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno == EAGAIN) break;
      if (sent < 0) return fail(std::strerror(errno));
      unsent_.erase(0, static_cast<std::size_t>(sent));
    }
    return {};
  }

  std::string receive(std::span<char> buffer) {
    const auto size = ::recv(socket_, buffer.data(), buffer.size(), 0);
    if (size < 0 && errno == EAGAIN) return {};
    if (size < 0) return fail(std::strerror(errno));
    if (size == 0 && !has_close_) return fail("the server cut the connection");
    if (size == 0) {  // the server is the first to end TCP (RFC 6455 section 7.1.1)
      drop();
      return {};
    }
    std::string_view bytes(buffer.data(), static_cast<std::size_t>(size));
    if (state_ == State::handshaking) {
      const auto answer = handshake_.feed(bytes);
      if (!answer) return fail(answer.error().message);
      if (!*answer) return {};
      subscribe();
    }
    if (const auto fed = parser_.feed(bytes, *this); !fed) return fail(fed.error().message);
    return fault_.empty() ? std::string() : fail(fault_);
  }

  [[nodiscard]] std::size_t channel(std::size_t subscription) const {
    return (number_ * options_.subscriptions + subscription) % options_.channels;
  }

  void subscribe() {
    state_ = options_.subscriptions == 0 ? State::live : State::subscribing;
    for (std::size_t i = 0; i < options_.subscriptions; ++i) {
      load::append_client_frame(unsent_, 1,
                                fmt::format(R"({{"type":"subscribe","id":{},"channel":"c{}"}})", i, channel(i)));
    }
  }

  void on_message(const load::ReceivedMessage& message) override {
    constexpr std::string_view kBroadcast = R"({"n":)";
    constexpr std::string_view kOfChannel = R"({"type":"message","channel":"c)";
    if (message.head.starts_with(kBroadcast)) {
      count(message.head, options_.subscriptions);
    } else if (message.head.starts_with(kOfChannel)) {
      const auto subscription = subscription_of(message.head.substr(kOfChannel.size()));
      if (subscription < options_.subscriptions) {
        count(message.head, subscription);
      } else {
        fault_ = fmt::format("not subscribed to: {}", message.head);
      }
    } else if (message.head.starts_with(R"({"type":"subscribed")")) {
      if (++answers_ == options_.subscriptions) state_ = State::live;
    } else {
      fault_ = fmt::format("unexpected: {}", message.head);
    }
  }

  // Of the channel whose number these digits are; when there is none, a number beyond all subscriptions.
  [[nodiscard]] std::size_t subscription_of(std::string_view digits) const {
    std::size_t number = options_.channels;
    std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (number >= options_.channels) return options_.subscriptions;
    return (number + options_.channels - channel(0)) % options_.channels;
  }

  void count(std::string_view head, std::size_t series) {
    constexpr std::string_view kNumber = R"("n":)";
    const auto digits = head.substr(std::min(head.size(), head.find(kNumber) + kNumber.size()));
    std::uint64_t number = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (number <= latest_[series]) {
      fault_ = fmt::format("number {} came after {}", number, latest_[series]);
    } else {
      latest_[series] = number;
      ++messages;
    }
  }

  void on_control(int opcode, std::string_view payload) override {
    constexpr int kClose = 8, kPing = 9, kPong = 10;
    if (opcode == kPing) load::append_client_frame(unsent_, kPong, payload);
    if (opcode == kPong) has_pong_ = true;
    if (opcode != kClose) return;
    has_close_ = state_ == State::closing && payload == "\x03\xE8";
    if (!has_close_) fault_ = "the server closed the WebSocket, or answered a Close with another code";
  }

  const ToolkitLoadOptions& options_;
  const std::size_t number_;
  int socket_ = -1;
  State state_ = State::down;
  bool has_pong_ = false;
  bool has_close_ = false;  // the server has answered the Close
  std::size_t answers_ = 0;
  load::HandshakeReader handshake_;
  load::FrameParser parser_;
  std::vector<std::uint64_t> latest_;  // number of each subscription, and of the broadcasts
  std::string unsent_;
  std::string fault_;
};

}  // namespace fresnel::bench

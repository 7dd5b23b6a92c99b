// One client of the load generator: a non-blocking socket, its handshake, its frames. The generator owns the epoll.
//
// Thread safety: one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "fresnel/base/clock.hpp"
#include "fresnel/base/error.hpp"
#include "fresnel/load/frame_parser.hpp"
#include "fresnel/load/generator.hpp"
#include "fresnel/load/handshake.hpp"

namespace fresnel::load {

class Connection final : private FrameHandler {
 public:
  enum class State : std::uint8_t { down, connecting, handshaking, open };

  Connection(const GeneratorOptions& options, Totals& totals);
  ~Connection() override { drop(); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Begins to connect. `request`: the handshake; `messages`: what follows it, as frames. Both must outlive it.
  [[nodiscard]] result<void> connect(std::string_view request, std::string_view messages);
  // Closes the socket at once.
  void drop() noexcept;
  // The socket has become readable or writable. An error is the end of the connection; it is down then.
  [[nodiscard]] result<void> on_readable(std::span<char> buffer);
  [[nodiscard]] result<void> on_writable();

  [[nodiscard]] int socket() const noexcept { return socket_; }
  [[nodiscard]] State state() const noexcept { return state_; }
  [[nodiscard]] bool wants_to_write() const noexcept { return state_ == State::connecting || !unsent_.empty(); }
  [[nodiscard]] bool deflating() const noexcept { return deflating_; }
  [[nodiscard]] bool is_live() const noexcept { return live_; }
  // Reading is held back. Asked of the epoll by the generator.
  bool stopped = false;

 private:
  void on_message(const ReceivedMessage& message) override;
  void on_control(int opcode, std::string_view payload) override;
  [[nodiscard]] result<void> flush();
  void on_open(const HandshakeAnswer& answer);
  void count_answer();
  [[nodiscard]] Error end(Error error);
  [[nodiscard]] std::uint64_t nanoseconds_since_start() const;

  const GeneratorOptions& options_;
  Totals& totals_;
  int socket_ = -1;
  State state_ = State::down;
  bool deflating_ = false;
  bool live_ = false;
  bool flooded_ = false;  // more answers to pings wait than kMaxUnsent
  int close_code_ = 0;    // of the Close frame that came
  std::size_t answers_ = 0;
  TimePoint started_{};
  HandshakeReader handshake_;
  FrameParser parser_;
  std::string_view messages_;
  std::string unsent_;
};

}  // namespace fresnel::load

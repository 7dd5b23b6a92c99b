// Reads what a WebSocket server sends, just far enough to count it (RFC 6455 section 5.2):
//
//   frame  = FIN RSV1-3 opcode(4) | MASK=0 length(7) | [length(16) | length(64)] | payload
//
// Payloads are skipped, not stored, except for the first `head_limit` bytes of a message and for control frames. So a
// connection needs a constant amount of memory, whatever the server sends.
//
// Not checked, because the server's correctness is tested elsewhere and this stands beside what is measured: UTF-8,
// the compressed content, the code of a Close.
//
// Thread safety: one thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "fresnel/base/error.hpp"

namespace fresnel::load {

struct ReceivedMessage {
  std::string_view head;   // the first bytes of the payload, valid during the call; compressed when `compressed`
  std::uint64_t size = 0;  // bytes of payload on the wire
  bool compressed = false;
  bool binary = false;
};

class FrameHandler {
 public:
  virtual ~FrameHandler() = default;
  virtual void on_message(const ReceivedMessage& message) = 0;
  // opcode: 8 Close, 9 ping, 10 pong. At most 125 bytes, valid during the call.
  virtual void on_control(int opcode, std::string_view payload) = 0;
};

class FrameParser {
 public:
  static constexpr std::size_t kMaxHead = 4096;

  // head_limit is cut at kMaxHead; 0: heads are empty.
  explicit FrameParser(std::size_t head_limit);

  // Takes the next bytes of the stream, however they are cut. Error protocol: not RFC 6455; the parser is of no use
  // any more.
  [[nodiscard]] result<void> feed(std::string_view bytes, FrameHandler& handler);
  // In the middle of a frame or of a fragmented message.
  [[nodiscard]] bool in_message() const noexcept { return header_size_ != 0 || message_open_; }

 private:
  [[nodiscard]] static std::size_t header_length(std::uint8_t second) noexcept;
  [[nodiscard]] bool read_header(std::string_view& bytes);
  [[nodiscard]] result<void> begin_frame();
  void read_payload(std::string_view& bytes, FrameHandler& handler);
  void end_frame(FrameHandler& handler, std::string_view head);

  std::size_t head_limit_;
  std::array<std::uint8_t, 10> header_{};
  std::uint8_t header_size_ = 0;  // bytes of it that have come; 0 between frames
  bool in_payload_ = false;
  bool message_open_ = false;  // a data frame without FIN has come
  bool compressed_ = false;
  bool binary_ = false;
  std::uint64_t remaining_ = 0;     // bytes of the frame's payload that have not come
  std::uint64_t message_size_ = 0;  // of the message so far
  std::string head_;                // of the message so far; used when it comes in pieces
  std::string control_;
};

}  // namespace fresnel::load

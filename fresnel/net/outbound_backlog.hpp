// What one WebSocket still has to send, as whole frames: the part of OutboundQueue that knows bytes and no socket.
//
// Frame, server to client (RFC 6455 section 5.2, unmasked, never fragmented):
//   byte 0      0x80 (FIN) | 0x40 (RSV1) when the payload is compressed | opcode:
//               1 text, 2 binary, 8 close, 9 ping, 10 pong
//   byte 1      payload length up to 125; 126: two bytes of length follow; 127: eight bytes follow (big endian)
//   payload     prefix, then body
//
// Order out: the rest of a frame that has begun, then the urgent frames (control frames of the moment), then the
// data frames and the Close in the order they came. A frame is never interrupted.
//
// A frame's header and prefix lie in one arena for all frames, a body is shared with every other receiver. Bodies up to
// kTinyBody bytes are copied into the arena: that costs less than counting a reference, and a run of such frames leaves
// straight from the arena.
//
// Thread safety: one thread.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fresnel/base/shared_bytes.hpp"

namespace fresnel::net {

enum class Opcode : std::uint8_t { text = 1, binary = 2, close = 8, ping = 9, pong = 10 };

// What a message's payload is: as it is, or compressed as permessage-deflate has it (RFC 7692 section 6: RSV1 is set).
enum class Coding : std::uint8_t { plain, deflated };

// Bytes of the header of a frame with so large a payload: 2, 4 or 10.
[[nodiscard]] constexpr std::size_t frame_header_size(std::size_t payload) noexcept {
  return payload < 126 ? 2 : payload <= 0xFFFF ? 4 : 10;
}

// What one system call sends. The parts point into the backlog and the scratch.
struct OutboundBatch {
  static constexpr std::size_t kMaxParts = 256;
  static constexpr std::size_t kMaxBytes = 1u << 20;

  std::array<iovec, kMaxParts> parts;
  std::size_t count = 0;
  std::size_t bytes = 0;
};

class OutboundBacklog {
 public:
  static constexpr std::size_t kTinyBody = 256;
  static constexpr std::size_t kSmallFrame = 2048;  // copied into the scratch; larger bodies leave by reference

  // One message.
  void push(Opcode opcode, std::string_view prefix, const SharedBytes& body, Coding coding = Coding::plain);
  // Bytes of whole frames, to leave after all frames queued so far.
  void push_raw(std::string_view frames);
  // Bytes of whole frames, to leave at the next frame boundary.
  void push_urgent(std::string_view frames);

  // The next bytes in order, as many as fit: small frames are copied into `scratch` (256 KiB are a good size).
  [[nodiscard]] OutboundBatch gather(std::span<char> scratch) const;
  // The first `bytes` in order have been sent.
  void consume(std::size_t bytes);

  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::size_t urgent_bytes() const noexcept { return urgent_.size() - urgent_sent_; }
  // Memory that an empty backlog keeps for the next use.
  [[nodiscard]] std::size_t reserved() const noexcept;
  void clear();

 private:
  struct Frame {
    SharedBytes body;       // empty when it lies in the arena
    std::size_t head_size;  // bytes in the arena
    [[nodiscard]] std::size_t size() const noexcept { return head_size + body.size(); }
  };

  void consume_front(std::size_t bytes);
  void compact();

  std::string urgent_;
  std::size_t urgent_sent_ = 0;
  std::string heads_;           // the arena
  std::size_t heads_sent_ = 0;  // where the front frame's head begins
  std::vector<Frame> frames_;
  std::size_t front_ = 0;
  std::size_t front_sent_ = 0;  // bytes of the front frame already sent
  std::size_t bytes_ = 0;
};

}  // namespace fresnel::net

// Between a socket and a WebSocket stream that knows no extensions: turns compressed messages of the peer (RFC 7692
// section 6.2: RSV1 in the first frame) into plain ones, and lets all other bytes pass as they are.
//
// What the stream reads instead of a compressed message is one whole frame, masked with a key of zeros. A message that
// is too large becomes a header that announces one byte too many, and one that cannot be inflated a frame with RSV1:
// the stream then ends the connection as it does for any peer that breaks these rules (1009, 1002).
//
// Bounds: max_message bytes of a compressed message, and as many inflated.
//
// Thread safety: one thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace fresnel::net {

class FrameInflater {
 public:
  explicit FrameInflater(std::size_t max_message) : max_message_(max_message) {}

  // The next bytes of the socket; appends to `out` what the stream is to read.
  void feed(std::string_view in, std::string& out);

 private:
  enum class Part : std::uint8_t { header, passing, compressed, broken };

  [[nodiscard]] bool take_header(std::string_view& in);
  void begin_frame(std::string& out);
  void take_compressed(std::string_view payload);
  void end_frame(std::string& out);
  void fail(std::string_view header, std::string& out);
  void fail_too_large(std::string& out);

  std::size_t max_message_;
  Part part_ = Part::header;
  bool inside_message_ = false;  // a compressed one that has begun
  bool final_ = false;
  unsigned char opcode_ = 0;  // of that message
  std::uint8_t header_size_ = 0;
  std::array<unsigned char, 14> header_{};
  std::array<unsigned char, 4> mask_{};
  std::size_t masked_ = 0;  // bytes of the frame unmasked so far
  std::uint64_t left_ = 0;  // bytes of the frame to come
  std::string message_;     // the compressed payload so far
};

}  // namespace fresnel::net

// A WebSocket client in terms of raw frames, for tests that must see and send exactly what RFC 6455 section 5 says.
//
// Thread safety: one thread. Errors throw.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "fresnel/net/testing.hpp"

namespace fresnel::net::testing {

struct RawFrame {
  int opcode = 0;
  std::string payload;
  bool fin = true;
  bool compressed = false;  // RSV1
  friend bool operator==(const RawFrame&, const RawFrame&) = default;

  // The code of a Close frame, 1005 when it has none.
  [[nodiscard]] int close_code() const {
    if (payload.size() < 2) return 1005;
    return static_cast<unsigned char>(payload[0]) << 8 | static_cast<unsigned char>(payload[1]);
  }
};

inline std::ostream& operator<<(std::ostream& out, const RawFrame& frame) {
  return out << "opcode " << frame.opcode << ", " << frame.payload.size() << " bytes: " << frame.payload.substr(0, 80);
}

inline std::string length_bytes(std::size_t length, int count) {
  std::string out;
  for (int shift = 8 * (count - 1); shift >= 0; shift -= 8) out += static_cast<char>(length >> shift & 0xFF);
  return out;
}

// A masked frame, as a client sends it.
inline std::string client_frame(int opcode, std::string_view payload, bool fin = true) {
  constexpr std::string_view kMask = "\x12\x34\x56\x78";
  std::string out(1, static_cast<char>((fin ? 0x80 : 0) | opcode));
  const auto size = payload.size();
  if (size < 126) {
    out += static_cast<char>(0x80 | size);
  } else {
    out += static_cast<char>(size <= 0xFFFF ? 0x80 | 126 : 0x80 | 127);
    out += length_bytes(size, size <= 0xFFFF ? 2 : 8);
  }
  out += kMask;
  for (std::size_t i = 0; i < size; ++i) out += static_cast<char>(payload[i] ^ kMask[i % 4]);
  return out;
}

inline std::string client_close(int code, std::string_view reason = {}) {
  return client_frame(8, length_bytes(static_cast<std::size_t>(code), 2).append(reason));
}

// The next frame of a server; it must not be masked.
inline awaitable<RawFrame> read_frame(RawClient& client) {
  const auto head = co_await client.read_exactly(2);
  const auto first = static_cast<unsigned char>(head[0]);
  std::size_t size = static_cast<unsigned char>(head[1]);
  if ((first & 0x30) != 0 || size > 127) throw std::runtime_error("reserved bits or a mask in a server's frame");
  if (size > 125) {
    const auto length = co_await client.read_exactly(size == 126 ? 2 : 8);
    size = 0;
    for (const char byte : length) size = size << 8 | static_cast<unsigned char>(byte);
  }
  RawFrame frame;
  frame.opcode = first & 0x0F;
  frame.fin = (first & 0x80) != 0;
  frame.compressed = (first & 0x40) != 0;
  frame.payload = co_await client.read_exactly(size);
  co_return frame;
}

// A valid opening handshake; `fields` are further header lines, each ended by CR LF.
inline std::string handshake_request(std::string_view fields = {}) {
  std::string out =
      "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  return out.append(fields).append("\r\n");
}

}  // namespace fresnel::net::testing

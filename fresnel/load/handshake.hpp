// The client's half of a WebSocket's opening handshake (RFC 6455 section 4.1), and the frames that it sends.
//
// The key and the mask are constant, and Sec-WebSocket-Accept is not compared: they guard browsers and proxies, and
// here each would be work of the load generator's inside the measurement.
//
// Thread safety: pure functions; a HandshakeReader belongs to one thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "fresnel/base/error.hpp"

namespace fresnel::load {

struct HandshakeOptions {
  std::string host;           // the Host header: name and port
  std::string target = "/";   // path and query
  std::string authorization;  // value of the Authorization header, empty: none
  bool deflate = false;       // offers permessage-deflate without context takeover (RFC 7692 section 7.1)
};

[[nodiscard]] std::string handshake_request(const HandshakeOptions& options);

// Appends one whole masked frame. opcode: 1 text, 8 Close, 10 pong.
void append_client_frame(std::string& out, int opcode, std::string_view payload);

struct HandshakeAnswer {
  bool deflate = false;  // permessage-deflate was accepted
};

// Reads the server's answer, up to the end of its header.
class HandshakeReader {
 public:
  static constexpr std::size_t kMaxHeader = 16u << 10;

  // Takes the answer's bytes off the front of `bytes`; what is left are frames. Nothing yet: more is needed. Error
  // protocol: no HTTP, or an answer other than 101, with its status.
  [[nodiscard]] result<std::optional<HandshakeAnswer>> feed(std::string_view& bytes);

 private:
  std::string header_;
};

}  // namespace fresnel::load

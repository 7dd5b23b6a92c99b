#include "fresnel/load/handshake.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

namespace fresnel::load {
namespace {

constexpr std::array<char, 4> kMask = {'\x5A', '\x3C', '\x69', '\x0F'};

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); });
  return out;
}

void append_big_endian(std::string& out, std::uint64_t value, int bytes) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xFF);
}

// The line up to CR LF, taken off `text`.
std::string_view take_line(std::string_view& text) {
  const auto end = std::min(text.find("\r\n"), text.size());
  const auto line = text.substr(0, end);
  text.remove_prefix(std::min(end + 2, text.size()));
  return line;
}

result<HandshakeAnswer> read_answer(std::string_view header) {
  const auto status_line = take_line(header);
  int status = 0;
  if (status_line.starts_with("HTTP/1.") && status_line.size() >= 12) {
    std::from_chars(status_line.data() + 9, status_line.data() + 12, status);
  }
  if (status == 0) return Error{Errc::protocol, "the server's answer is no HTTP"};
  if (status != 101) {
    return Error{Errc::protocol, "the server refused the WebSocket: " + std::string(status_line.substr(9)), status};
  }
  HandshakeAnswer answer;
  while (!header.empty()) {
    const auto line = lower(take_line(header));
    constexpr std::string_view kExtensions = "sec-websocket-extensions:";
    if (line.starts_with(kExtensions)) answer.deflate = line.find("permessage-deflate") != std::string::npos;
  }
  return answer;
}

}  // namespace

std::string handshake_request(const HandshakeOptions& options) {
  std::string out = "GET " + options.target + " HTTP/1.1\r\nHost: " + options.host +
                    "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                    "Sec-WebSocket-Key: RnJlc25lbCBiZW5jaCBrZQ==\r\nUser-Agent: fresnel-bench\r\n";
  if (!options.authorization.empty()) out += "Authorization: " + options.authorization + "\r\n";
  if (options.deflate) {
    out += "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n";
  }
  return out += "\r\n";
}

void append_client_frame(std::string& out, int opcode, std::string_view payload) {
  out += static_cast<char>(0x80 | opcode);
  const auto size = payload.size();
  if (size < 126) {
    out += static_cast<char>(0x80 | size);
  } else if (size <= 0xFFFF) {
    out += static_cast<char>(0x80 | 126);
    append_big_endian(out, size, 2);
  } else {
    out += static_cast<char>(0x80 | 127);
    append_big_endian(out, size, 8);
  }
  out.append(kMask.data(), kMask.size());
  for (std::size_t i = 0; i < size; ++i) out += static_cast<char>(payload[i] ^ kMask[i % kMask.size()]);
}

result<std::optional<HandshakeAnswer>> HandshakeReader::feed(std::string_view& bytes) {
  constexpr std::string_view kEnd = "\r\n\r\n";
  const auto before = header_.size();
  header_ += bytes.substr(0, kMaxHeader - std::min(kMaxHeader, before));
  const auto end = header_.find(kEnd, before < kEnd.size() ? 0 : before - kEnd.size() + 1);
  if (end == std::string::npos) {
    if (header_.size() >= kMaxHeader) return Error{Errc::protocol, "the server's answer has no end"};
    bytes = {};
    return std::optional<HandshakeAnswer>();
  }
  bytes.remove_prefix(end + kEnd.size() - before);
  auto answer = read_answer(std::string_view(header_).substr(0, end + 2));
  if (!answer) return answer.error();
  return std::optional<HandshakeAnswer>(*answer);
}

}  // namespace fresnel::load

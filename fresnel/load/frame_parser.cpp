#include "fresnel/load/frame_parser.hpp"

#include <algorithm>

namespace fresnel::load {
namespace {

constexpr int kContinuation = 0;
constexpr int kText = 1;
constexpr int kBinary = 2;
constexpr std::uint8_t kFin = 0x80;
constexpr std::uint8_t kCompressed = 0x40;  // RSV1, RFC 7692 section 6
constexpr std::size_t kMaxControl = 125;

bool is_control(int opcode) { return (opcode & 8) != 0; }

Error broken(std::string message) { return {Errc::protocol, "the server sent " + std::move(message)}; }

}  // namespace

FrameParser::FrameParser(std::size_t head_limit) : head_limit_(std::min(head_limit, kMaxHead)) {}

std::size_t FrameParser::header_length(std::uint8_t second) noexcept {
  switch (second & 0x7F) {
    case 126: return 4;
    case 127: return 10;
    default: return 2;
  }
}

// True when the header is complete.
bool FrameParser::read_header(std::string_view& bytes) {
  while (header_size_ < 2 || header_size_ < header_length(header_[1])) {
    if (bytes.empty()) return false;
    header_[header_size_++] = static_cast<std::uint8_t>(bytes.front());
    bytes.remove_prefix(1);
  }
  return true;
}

result<void> FrameParser::begin_frame() {
  const int opcode = header_[0] & 0x0F;
  const bool first = opcode == kText || opcode == kBinary;
  if ((header_[0] & 0x30) != 0) return broken("a frame with RSV2 or RSV3");
  if ((header_[1] & 0x80) != 0) return broken("a masked frame");
  if (!first && opcode != kContinuation && (opcode < 8 || opcode > 10)) {
    return broken("the unknown opcode " + std::to_string(opcode));
  }
  if ((header_[0] & kCompressed) != 0 && !first) return broken("RSV1 on another frame than a message's first");
  if (first && message_open_) return broken("a new message inside a fragmented one");
  if (opcode == kContinuation && !message_open_) return broken("a continuation of no message");

  const auto length = header_length(header_[1]);
  remaining_ = header_[1] & 0x7F;
  if (length > 2) {
    remaining_ = 0;
    for (std::size_t i = 2; i < length; ++i) remaining_ = remaining_ << 8 | header_[i];
  }
  if (remaining_ >> 63 != 0) return broken("a length with its highest bit set");
  if (is_control(opcode)) {
    if ((header_[0] & kFin) == 0) return broken("a fragmented control frame");
    if (remaining_ > kMaxControl) return broken("a control frame of more than 125 bytes");
    control_.clear();
  } else if (first) {
    compressed_ = (header_[0] & kCompressed) != 0;
    binary_ = opcode == kBinary;
    message_size_ = 0;
    head_.clear();
  }
  in_payload_ = true;
  return {};
}

void FrameParser::end_frame(FrameHandler& handler, std::string_view head) {
  const int opcode = header_[0] & 0x0F;
  header_size_ = 0;
  in_payload_ = false;
  if (is_control(opcode)) {
    handler.on_control(opcode, control_);
    return;
  }
  message_open_ = (header_[0] & kFin) == 0;
  if (message_open_) return;
  handler.on_message({.head = head, .size = message_size_, .compressed = compressed_, .binary = binary_});
}

void FrameParser::read_payload(std::string_view& bytes, FrameHandler& handler) {
  const auto piece = bytes.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, bytes.size())));
  bytes.remove_prefix(piece.size());
  remaining_ -= piece.size();
  if (is_control(header_[0] & 0x0F)) {
    control_ += piece;
    if (remaining_ == 0) end_frame(handler, {});
    return;
  }
  const bool whole = message_size_ == 0 && remaining_ == 0 && (header_[0] & kFin) != 0;
  message_size_ += piece.size();
  if (whole) {
    end_frame(handler, piece.substr(0, head_limit_));
    return;
  }
  if (head_.size() < head_limit_) head_ += piece.substr(0, head_limit_ - head_.size());
  if (remaining_ == 0) end_frame(handler, head_);
}

result<void> FrameParser::feed(std::string_view bytes, FrameHandler& handler) {
  while (true) {
    if (!in_payload_) {
      if (!read_header(bytes)) return {};
      if (auto begun = begin_frame(); !begun) return begun;
    }
    if (bytes.empty() && remaining_ != 0) return {};
    read_payload(bytes, handler);
  }
}

}  // namespace fresnel::load

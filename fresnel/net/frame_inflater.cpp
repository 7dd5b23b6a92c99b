#include "fresnel/net/frame_inflater.hpp"

#include <algorithm>

#include "fresnel/net/deflate.hpp"

namespace fresnel::net {
namespace {

constexpr unsigned kFin = 0x80;
constexpr unsigned kReserved = 0x70;
constexpr unsigned kRsv1 = 0x40;
constexpr unsigned kMasked = 0x80;
constexpr unsigned char kFirstControl = 8;

std::size_t header_size(unsigned char second) {
  const unsigned length = second & 0x7F;
  return 2 + (length == 126 ? 2u : length == 127 ? 8u : 0u) + ((second & kMasked) != 0 ? 4u : 0u);
}

// The header of a whole frame with a masking key of zeros.
std::string plain_header(unsigned first, std::uint64_t payload) {
  std::string header(1, static_cast<char>(first));
  const int length_bytes = payload < 126 ? 0 : payload <= 0xFFFF ? 2 : 8;
  header.push_back(static_cast<char>(kMasked | (length_bytes == 0 ? payload : length_bytes == 2 ? 126 : 127)));
  for (int byte = length_bytes - 1; byte >= 0; --byte) header.push_back(static_cast<char>(payload >> (8 * byte)));
  return header.append(4, '\0');
}

}  // namespace

void FrameInflater::feed(std::string_view in, std::string& out) {
  while (!in.empty()) {
    if (part_ == Part::header) {
      if (take_header(in)) begin_frame(out);
      continue;
    }
    if (part_ == Part::broken) return;
    const auto payload = in.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(left_, in.size())));
    in.remove_prefix(payload.size());
    left_ -= payload.size();
    if (part_ == Part::passing) {
      out.append(payload);
      if (left_ == 0) part_ = Part::header;
    } else {
      take_compressed(payload);
      if (left_ == 0) end_frame(out);
    }
  }
}

// True once the header is whole.
bool FrameInflater::take_header(std::string_view& in) {
  while (!in.empty()) {
    header_[header_size_++] = static_cast<unsigned char>(in.front());
    in.remove_prefix(1);
    if (header_size_ >= 2 && header_size_ == header_size(header_[1])) return true;
  }
  return false;
}

void FrameInflater::begin_frame(std::string& out) {
  const std::string_view header(reinterpret_cast<const char*>(header_.data()), header_size_);
  const std::size_t mask_at = header_size_ - ((header_[1] & kMasked) != 0 ? 4u : 0u);
  header_size_ = 0;
  left_ = header_[1] & 0x7Fu;
  if (left_ >= 126) {
    left_ = 0;
    for (std::size_t i = 2; i < mask_at; ++i) left_ = left_ << 8 | header_[i];
  }
  const auto opcode = static_cast<unsigned char>(header_[0] & 0x0F);
  const unsigned reserved = header_[0] & kReserved;
  const bool is_data = opcode != 0 && opcode < kFirstControl;
  const bool begins = reserved == kRsv1 && is_data && !inside_message_;
  const bool goes_on = reserved == 0 && opcode == 0 && inside_message_;
  const bool masked = (header_[1] & kMasked) != 0;
  // Of the 2 or 8 bytes of a longer length none is in vain (RFC 6455 section 5.2).
  const bool shortest = (header_[1] & 0x7F) < 126 || left_ > ((header_[1] & 0x7F) == 126 ? 125u : 0xFFFFu);
  // The stream does not know that it is inside a message (RFC 6455 section 5.4).
  if (inside_message_ && is_data) return fail(plain_header(kFin | kRsv1 | opcode_, 0), out);
  if (!masked || !shortest || (!begins && !goes_on)) {  // not for this layer, or wrong: the stream knows what to do
    out.append(header);
    part_ = left_ > 0 ? Part::passing : Part::header;
    return;
  }
  if (begins) opcode_ = opcode;
  inside_message_ = true;
  final_ = (header_[0] & kFin) != 0;
  std::copy_n(header_.begin() + static_cast<std::ptrdiff_t>(mask_at), 4, mask_.begin());
  masked_ = 0;
  part_ = Part::compressed;
  if (left_ > max_message_ - std::min(message_.size(), max_message_)) return fail_too_large(out);
  if (left_ == 0) end_frame(out);
}

void FrameInflater::take_compressed(std::string_view payload) {
  const auto before = message_.size();
  message_.append(payload);
  for (auto at = before; at < message_.size(); ++at) {
    message_[at] = static_cast<char>(static_cast<unsigned char>(message_[at]) ^ mask_[masked_++ % 4]);
  }
}

void FrameInflater::end_frame(std::string& out) {
  part_ = Part::header;
  if (!final_) return;
  inside_message_ = false;
  bool too_large = false;
  const auto plain = inflate_message(message_, max_message_, too_large);
  message_ = std::string();  // an idle connection keeps none of it
  if (too_large) return fail_too_large(out);
  if (!plain) return fail(plain_header(kFin | kRsv1 | opcode_, 0), out);
  out.append(plain_header(kFin | opcode_, plain->size())).append(*plain);
}

void FrameInflater::fail_too_large(std::string& out) { fail(plain_header(kFin | opcode_, max_message_ + 1), out); }

void FrameInflater::fail(std::string_view header, std::string& out) {
  out.append(header);
  part_ = Part::broken;
  message_ = std::string();
}

}  // namespace fresnel::net

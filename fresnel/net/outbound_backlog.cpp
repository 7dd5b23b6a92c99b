#include "fresnel/net/outbound_backlog.hpp"

#include <algorithm>
#include <cstring>

namespace fresnel::net {
namespace {

constexpr unsigned kFin = 0x80;
constexpr unsigned kRsv1 = 0x40;

void append_frame_header(std::string& out, unsigned first, std::size_t payload) {
  std::array<char, 10> header;
  const auto size = frame_header_size(payload);
  header[0] = static_cast<char>(first);
  header[1] = static_cast<char>(size == 2 ? payload : size == 4 ? 126 : 127);
  std::size_t rest = payload;
  for (auto at = size; at > 2; --at) {
    header[at - 1] = static_cast<char>(rest & 0xFF);
    rest >>= 8;
  }
  out.append(header.data(), size);
}

// Fills a batch: pieces that touch become one part.
class Gatherer {
 public:
  Gatherer(OutboundBatch& batch, std::span<char> scratch) : batch_(batch), scratch_(scratch) {}

  // False when the batch is full.
  bool refer(std::string_view piece) {
    if (piece.empty()) return true;
    if (batch_.bytes >= OutboundBatch::kMaxBytes) return false;
    return add(const_cast<char*>(piece.data()), piece.size());  // sendmsg does not write, its iovec only looks so
  }

  bool copy(std::string_view piece) {
    if (piece.empty()) return true;
    if (piece.size() > scratch_.size() - used_) return false;
    char* target = scratch_.data() + used_;
    if (!add(target, piece.size())) return false;
    std::memcpy(target, piece.data(), piece.size());
    used_ += piece.size();
    return true;
  }

  [[nodiscard]] bool room(std::size_t bytes, std::size_t parts) const {
    return bytes <= scratch_.size() - used_ && batch_.count + parts <= OutboundBatch::kMaxParts &&
           batch_.bytes < OutboundBatch::kMaxBytes;
  }
  // The latest part ends where the scratch is free, so that what is copied costs no part of its own.
  [[nodiscard]] bool copying() const { return used_ > 0 && end() == scratch_.data() + used_; }

 private:
  [[nodiscard]] const char* end() const {
    if (batch_.count == 0) return nullptr;
    const auto& part = batch_.parts[batch_.count - 1];
    return static_cast<const char*>(part.iov_base) + part.iov_len;
  }

  bool add(char* data, std::size_t size) {
    if (end() == data) {
      batch_.parts[batch_.count - 1].iov_len += size;
    } else {
      if (batch_.count == OutboundBatch::kMaxParts) return false;
      batch_.parts[batch_.count++] = {data, size};
    }
    batch_.bytes += size;
    return true;
  }

  OutboundBatch& batch_;
  std::span<char> scratch_;
  std::size_t used_ = 0;
};

// `head` then `body`, without their first `skip` bytes. False when not all of it went into the batch: nothing may
// follow then.
bool gather_frame(Gatherer& gatherer, std::string_view head, std::string_view body, std::size_t skip) {
  if (skip > 0) {
    const auto of_head = std::min(skip, head.size());
    head.remove_prefix(of_head);
    body.remove_prefix(skip - of_head);
  }
  const auto size = head.size() + body.size();
  if (size <= OutboundBacklog::kSmallFrame && (!body.empty() || gatherer.copying())) {
    if (!gatherer.room(size, 1)) return false;
    return gatherer.copy(head) && gatherer.copy(body);
  }
  if (!gatherer.room(0, 2)) return false;
  const bool small_head = !body.empty() && head.size() <= OutboundBacklog::kSmallFrame;
  return (small_head ? gatherer.copy(head) : gatherer.refer(head)) && gatherer.refer(body);
}

}  // namespace

void OutboundBacklog::push(Opcode opcode, std::string_view prefix, const SharedBytes& body, Coding coding) {
  const auto payload = prefix.size() + body.size();
  const bool tiny = body.size() <= kTinyBody;
  const unsigned flags = coding == Coding::deflated ? kFin | kRsv1 : kFin;
  append_frame_header(heads_, flags | static_cast<unsigned>(opcode), payload);
  heads_.append(prefix);
  if (tiny) heads_.append(body.view());
  const auto size = frame_header_size(payload) + payload;
  frames_.push_back({tiny ? SharedBytes() : body, size - (tiny ? 0 : body.size())});
  bytes_ += size;
}

void OutboundBacklog::push_raw(std::string_view frames) {
  if (frames.empty()) return;
  heads_.append(frames);
  frames_.push_back({SharedBytes(), frames.size()});
  bytes_ += frames.size();
}

void OutboundBacklog::push_urgent(std::string_view frames) {
  urgent_.append(frames);
  bytes_ += frames.size();
}

OutboundBatch OutboundBacklog::gather(std::span<char> scratch) const {
  OutboundBatch batch;
  Gatherer gatherer(batch, scratch);
  const std::string_view heads = heads_;
  auto head_at = heads_sent_;
  auto at = front_;
  const auto add_front = [&](std::size_t skip) {
    const auto& frame = frames_[at];
    if (!gather_frame(gatherer, heads.substr(head_at, frame.head_size), frame.body.view(), skip)) return false;
    head_at += frame.head_size;
    ++at;
    return true;
  };
  if (front_sent_ > 0 && !add_front(front_sent_)) return batch;
  if (!gatherer.refer(std::string_view(urgent_).substr(urgent_sent_))) return batch;
  while (at < frames_.size() && add_front(0)) {
  }
  return batch;
}

void OutboundBacklog::consume(std::size_t bytes) {
  bytes_ -= bytes;
  if (front_sent_ > 0) {
    const auto of_front = std::min(bytes, frames_[front_].size() - front_sent_);
    consume_front(of_front);
    bytes -= of_front;
  }
  const auto of_urgent = std::min(bytes, urgent_bytes());
  urgent_sent_ += of_urgent;
  bytes -= of_urgent;
  if (urgent_sent_ == urgent_.size()) {
    urgent_.clear();
    urgent_sent_ = 0;
  }
  while (bytes > 0) {
    const auto of_front = std::min(bytes, frames_[front_].size() - front_sent_);
    consume_front(of_front);
    bytes -= of_front;
  }
  compact();
}

void OutboundBacklog::consume_front(std::size_t bytes) {
  auto& frame = frames_[front_];
  front_sent_ += bytes;
  if (front_sent_ < frame.size()) return;
  heads_sent_ += frame.head_size;
  frame.body = SharedBytes();  // the last receiver frees it now, not when the backlog is compacted
  ++front_;
  front_sent_ = 0;
}

// Moving what is left costs no more than sending what is gone did.
void OutboundBacklog::compact() {
  if (front_ * 2 >= frames_.size()) {
    frames_.erase(frames_.begin(), frames_.begin() + static_cast<std::ptrdiff_t>(front_));
    front_ = 0;
  }
  if (heads_sent_ * 2 >= heads_.size()) {
    heads_.erase(0, heads_sent_);
    heads_sent_ = 0;
  }
}

std::size_t OutboundBacklog::reserved() const noexcept {
  return urgent_.capacity() + heads_.capacity() + frames_.capacity() * sizeof(Frame);
}

void OutboundBacklog::clear() {
  urgent_.clear();
  heads_.clear();
  frames_.clear();
  urgent_sent_ = heads_sent_ = front_ = front_sent_ = bytes_ = 0;
}

}  // namespace fresnel::net

#include "fresnel/net/deflate.hpp"

#include <zlib.h>

#include <algorithm>
#include <boost/beast/http/rfc7230.hpp>
#include <new>
#include <utility>

namespace fresnel::net {
namespace {

namespace http = boost::beast::http;

constexpr int kWindowBits = -15;  // raw deflate, 32 KiB
constexpr int kMemoryLevel = 8;
// Compressed once and sent to many: zlib's usual effort, which a handful of readers repay.
constexpr int kLevel = Z_DEFAULT_COMPRESSION;
constexpr std::string_view kFlushEnd{"\x00\x00\xFF\xFF", 4};

Bytef* bytes_of(std::string_view text) {
  return const_cast<Bytef*>(reinterpret_cast<const Bytef*>(text.data()));  // zlib's next_in is not const, but only read
}

class Deflater {
 public:
  Deflater() {
    if (deflateInit2(&stream_, kLevel, Z_DEFLATED, kWindowBits, kMemoryLevel, Z_DEFAULT_STRATEGY) != Z_OK) {
      throw std::bad_alloc();
    }
  }
  ~Deflater() { deflateEnd(&stream_); }
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;

  std::string run(std::string_view text) {
    deflateReset(&stream_);
    std::string out(deflateBound(&stream_, static_cast<uLong>(text.size())) + 16, '\0');
    stream_.next_in = bytes_of(text);
    stream_.avail_in = static_cast<uInt>(text.size());
    stream_.next_out = bytes_of(out);
    stream_.avail_out = static_cast<uInt>(out.size());
    const int done = deflate(&stream_, Z_SYNC_FLUSH);
    out.resize(out.size() - stream_.avail_out);
    if (done != Z_OK || stream_.avail_in != 0 || !out.ends_with(kFlushEnd)) return {};
    out.resize(out.size() - kFlushEnd.size());
    return out;
  }

 private:
  z_stream stream_{};
};

class Inflater {
 public:
  Inflater() {
    if (inflateInit2(&stream_, kWindowBits) != Z_OK) throw std::bad_alloc();
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  void reset() { inflateReset(&stream_); }
  // Appends to `out`, up to `limit` bytes in all. False when `in` is no deflate data, or begins anew too often.
  bool feed(std::string_view in, std::string& out, std::size_t limit) {
    stream_.next_in = bytes_of(in);
    stream_.avail_in = static_cast<uInt>(in.size());
    std::size_t size = out.size();
    const bool valid = inflate_all(out, size, limit);
    out.resize(size);
    return valid;
  }

 private:
  // A last block that others follow costs some microseconds and two bytes: no compressor needs many.
  static constexpr int kMaxLastBlocks = 256;

  // `size` of `out` is used; the rest is room.
  bool inflate_all(std::string& out, std::size_t& size, std::size_t limit) {
    for (int last_blocks = 0;;) {
      if (size >= limit) return true;
      if (size == out.size()) out.resize(std::min(limit, size + std::max<std::size_t>(4096, size)));
      stream_.next_out = bytes_of(std::string_view(out).substr(size));
      stream_.avail_out = static_cast<uInt>(out.size() - size);
      const int done = inflate(&stream_, Z_SYNC_FLUSH);
      size = out.size() - stream_.avail_out;
      if (done == Z_STREAM_END) {  // RFC 7692 section 7.2.3.5
        if (stream_.avail_in == 0) return true;
        if (++last_blocks > kMaxLastBlocks) return false;
        go_on_behind(std::string_view(out).substr(0, size));
        continue;
      }
      if (done != Z_OK && done != Z_BUF_ERROR) return false;
      if (stream_.avail_out > 0) return stream_.avail_in == 0;
    }
  }

  // What has been inflated can still be referred to.
  void go_on_behind(std::string_view out) {
    constexpr std::size_t kWindow = 32u << 10;
    const auto window = out.substr(out.size() - std::min(out.size(), kWindow));
    inflateReset(&stream_);
    inflateSetDictionary(&stream_, bytes_of(window), static_cast<uInt>(window.size()));
  }

  z_stream stream_{};
};

// The next element of a list, up to a comma that is not within quotes. (Beast 1.81's ext_list gives an element without
// parameters those of the one before.)
std::string_view take_element(std::string_view& list) {
  bool quoted = false;
  std::size_t end = 0;
  for (; end < list.size() && (quoted || list[end] != ','); ++end) {
    if (list[end] == '"') quoted = !quoted;
    if (list[end] == '\\' && quoted) ++end;
  }
  const auto element = list.substr(0, end);
  list.remove_prefix(std::min(end + 1, list.size()));
  return element;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t";
  text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  return text.substr(0, text.find_last_not_of(kSpace) + 1);
}

// What one offer asks for; nothing when it cannot be granted (RFC 7692 section 7.1).
std::optional<std::string> grant(const http::param_list& offer) {
  bool server_takeover = false;
  bool client_takeover = false;
  bool server_bits = false;
  bool client_bits = false;
  for (const auto& parameter : offer) {
    const std::string_view name(parameter.first.data(), parameter.first.size());
    const std::string_view value(parameter.second.data(), parameter.second.size());
    const auto first_time = [](bool& seen) { return !std::exchange(seen, true); };
    if (name == "server_no_context_takeover") {
      if (!first_time(server_takeover) || !value.empty()) return std::nullopt;
    } else if (name == "client_no_context_takeover") {
      if (!first_time(client_takeover) || !value.empty()) return std::nullopt;
    } else if (name == "server_max_window_bits") {
      // A smaller window would need the body compressed anew.
      if (!first_time(server_bits) || value != "15") return std::nullopt;
    } else if (name == "client_max_window_bits") {
      const bool number = value.size() == 1 ? value >= "8" && value <= "9" : value >= "10" && value <= "15";
      if (!first_time(client_bits) || (!value.empty() && (value.size() > 2 || !number))) return std::nullopt;
    } else {
      return std::nullopt;
    }
  }
  std::string response = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
  if (server_bits) response += "; server_max_window_bits=15";
  return response;
}

}  // namespace

std::optional<std::string> negotiate_deflate(const Headers& request) {
  for (const auto& [name, value] : request) {
    if (!equal_ignoring_case(name, "sec-websocket-extensions")) continue;
    for (std::string_view rest = value; !rest.empty();) {
      const auto offer = take_element(rest);
      const auto name = trimmed(offer.substr(0, offer.find(';')));
      if (!equal_ignoring_case(name, "permessage-deflate")) continue;
      const auto parameters = offer.substr(std::min(offer.find(';'), offer.size()));
      if (auto granted = grant(http::param_list({parameters.data(), parameters.size()}))) return granted;
    }
  }
  return std::nullopt;
}

SharedBytes deflate_body(std::string_view body) {
  if (body.size() < kDeflateThreshold) return {};
  static thread_local Deflater deflater;
  auto deflated = deflater.run(body);
  if (deflated.empty() || deflated.size() >= body.size()) return {};
  deflated.shrink_to_fit();
  return SharedBytes(std::move(deflated));
}

std::string stored_block(std::string_view bytes) {
  const auto size = static_cast<unsigned>(std::min(bytes.size(), kMaxStoredBlock));
  std::string block{'\0', static_cast<char>(size & 0xFF), static_cast<char>(size >> 8), static_cast<char>(~size & 0xFF),
                    static_cast<char>((~size >> 8) & 0xFF)};
  return block.append(bytes.substr(0, size));
}

std::optional<std::string> inflate_message(std::string_view payload, std::size_t limit, bool& too_large) {
  static thread_local Inflater inflater;
  inflater.reset();
  std::string out;
  // One byte more than allowed tells that there would be more.
  const bool valid = inflater.feed(payload, out, limit + 1) && inflater.feed(kFlushEnd, out, limit + 1);
  too_large = out.size() > limit;
  if (!valid || too_large) return std::nullopt;
  return out;
}

}  // namespace fresnel::net

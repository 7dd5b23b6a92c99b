#include "fresnel/json/escape.hpp"

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace fresnel::json {
namespace {

// The escaped length of each byte: 1 (as it is), 2 (\n) or 6 (\u001f).
constexpr std::array<std::uint8_t, 256> make_lengths() {
  std::array<std::uint8_t, 256> lengths{};
  for (std::size_t i = 0; i < lengths.size(); ++i) lengths[i] = i < 0x20 ? 6 : 1;
  for (const char c : {'"', '\\', '\b', '\f', '\n', '\r', '\t'}) lengths[static_cast<unsigned char>(c)] = 2;
  return lengths;
}
constexpr std::array<std::uint8_t, 256> kLengths = make_lengths();

constexpr std::size_t length_of(char c) noexcept { return kLengths[static_cast<unsigned char>(c)]; }

// Writes one character, escaped where it must be; returns the end.
char* write_one(char* to, char c) noexcept {
  const auto length = length_of(c);
  if (length == 1) {
    *to = c;
    return to + 1;
  }
  *to++ = '\\';
  switch (c) {
    case '\b': *to++ = 'b'; return to;
    case '\f': *to++ = 'f'; return to;
    case '\n': *to++ = 'n'; return to;
    case '\r': *to++ = 'r'; return to;
    case '\t': *to++ = 't'; return to;
    case '"':
    case '\\': *to++ = c; return to;
    default: break;
  }
  constexpr char kHex[] = "0123456789abcdef";
  const auto byte = static_cast<unsigned char>(c);
  std::memcpy(to, "u00", 3);
  to[3] = kHex[byte >> 4];
  to[4] = kHex[byte & 0xf];
  return to + 5;
}

#if defined(__SSE2__)
constexpr std::size_t kBlock = 16;

// One bit for each byte of the block that must be escaped, the first byte's lowest.
unsigned dirty_bits(__m128i block) noexcept {
  const __m128i quotes = _mm_cmpeq_epi8(block, _mm_set1_epi8('"'));
  const __m128i backslashes = _mm_cmpeq_epi8(block, _mm_set1_epi8('\\'));
  // SSE2 compares signed bytes only; min(x, 0x1f) == x says x <= 0x1f unsigned.
  const __m128i controls = _mm_cmpeq_epi8(_mm_min_epu8(block, _mm_set1_epi8(0x1f)), block);
  return static_cast<unsigned>(_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quotes, backslashes), controls)));
}

__m128i load(const char* from) noexcept { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)); }
#endif

}  // namespace

std::size_t escaped_size(std::string_view text) noexcept {
  std::size_t size = text.size();
  const char* at = text.data();
  const char* const end = at + text.size();
#if defined(__SSE2__)
  for (; static_cast<std::size_t>(end - at) >= kBlock; at += kBlock) {
    for (unsigned bits = dirty_bits(load(at)); bits != 0; bits &= bits - 1) {
      size += length_of(at[std::countr_zero(bits)]) - 1;
    }
  }
#endif
  for (; at != end; ++at) size += length_of(*at) - 1;
  return size;
}

void append_escaped(std::string& out, std::string_view text) {
  const auto before = out.size();
  out.resize(before + escaped_size(text));
  char* to = out.data() + before;
  const char* at = text.data();
  const char* const end = at + text.size();
#if defined(__SSE2__)
  while (static_cast<std::size_t>(end - at) >= kBlock) {
    const __m128i block = load(at);
    // In bounds: each of the 16 or more bytes still to come takes at least one byte of the exactly sized output. Bytes
    // stored past a dirty one are written over by what follows it.
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), block);
    const unsigned bits = dirty_bits(block);
    if (bits == 0) {
      at += kBlock;
      to += kBlock;
      continue;
    }
    const auto clean = std::countr_zero(bits);
    at += clean;
    to = write_one(to + clean, *at++);
  }
#endif
  while (at != end) to = write_one(to, *at++);
}

void append_quoted(std::string& out, std::string_view text) {
  out.push_back('"');
  append_escaped(out, text);
  out.push_back('"');
}

}  // namespace fresnel::json

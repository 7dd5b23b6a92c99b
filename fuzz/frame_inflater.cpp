// A peer's frames, compressed or not, in pieces of any size: the same comes out however they are cut, and not much more
// than the bounds allow.
#include "fresnel/net/frame_inflater.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

using fresnel::net::FrameInflater;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kMaxMessage = 4096;
  if (size == 0) return 0;
  const std::size_t piece = 1 + data[0] % 32;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::string whole;
  FrameInflater one(kMaxMessage);
  one.feed(text, whole);
  std::string pieces;
  FrameInflater other(kMaxMessage);
  for (std::size_t at = 0; at < text.size(); at += piece) other.feed(text.substr(at, piece), pieces);
  if (whole != pieces) std::abort();
  // Each compressed message has a frame of six bytes at least, and becomes kMaxMessage and a header at most.
  if (whole.size() > text.size() + (text.size() / 6 + 1) * (kMaxMessage + 14)) std::abort();
  return 0;
}

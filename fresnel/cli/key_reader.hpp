// Keys out of the bytes that a terminal sends (ECMA-48 sequences as xterm writes them).
//
// Thread safety: one thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fresnel::cli {

enum class Key { quit, up, down, page_up, page_down, home, end };

class KeyReader {
 public:
  // The keys that are complete with these bytes; other keys are skipped. A sequence may arrive in pieces.
  [[nodiscard]] std::vector<Key> feed(std::string_view bytes);

 private:
  enum class State { plain, escape, sequence } state_ = State::plain;
  std::string parameters_;  // of the sequence under way
};

}  // namespace fresnel::cli

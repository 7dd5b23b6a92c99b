#include "fresnel/cli/key_reader.hpp"

#include <optional>

namespace fresnel::cli {
namespace {

std::optional<Key> plain_key(char c) {
  switch (c) {
    case 'q':
    case 'Q':
    case '\x03': return Key::quit;  // Ctrl-C, should the terminal not make a signal of it
    case 'k': return Key::up;
    case 'j': return Key::down;
    case 'b':
    case '\x02': return Key::page_up;
    case ' ':
    case 'f':
    case '\x06': return Key::page_down;
    case 'g': return Key::home;
    case 'G': return Key::end;
    default: return std::nullopt;
  }
}

// What follows ESC [ or ESC O.
std::optional<Key> sequence_key(const std::string& parameters, char last) {
  switch (last) {
    case 'A': return Key::up;
    case 'B': return Key::down;
    case 'H': return Key::home;
    case 'F': return Key::end;
    case '~':
      if (parameters == "5") return Key::page_up;
      if (parameters == "6") return Key::page_down;
      if (parameters == "1" || parameters == "7") return Key::home;
      if (parameters == "4" || parameters == "8") return Key::end;
      return std::nullopt;
    default: return std::nullopt;
  }
}

}  // namespace

std::vector<Key> KeyReader::feed(std::string_view bytes) {
  constexpr std::size_t kLongestParameters = 16;
  std::vector<Key> keys;
  for (const char c : bytes) {
    std::optional<Key> key;
    if (c == '\x1b') {
      state_ = State::escape;
      parameters_.clear();
    } else if (state_ == State::escape && (c == '[' || c == 'O')) {
      state_ = State::sequence;
    } else if (state_ == State::sequence) {
      if (c >= '@' && c <= '~') {
        key = sequence_key(parameters_, c);
        state_ = State::plain;
      } else if (parameters_.size() < kLongestParameters) {
        parameters_.push_back(c);
      }
    } else {  // after a lone Escape too
      key = plain_key(c);
      state_ = State::plain;
    }
    if (key) keys.push_back(*key);
  }
  return keys;
}

}  // namespace fresnel::cli

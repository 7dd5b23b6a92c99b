// The terminal as a full screen: its alternate screen, no cursor, keys as they are pressed. leave() and the destructor
// give it back as it was.
//
// Thread safety: one thread.
#pragma once

#include <termios.h>

#include <cstddef>
#include <optional>
#include <string_view>

#include "fresnel/base/error.hpp"
#include "fresnel/cli/output.hpp"

namespace fresnel::cli {

class Terminal {
 public:
  Terminal() = default;
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  struct Size {
    std::size_t columns = 80;
    std::size_t lines = 24;
    friend bool operator==(const Size&, const Size&) = default;
  };

  // Standard output must be a terminal. Errors: internal.
  [[nodiscard]] result<void> enter();
  void leave() noexcept;
  [[nodiscard]] Size size() const noexcept;
  // False when the terminal has gone.
  [[nodiscard]] bool write(std::string_view text) noexcept { return output_.write(text); }
  // Where keys come from: a non-blocking descriptor of this object's own, -1 when there is none.
  [[nodiscard]] int keys() const noexcept { return keys_; }

 private:
  Output output_;
  int keys_ = -1;
  std::optional<termios> before_;  // set while the screen is ours
};

}  // namespace fresnel::cli

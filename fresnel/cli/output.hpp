// Standard output as a stream that may end: `fresnel watch pods | head -1` stops quietly.
//
// Thread safety: one thread. Writes block until the reader takes them: that is the back-pressure of a pipe.
#pragma once

#include <unistd.h>

#include <string_view>

namespace fresnel::cli {

class Output {
 public:
  explicit Output(int fd = STDOUT_FILENO) noexcept : fd_(fd) {}

  // False when the reader has gone, or the disk is full: there is no use in writing more.
  [[nodiscard]] bool write(std::string_view text) noexcept;
  // The reader of a pipe or socket has gone, although nothing was written lately.
  [[nodiscard]] bool reader_gone() const noexcept;
  [[nodiscard]] bool is_terminal() const noexcept { return isatty(fd_) == 1; }

 private:
  int fd_;
};

// Colours are for terminals, and for people who did not set NO_COLOR (https://no-color.org).
[[nodiscard]] bool wants_colour(const Output& output) noexcept;

}  // namespace fresnel::cli

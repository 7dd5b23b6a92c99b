#include "fresnel/cli/terminal.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace fresnel::cli {
namespace {

// Alternate screen, hidden cursor, no wrapping at the right margin; and back.
constexpr std::string_view kEnter = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
constexpr std::string_view kLeave = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l";

}  // namespace

Terminal::~Terminal() {
  leave();
  if (keys_ >= 0) ::close(keys_);
}

result<void> Terminal::enter() {
  // Opened anew: making standard input non-blocking would make the shell's so too.
  if (keys_ < 0) keys_ = ::open("/dev/tty", O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  termios now{};
  if (keys_ < 0 || ::tcgetattr(keys_, &now) != 0) {
    return Error{Errc::internal, std::string("cannot open the terminal: ") + std::strerror(errno)};
  }
  before_ = now;
  now.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);  // ISIG stays: Ctrl-C and Ctrl-Z are signals
  now.c_cc[VMIN] = 1;
  now.c_cc[VTIME] = 0;
  ::tcsetattr(keys_, TCSANOW, &now);
  if (!output_.write(kEnter)) return Error{Errc::closed, "the terminal has gone"};
  return {};
}

void Terminal::leave() noexcept {
  if (!before_) return;
  (void)output_.write(kLeave);
  ::tcsetattr(keys_, TCSAFLUSH, &*before_);  // keys that nobody read are not the shell's
  before_.reset();
}

Terminal::Size Terminal::size() const noexcept {
  winsize window{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) != 0 || window.ws_col == 0 || window.ws_row == 0) return {};
  return {window.ws_col, window.ws_row};
}

}  // namespace fresnel::cli

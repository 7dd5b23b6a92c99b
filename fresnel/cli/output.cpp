#include "fresnel/cli/output.hpp"

#include <poll.h>

#include <cerrno>
#include <cstdlib>

namespace fresnel::cli {

bool Output::write(std::string_view text) noexcept {
  while (!text.empty()) {
    const auto written = ::write(fd_, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {  // whoever shares the descriptor made it non-blocking
      pollfd ready{fd_, POLLOUT, 0};
      if (::poll(&ready, 1, -1) < 0 && errno != EINTR) return false;
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

bool Output::reader_gone() const noexcept {
  pollfd state{fd_, 0, 0};
  return ::poll(&state, 1, 0) > 0 && (state.revents & (POLLERR | POLLHUP)) != 0;
}

bool wants_colour(const Output& output) noexcept {
  const char* no_colour = std::getenv("NO_COLOR");
  return output.is_terminal() && (no_colour == nullptr || *no_colour == '\0');
}

}  // namespace fresnel::cli

#include "fresnel/client/multiplexer_options.hpp"

#include <exception>

namespace fresnel::client {

result<std::string> TextSource::ask() const {
  if (!source_) return std::string();
  // What a callback throws is not repeated: it may speak of a token.
  try {
    return source_();
  } catch (...) {
    return Error{.code = Errc::internal, .message = "a callback for the URL, the user or the token threw"};
  }
}

std::string_view to_string(ConnectionState state) noexcept {
  switch (state) {
    case ConnectionState::idle: return "idle";
    case ConnectionState::connecting: return "connecting";
    case ConnectionState::connected: return "connected";
    case ConnectionState::reconnecting: return "reconnecting";
    case ConnectionState::closed: return "closed";
  }
  return "unknown";
}

}  // namespace fresnel::client

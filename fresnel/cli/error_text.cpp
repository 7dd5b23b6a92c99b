#include "fresnel/cli/error_text.hpp"

#include "fresnel/cli/table.hpp"

namespace fresnel::cli {

std::string error_text(const Error& error) {
  const std::string message = printable(error.message);
  if (!error.reason.empty()) return "Error from server (" + printable(error.reason) + "): " + message;
  if (error.status >= 400) return "Error from server: " + message;
  const bool no_connection =
      error.code == Errc::connect_failed || error.code == Errc::tls_failed || error.code == Errc::timeout;
  return (no_connection ? "Unable to connect to the server: " : "error: ") + message;
}

}  // namespace fresnel::cli

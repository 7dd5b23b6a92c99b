#include "fresnel/base/error.hpp"

#include <stdexcept>

namespace fresnel {

std::string_view to_string(Errc code) noexcept {
  switch (code) {
    case Errc::cancelled: return "cancelled";
    case Errc::timeout: return "timeout";
    case Errc::connect_failed: return "connect_failed";
    case Errc::tls_failed: return "tls_failed";
    case Errc::closed: return "closed";
    case Errc::protocol: return "protocol";
    case Errc::too_large: return "too_large";
    case Errc::invalid_argument: return "invalid_argument";
    case Errc::not_found: return "not_found";
    case Errc::unauthorized: return "unauthorized";
    case Errc::forbidden: return "forbidden";
    case Errc::gone: return "gone";
    case Errc::conflict: return "conflict";
    case Errc::throttled: return "throttled";
    case Errc::api: return "api";
    case Errc::internal: return "internal";
  }
  return "unknown";
}

Errc code_of_http_status(int status) noexcept {
  switch (status) {
    case 400: return Errc::invalid_argument;
    case 401: return Errc::unauthorized;
    case 403: return Errc::forbidden;
    case 404: return Errc::not_found;
    case 409: return Errc::conflict;
    case 410: return Errc::gone;
    case 413: return Errc::too_large;
    case 429: return Errc::throttled;
    case 504: return Errc::timeout;
    default: return Errc::api;
  }
}

void throw_exception_from_error(const Error& error, const boost::source_location&) {
  throw std::runtime_error(error.message);
}

int http_status_of(const Error& error) noexcept {
  if (error.status >= 400 && error.status < 600) return error.status;
  switch (error.code) {
    case Errc::invalid_argument: return 400;
    case Errc::unauthorized: return 401;
    case Errc::forbidden: return 403;
    case Errc::not_found: return 404;
    case Errc::timeout: return 504;
    case Errc::connect_failed:
    case Errc::tls_failed:
    case Errc::closed:
    case Errc::protocol:
    case Errc::too_large: return 502;
    default: return 500;
  }
}

}  // namespace fresnel

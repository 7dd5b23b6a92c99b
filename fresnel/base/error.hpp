// Errors as values. A function that can fail returns result<T>; callers branch on Error::code, never on text.
//
// Thread safety: plain values.
#pragma once

#include <boost/system/result.hpp>
#include <string>
#include <string_view>

namespace fresnel {

enum class Errc {
  cancelled,         // the caller gave up
  timeout,           // a bound on time was reached
  connect_failed,    // no connection: DNS, TCP or proxy
  tls_failed,        // certificate or handshake
  closed,            // the peer ended the connection
  protocol,          // the peer broke its protocol
  too_large,         // a bound on size was reached
  invalid_argument,  // bad input; the message says what was expected
  not_found,         // no such file, cluster, resource or object
  unauthorized,      // 401
  forbidden,         // 403
  gone,              // 410: the resource version is no longer available
  conflict,          // 409
  throttled,         // 429; Error::retry_after_ms may say for how long
  api,               // any other error status from an API server
  internal,          // a fault of this program
};

// The name of a code in snake_case, for logs, metrics and JSON.
[[nodiscard]] std::string_view to_string(Errc code) noexcept;

struct Error {
  Errc code = Errc::internal;
  std::string message;      // a sentence: what failed, where, what was expected. Never holds a secret.
  int status = 0;           // HTTP status or WebSocket close code, 0 when there was none
  std::string reason = {};  // Kubernetes Status.reason ("Forbidden", "Expired"), empty when there was none
  int retry_after_ms = 0;   // from Retry-After or Status.details.retryAfterSeconds, 0 when not given

  friend bool operator==(const Error&, const Error&) = default;
};

template <class T = void>
using result = boost::system::result<T, Error>;

// The code that stands for an HTTP error status (RFC 9110 section 15; Kubernetes API conventions).
[[nodiscard]] Errc code_of_http_status(int status) noexcept;
// The HTTP status that tells a client of this error: its own, else the one for its code; 500 for what has none.
[[nodiscard]] int http_status_of(const Error& error) noexcept;

// Called by result<T>::value() on an error: throws std::runtime_error with the message. For start-up and tests.
[[noreturn]] void throw_exception_from_error(const Error& error, const boost::source_location& where);

}  // namespace fresnel

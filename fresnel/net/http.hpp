// HTTP as values, and the HttpTransport seam: everything the program asks of an HTTP server goes through it.
// CurlClient is the real one; tests and simulations bring their own.
//
// Thread safety: values; a transport and its responses belong to one thread.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fresnel/base/asio.hpp"
#include "fresnel/base/clock.hpp"
#include "fresnel/base/error.hpp"
#include "fresnel/net/tls.hpp"

namespace fresnel::net {

// Header fields in order; names compare without case (RFC 9110 section 5.1).
class Headers {
 public:
  using Field = std::pair<std::string, std::string>;

  Headers() = default;
  Headers(std::initializer_list<Field> fields) : fields_(fields) {}

  void add(std::string name, std::string value) { fields_.emplace_back(std::move(name), std::move(value)); }
  void set(std::string name, std::string value);
  void remove(std::string_view name);
  // The first field of that name, empty when there is none.
  [[nodiscard]] std::string_view get(std::string_view name) const noexcept;
  [[nodiscard]] bool has(std::string_view name) const noexcept;
  [[nodiscard]] auto begin() const noexcept { return fields_.begin(); }
  [[nodiscard]] auto end() const noexcept { return fields_.end(); }
  [[nodiscard]] std::size_t size() const noexcept { return fields_.size(); }

 private:
  std::vector<Field> fields_;
};

[[nodiscard]] bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept;

struct HttpRequest {
  std::string method = "GET";
  std::string url;  // absolute: scheme, host, port, path and query
  Headers headers;
  std::string body;
  std::string proxy_url;                     // http, https or socks5; empty: as the environment says
  std::shared_ptr<const TlsOptions> tls;     // for https; null: system roots, no client certificate
  Duration connect_timeout = seconds(10);    // DNS, TCP, TLS
  Duration response_timeout = seconds(30);   // from the request until the response's header; 0 = none
  Duration idle_timeout = Duration::zero();  // no byte of the body for so long ends the response; 0 = none
};

// A response whose body is still arriving. Destroying it cancels the transfer.
class HttpResponse {
 public:
  virtual ~HttpResponse() = default;
  [[nodiscard]] virtual int status() const noexcept = 0;
  [[nodiscard]] virtual const Headers& headers() const noexcept = 0;
  // The next bytes of the body, at most 256 KiB; empty at its end. Reading slowly slows the sender down.
  [[nodiscard]] virtual awaitable<result<std::string>> read() = 0;
};

class HttpTransport {
 public:
  virtual ~HttpTransport() = default;
  // Completes when the response's header has arrived. Errors: connect_failed, tls_failed, timeout, protocol, closed.
  // A cancelled coroutine cancels the request.
  [[nodiscard]] virtual awaitable<result<std::unique_ptr<HttpResponse>>> open(HttpRequest request) = 0;
};

// The rest of a body. Error too_large beyond `limit` bytes.
[[nodiscard]] awaitable<result<std::string>> read_all(HttpResponse& response, std::size_t limit);

}  // namespace fresnel::net

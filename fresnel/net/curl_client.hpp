// HttpTransport on libcurl's multi interface, driven by Asio: HTTP/2 with many streams on one connection, TLS, proxies.
// Half-open links are found by TCP keep-alive and TCP_USER_TIMEOUT.
//
// Thread safety: one thread, that of the executor. Responses must not outlive the client.
#pragma once

#include <memory>

#include "fresnel/net/http.hpp"

namespace fresnel::net {

struct CurlClientOptions {
  Duration keep_alive_idle = seconds(15);  // TCP keep-alive probes start after so long a silence
  Duration keep_alive_interval = seconds(5);
  Duration user_timeout = seconds(30);    // TCP_USER_TIMEOUT: unacknowledged data ends the connection
  std::size_t max_buffered = 256u << 10;  // bytes kept of a response that nobody reads, then it is paused
  bool http2 = true;
};

class CurlClient final : public HttpTransport {
 public:
  explicit CurlClient(const Executor& executor, CurlClientOptions options = {});
  ~CurlClient() override;
  CurlClient(const CurlClient&) = delete;
  CurlClient& operator=(const CurlClient&) = delete;

  [[nodiscard]] awaitable<result<std::unique_ptr<HttpResponse>>> open(HttpRequest request) override;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace fresnel::net

// One request of a CurlClient and its response. Internal to net.
//
// Thread safety: one thread, that of the executor; one wait_for_header() or read() at a time.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <optional>
#include <string>

#include "fresnel/net/curl_client.hpp"
#include "fresnel/net/curl_multi.hpp"
#include "fresnel/net/curl_pools.hpp"
#include "fresnel/net/proxy.hpp"

namespace fresnel::net {

class CurlTransfer final : public HttpResponse, private CurlJob {
 public:
  CurlTransfer(const Executor& executor, const CurlClientOptions& options, HttpRequest request);
  ~CurlTransfer() override;
  CurlTransfer(const CurlTransfer&) = delete;
  CurlTransfer& operator=(const CurlTransfer&) = delete;

  // Sends the request. Error invalid_argument for a bad URL, proxy, method or header.
  [[nodiscard]] result<void> start(CurlPools& pools);
  // Completes when the response's header has arrived, or an error before it.
  [[nodiscard]] awaitable<result<void>> wait_for_header();

  [[nodiscard]] int status() const noexcept override { return status_; }
  [[nodiscard]] const Headers& headers() const noexcept override { return headers_; }
  [[nodiscard]] awaitable<result<std::string>> read() override;

 private:
  enum class Stage { header, body, ended };

  void finished(CURLcode code) noexcept override;
  void abandoned() noexcept override;
  [[nodiscard]] CURL* easy() const noexcept override { return easy_.get(); }
  [[nodiscard]] const std::string& connection() const noexcept override { return connection_; }
  void flush_connection() noexcept override;

  static std::size_t on_header(char* line, std::size_t size, std::size_t count, void* self) noexcept;
  static std::size_t on_body(char* bytes, std::size_t size, std::size_t count, void* self) noexcept;
  static int on_socket_open(void* self, curl_socket_t socket, curlsocktype) noexcept;
  static int on_connected(void* self, char* to, char* from, int to_port, int from_port) noexcept;
  bool take_header_line(std::string_view line);
  std::size_t take_body(std::string_view bytes);

  template <class Value>
  void set(CURLoption option, Value value) noexcept;
  result<void> set_url();
  result<void> set_proxy();
  result<void> set_headers();
  void set_method();
  void set_tls(const TlsOptions& tls);

  [[nodiscard]] std::string whereto() const;  // for messages
  [[nodiscard]] bool is_forwarded() const noexcept;
  [[nodiscard]] Error describe(CURLcode code) const;
  awaitable<std::optional<Error>> wait(TimePoint deadline, std::string_view waiting_for);
  void end(std::optional<Error> failure) noexcept;
  void resume();

  std::shared_ptr<CurlMulti> multi_;  // null until start()
  const CurlClientOptions options_;
  HttpRequest request_;
  std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> easy_;
  std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> url_;
  std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> header_list_;
  std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> connect_to_;
  asio::steady_timer signal_;  // cancelled when something has changed
  std::string origin_;         // scheme://host:port, for messages
  std::optional<Proxy> proxy_;
  std::string connection_;  // the addresses of its two ends
  std::string message_;     // libcurl's own account of a failure
  Stage stage_ = Stage::header;
  std::optional<Error> failure_;
  int status_ = 0;
  Headers headers_;
  std::size_t header_size_ = 0;
  std::string buffer_;
  bool decodes_ = false;  // libcurl undoes a gzip encoding that only it asked for
  bool paused_ = false;
  bool proxy_refused_ = false;  // it answered in the server's place
};

}  // namespace fresnel::net

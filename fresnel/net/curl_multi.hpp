// libcurl's multi interface on Asio: watches the sockets and the timer that libcurl asks for. Internal to net.
// libcurl: curl_multi_socket_action(3), CURLMOPT_SOCKETFUNCTION(3), CURLMOPT_TIMERFUNCTION(3).
//
// Thread safety: one thread, that of the executor.
// Invariant: jobs are told of their end from the event loop, never from inside a call into libcurl that they made; no
// libcurl callback runs code of a caller, so nothing here is re-entered.
#pragma once

#include <curl/curl.h>

#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "fresnel/base/asio.hpp"

namespace fresnel::net {

// A transfer, as the multi handle sees it. `easy` carries it as CURLOPT_PRIVATE.
class CurlJob {
 public:
  // The transfer has ended and its handle has been removed from the multi handle.
  virtual void finished(CURLcode code) noexcept = 0;
  // The multi handle is going away; its handle has been removed.
  virtual void abandoned() noexcept = 0;
  [[nodiscard]] virtual CURL* easy() const noexcept = 0;
  // Names the connection that the transfer uses; empty before it has one.
  [[nodiscard]] virtual const std::string& connection() const noexcept = 0;
  // Makes libcurl send what it holds back on the transfer's HTTP/2 connection.
  virtual void flush_connection() noexcept = 0;

 protected:
  ~CurlJob() = default;
};

class CurlMulti : public std::enable_shared_from_this<CurlMulti> {
 public:
  explicit CurlMulti(const Executor& executor);
  ~CurlMulti();
  CurlMulti(const CurlMulti&) = delete;
  CurlMulti& operator=(const CurlMulti&) = delete;

  // False when libcurl refuses the handle or shutdown() came before. The job must be cancelled before it is destroyed.
  [[nodiscard]] bool add(CurlJob& job);
  // Ends the job's transfer: closes its connection or HTTP/2 stream. No effect on a job that has ended.
  void cancel(CurlJob& job) noexcept;
  // Abandons every job; none can be added any more.
  void shutdown() noexcept;
  [[nodiscard]] const Executor& executor() const noexcept { return executor_; }
  [[nodiscard]] std::size_t jobs() const noexcept { return jobs_.size(); }

 private:
  struct Watch;

  static int on_socket(CURL*, curl_socket_t socket, int what, void* self, void* watch) noexcept;
  static int on_timer(CURLM*, long milliseconds, void* self) noexcept;
  void change(curl_socket_t socket, int what);
  void arm(const std::shared_ptr<Watch>& watch);
  void ready(const std::shared_ptr<Watch>& watch, int event);
  void set_timer(long milliseconds);
  void act(curl_socket_t socket, int events);

  Executor executor_;
  CURLM* multi_;
  asio::steady_timer timer_;
  std::unordered_map<curl_socket_t, std::shared_ptr<Watch>> watches_;
  std::unordered_set<CurlJob*> jobs_;
  bool shut_down_ = false;
};

}  // namespace fresnel::net

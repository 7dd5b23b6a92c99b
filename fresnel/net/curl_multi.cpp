#include "fresnel/net/curl_multi.hpp"

#include <algorithm>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <stdexcept>

#include "fresnel/base/log.hpp"

namespace fresnel::net {
namespace {

constexpr long kMaxIdleConnections = 64;
constexpr long kMaxStreams = 1000;  // of one connection; the server's own limit holds too

void initialise_libcurl() {
  static const CURLcode done = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (done != CURLE_OK) throw std::runtime_error("libcurl cannot be initialised");
}

}  // namespace

// A socket of libcurl's. The descriptor only waits on it; libcurl reads, writes and closes it.
struct CurlMulti::Watch {
  Watch(const Executor& executor, curl_socket_t number) : descriptor(executor), socket(number) {}
  ~Watch() { forget(); }
  void forget() noexcept {
    wanted = 0;
    if (descriptor.is_open()) descriptor.release();
  }

  asio::posix::stream_descriptor descriptor;
  curl_socket_t socket;
  int wanted = 0;  // CURL_CSELECT_IN | CURL_CSELECT_OUT
  int armed = 0;
};

CurlMulti::CurlMulti(const Executor& executor) : executor_(executor), multi_(nullptr), timer_(executor) {
  initialise_libcurl();
  multi_ = curl_multi_init();
  if (multi_ == nullptr) throw std::runtime_error("libcurl cannot make a multi handle");
  curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &CurlMulti::on_socket);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &CurlMulti::on_timer);
  curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_PIPELINING, static_cast<long>(CURLPIPE_MULTIPLEX));
  curl_multi_setopt(multi_, CURLMOPT_MAX_CONCURRENT_STREAMS, kMaxStreams);
  curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, kMaxIdleConnections);
}

CurlMulti::~CurlMulti() {
  shutdown();
  curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, nullptr);
  curl_multi_cleanup(multi_);  // closes idle connections, which still reports their sockets
}

bool CurlMulti::add(CurlJob& job) {
  if (shut_down_ || curl_multi_add_handle(multi_, job.easy()) != CURLM_OK) return false;
  jobs_.insert(&job);
  return true;
}

void CurlMulti::cancel(CurlJob& job) noexcept {
  if (jobs_.erase(&job) == 0) return;
  const auto shares = [&](const CurlJob* other) { return other->connection() == job.connection(); };
  const auto neighbour = job.connection().empty() ? jobs_.end() : std::find_if(jobs_.begin(), jobs_.end(), shares);
  // libcurl 7.88 keeps the RST_STREAM in a buffer until something else is sent on the connection (curl issue 17611):
  // the server would go on with a watch that nobody reads. A stream that stays gets it sent; without one, the
  // connection is not worth keeping.
  if (neighbour == jobs_.end()) curl_easy_setopt(job.easy(), CURLOPT_FORBID_REUSE, 1L);
  curl_multi_remove_handle(multi_, job.easy());
  if (neighbour != jobs_.end()) (*neighbour)->flush_connection();
}

void CurlMulti::shutdown() noexcept {
  shut_down_ = true;
  const auto jobs = jobs_;
  for (auto* job : jobs) {
    cancel(*job);
    job->abandoned();
  }
}

int CurlMulti::on_socket(CURL*, curl_socket_t socket, int what, void* self, void*) noexcept {
  try {
    static_cast<CurlMulti*>(self)->change(socket, what);
    return 0;
  } catch (const std::exception& failed) {
    log::error("cannot watch a socket of an HTTP client: {}", failed.what());
    return -1;
  }
}

int CurlMulti::on_timer(CURLM*, long milliseconds, void* self) noexcept {
  try {
    static_cast<CurlMulti*>(self)->set_timer(milliseconds);
    return 0;
  } catch (const std::exception& failed) {
    log::error("cannot set the timer of an HTTP client: {}", failed.what());
    return -1;
  }
}

void CurlMulti::change(curl_socket_t socket, int what) {
  auto found = watches_.find(socket);
  if (what == CURL_POLL_REMOVE) {
    if (found == watches_.end()) return;
    // Before libcurl closes it: the number may belong to another socket a moment later.
    found->second->forget();
    watches_.erase(found);
    return;
  }
  if (found == watches_.end()) {
    auto watch = std::make_shared<Watch>(executor_, socket);
    watch->descriptor.assign(socket);
    found = watches_.emplace(socket, std::move(watch)).first;
  }
  auto& wanted = found->second->wanted;
  wanted = 0;
  if ((what & CURL_POLL_IN) != 0) wanted |= CURL_CSELECT_IN;
  if ((what & CURL_POLL_OUT) != 0) wanted |= CURL_CSELECT_OUT;
  arm(found->second);
}

void CurlMulti::arm(const std::shared_ptr<Watch>& watch) {
  using Descriptor = asio::posix::stream_descriptor;
  for (const int event : {CURL_CSELECT_IN, CURL_CSELECT_OUT}) {
    if ((watch->wanted & event) == 0 || (watch->armed & event) != 0) continue;
    watch->armed |= event;
    // Weak: an idle connection must not keep the multi handle alive.
    auto fire = [weak = weak_from_this(), watch, event](const error_code& failed) {
      watch->armed &= ~event;
      const auto self = weak.lock();
      if (self && failed != asio::error::operation_aborted) self->ready(watch, event);
    };
    watch->descriptor.async_wait(event == CURL_CSELECT_IN ? Descriptor::wait_read : Descriptor::wait_write,
                                 std::move(fire));
  }
}

void CurlMulti::ready(const std::shared_ptr<Watch>& watch, int event) {
  if ((watch->wanted & event) != 0) act(watch->socket, event);
  arm(watch);  // nothing when libcurl has let go of the socket meanwhile
}

void CurlMulti::set_timer(long milliseconds) {
  if (milliseconds < 0) {
    timer_.cancel();
    return;
  }
  timer_.expires_after(std::chrono::milliseconds(milliseconds));
  timer_.async_wait([weak = weak_from_this()](const error_code& failed) {
    const auto self = weak.lock();
    if (self && !failed) self->act(CURL_SOCKET_TIMEOUT, 0);
  });
}

void CurlMulti::act(curl_socket_t socket, int events) {
  int running = 0;
  curl_multi_socket_action(multi_, socket, events, &running);
  int left = 0;
  while (CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode code = message->data.result;
    CurlJob* job = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &job);
    if (job == nullptr || !jobs_.contains(job)) continue;
    jobs_.erase(job);
    curl_multi_remove_handle(multi_, job->easy());  // `message` is gone now
    job->finished(code);
  }
}

}  // namespace fresnel::net

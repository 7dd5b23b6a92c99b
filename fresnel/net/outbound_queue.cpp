#include "fresnel/net/outbound_queue.hpp"

#include <sys/socket.h>

#include <array>
#include <boost/asio/execution_context.hpp>
#include <cerrno>
#include <memory>
#include <optional>
#include <vector>

#include "fresnel/net/frame_inflater.hpp"

namespace fresnel::net {
namespace {

constexpr std::size_t kScratch = 256u << 10;
constexpr std::size_t kMaxSpares = 256;            // empty backlogs kept for reuse by one io_context
constexpr std::size_t kMaxSpareBytes = 64u << 10;  // memory of each
constexpr std::size_t kMaxTurnBytes = 1u << 20;    // one queue's share of a flush, so that none starves the others

// What the kernel took, or -1 with errno.
ssize_t send_batch(int socket, OutboundBatch& batch) noexcept {
  constexpr int kFlags = MSG_NOSIGNAL | MSG_DONTWAIT;
  for (;;) {
    ssize_t sent = 0;
    if (batch.count == 1) {
      sent = ::send(socket, batch.parts[0].iov_base, batch.parts[0].iov_len, kFlags);
    } else {
      msghdr message = {};
      message.msg_iov = batch.parts.data();
      message.msg_iovlen = batch.count;
      sent = ::sendmsg(socket, &message, kFlags);
    }
    if (sent >= 0 || errno != EINTR) return sent;
  }
}

// The same through TLS: what has been encrypted counts as taken, though it may wait as ciphertext.
class TlsBatch {
 public:
  explicit TlsBatch(TlsSession& tls) : tls_(tls) {}

  ssize_t send(const OutboundBatch& batch) {
    failed_ = tls_.flush();
    for (std::size_t i = 0; i < batch.count && !failed_; ++i) {
      std::string_view part(static_cast<const char*>(batch.parts[i].iov_base), batch.parts[i].iov_len);
      while (!part.empty() && !failed_) {
        const auto size = std::min(part.size(), record_.size() - filled_);
        std::copy_n(part.data(), size, record_.data() + filled_);
        filled_ += size;
        part.remove_prefix(size);
        if (filled_ == record_.size()) seal_record();
      }
    }
    if (!failed_ && filled_ > 0) seal_record();
    if (!failed_) failed_ = tls_.flush();
    if (!failed_ || (failed_ == asio::error::would_block && taken_ > 0)) return taken_;
    errno = failed_ == asio::error::would_block ? EAGAIN : EPROTO;
    return -1;
  }

 private:
  static constexpr std::size_t kMaxCiphertext = 64u << 10;

  void seal_record() {
    failed_ = tls_.write({record_.data(), filled_});
    if (!failed_) taken_ += static_cast<ssize_t>(filled_);
    filled_ = 0;
    if (!failed_ && tls_.pending() >= kMaxCiphertext) failed_ = tls_.flush();
  }

  TlsSession& tls_;
  error_code failed_;
  std::size_t filled_ = 0;
  ssize_t taken_ = 0;
  std::array<char, ServerSocket::kMaxRecord> record_;
};

}  // namespace

// One for each io_context: the queues that have something to send, the scratch, and the memory of idle queues.
class OutboundQueue::FlushService final : public asio::execution_context::service {
 public:
  using key_type = FlushService;
  inline static asio::execution_context::id id;

  explicit FlushService(asio::execution_context& context) : service(context) {}

  // `core` is flushed at the end of this turn of the loop.
  void mark(std::shared_ptr<Core> core);

  [[nodiscard]] std::span<char> scratch() noexcept { return scratch_; }

  [[nodiscard]] std::unique_ptr<OutboundBacklog> take() {
    if (spares_.empty()) return std::make_unique<OutboundBacklog>();
    auto backlog = std::move(spares_.back());
    spares_.pop_back();
    return backlog;
  }
  void give(std::unique_ptr<OutboundBacklog> backlog) {
    if (spares_.size() == kMaxSpares || backlog->reserved() > kMaxSpareBytes) return;
    backlog->clear();
    spares_.push_back(std::move(backlog));
  }

 private:
  void shutdown() override {
    dirty_.clear();
    spares_.clear();
  }
  void flush();

  std::vector<std::shared_ptr<Core>> dirty_;
  std::vector<std::shared_ptr<Core>> flushing_;
  std::vector<std::unique_ptr<OutboundBacklog>> spares_;
  std::array<char, kScratch> scratch_;
};

// What outlives the queue while a wait for the socket or a flush is under way.
class OutboundQueue::Core : public std::enable_shared_from_this<Core> {
 public:
  enum class Phase { handshake, open, sealed, closed, failed };  // closed: the Close frame is queued

  Core(ServerSocket taken, std::string first, OutboundLimits bounds)
      : socket(std::move(taken)),
        leftover(std::move(first)),
        limits(bounds),
        service_(asio::use_service<FlushService>(socket.get_executor().context())) {}

  SendStatus send(Opcode opcode, std::string_view prefix, const SharedBytes& body, Coding coding);
  error_code write(std::string_view bytes);
  void flush();
  void fail(error_code reason) noexcept;
  void close() noexcept;
  asio::steady_timer& begin_drain();
  [[nodiscard]] std::size_t bytes() const noexcept { return (backlog_ ? backlog_->bytes() : 0) + ciphertext(); }
  [[nodiscard]] std::size_t ciphertext() const noexcept {
    return socket.tls() != nullptr && phase != Phase::failed ? socket.tls()->pending() : 0;
  }

  ServerSocket socket;
  std::string leftover;
  std::unique_ptr<FrameInflater> inflater;  // null: the peer's frames are read as they come
  const OutboundLimits limits;
  Phase phase = Phase::handshake;
  error_code failure;
  Counters counters;
  std::function<void()> on_drained;
  std::unique_ptr<asio::steady_timer> drain_timer;
  TimePoint drain_deadline;

 private:
  enum class Pending : std::uint8_t { nothing, flush, writable };  // what will call flush()

  OutboundBacklog& backlog();
  void schedule();
  void send_what_fits();
  void wait_writable();
  void settle();

  FlushService& service_;
  std::unique_ptr<OutboundBacklog> backlog_;  // null while nothing waits
  Pending pending_ = Pending::nothing;
  bool above_high_water_ = false;
};

void OutboundQueue::FlushService::mark(std::shared_ptr<Core> core) {
  if (dirty_.empty()) {
    const auto executor = core->socket.get_executor();
    asio::post(executor, [this] { flush(); });
  }
  dirty_.push_back(std::move(core));
}

void OutboundQueue::FlushService::flush() {
  flushing_.swap(dirty_);  // what is marked from here on belongs to the next turn
  for (auto& core : flushing_) core->flush();
  flushing_.clear();
}

OutboundBacklog& OutboundQueue::Core::backlog() {
  if (!backlog_) backlog_ = service_.take();
  return *backlog_;
}

SendStatus OutboundQueue::Core::send(Opcode opcode, std::string_view prefix, const SharedBytes& body, Coding coding) {
  if (phase != Phase::open) return SendStatus::closed;
  const auto payload = prefix.size() + body.size();
  if (bytes() + frame_header_size(payload) + payload > limits.max_bytes) return SendStatus::full;
  backlog().push(opcode, prefix, body, coding);
  ++counters.messages;
  schedule();
  if (bytes() <= limits.high_water) return SendStatus::queued;
  above_high_water_ = true;
  return SendStatus::above_high_water;
}

// The handshake's response goes out as it is. After it Beast writes control frames only, each in one piece.
error_code OutboundQueue::Core::write(std::string_view bytes) {
  if (phase == Phase::failed) return failure;
  if (phase == Phase::closed) return asio::error::broken_pipe;
  if (phase != Phase::handshake && !bytes.empty()) {
    const auto opcode = static_cast<unsigned>(bytes.front()) & 0x0F;
    if (opcode == static_cast<unsigned>(Opcode::close)) {
      phase = Phase::closed;
      backlog().push_raw(bytes);
      schedule();
      return {};
    }
    if (opcode < static_cast<unsigned>(Opcode::close)) return asio::error::operation_not_supported;
    if (backlog().urgent_bytes() + bytes.size() > kMaxUrgent) {
      fail(asio::error::no_buffer_space);
      return failure;
    }
  }
  backlog().push_urgent(bytes);
  schedule();
  return {};
}

void OutboundQueue::Core::schedule() {
  if (pending_ != Pending::nothing) return;
  pending_ = Pending::flush;
  service_.mark(shared_from_this());
}

void OutboundQueue::Core::flush() {
  pending_ = Pending::nothing;
  if (bytes() > 0) send_what_fits();
  settle();
}

void OutboundQueue::Core::send_what_fits() {
  std::size_t turn = 0;
  auto* const tls = socket.tls();
  while (backlog_ && backlog_->bytes() > 0) {
    if (turn >= kMaxTurnBytes) return schedule();
    auto batch = backlog_->gather(service_.scratch());
    const auto sent = tls ? TlsBatch(*tls).send(batch) : send_batch(socket.native_handle(), batch);
    if (sent < 0) {
      const int code = errno;
      if (code == EAGAIN || code == EWOULDBLOCK) return wait_writable();
      return fail(error_code(code, boost::system::system_category()));
    }
    const auto size = static_cast<std::size_t>(sent);
    backlog_->consume(size);
    counters.bytes += size;
    ++counters.writes;
    turn += size;
    if (size < batch.bytes) return wait_writable();  // asking again would only bring EAGAIN
  }
  if (tls == nullptr || tls->pending() == 0) return;
  const auto failed = tls->flush();
  if (failed == asio::error::would_block) return wait_writable();
  if (failed) fail(failed);
}

void OutboundQueue::Core::wait_writable() {
  pending_ = Pending::writable;
  socket.async_wait(asio::socket_base::wait_write, [self = shared_from_this()](error_code error) {
    if (error) {
      self->fail(error);
    } else {
      self->flush();
    }
  });
}

// After sending: gives memory back and tells those who wait. The callback comes last, for it may send.
void OutboundQueue::Core::settle() {
  if (backlog_ && backlog_->bytes() == 0) service_.give(std::move(backlog_));
  if (bytes() == 0 && drain_timer) drain_timer->cancel();
  if (!above_high_water_ || bytes() > limits.low_water || phase != Phase::open) return;
  above_high_water_ = false;
  if (const auto callback = on_drained) callback();
}

// Shutting the socket down wakes the pending read, whose end is the connection's.
void OutboundQueue::Core::fail(error_code reason) noexcept {
  if (phase == Phase::failed) return;
  phase = Phase::failed;
  failure = reason;
  backlog_.reset();
  error_code ignored;
  socket.shutdown(asio::socket_base::shutdown_both, ignored);
  if (drain_timer) drain_timer->cancel();
}

void OutboundQueue::Core::close() noexcept {
  fail(asio::error::operation_aborted);
  error_code ignored;
  socket.close(ignored);  // ends the wait for writability, which owns this
  on_drained = nullptr;
}

asio::steady_timer& OutboundQueue::Core::begin_drain() {
  if (phase == Phase::handshake || phase == Phase::open) phase = Phase::sealed;
  drain_deadline = std::chrono::steady_clock::now() + limits.drain_timeout;
  drain_timer = std::make_unique<asio::steady_timer>(socket.get_executor());
  drain_timer->expires_at(bytes() > 0 ? drain_deadline : TimePoint::min());
  return *drain_timer;
}

OutboundQueue::OutboundQueue(ServerSocket socket, std::string leftover, OutboundLimits limits)
    : core_(std::make_shared<Core>(std::move(socket), std::move(leftover), limits)) {}

OutboundQueue::~OutboundQueue() { abort(); }

SendStatus OutboundQueue::send(Opcode opcode, std::string_view prefix, const SharedBytes& body, Coding coding) {
  return core_->send(opcode, prefix, body, coding);
}

void OutboundQueue::inflate_inbound(std::size_t max_message) {
  core_->inflater = std::make_unique<FrameInflater>(max_message);
  feed_inflater(std::exchange(core_->leftover, {}));
}

bool OutboundQueue::inflates() const noexcept { return core_->inflater != nullptr; }
void OutboundQueue::feed_inflater(std::string_view received) { core_->inflater->feed(received, core_->leftover); }

void OutboundQueue::open() noexcept {
  if (core_->phase == Core::Phase::handshake) core_->phase = Core::Phase::open;
}

void OutboundQueue::seal() noexcept {
  if (core_->phase == Core::Phase::open) core_->phase = Core::Phase::sealed;
}

void OutboundQueue::abort() noexcept {
  end_drain();
  core_->close();
}

bool OutboundQueue::is_open() const noexcept { return core_->phase == Core::Phase::open; }
std::size_t OutboundQueue::bytes() const noexcept { return core_->bytes(); }
const OutboundQueue::Counters& OutboundQueue::counters() const noexcept { return core_->counters; }
void OutboundQueue::on_drained(std::function<void()> callback) { core_->on_drained = std::move(callback); }
OutboundQueue::next_layer_type& OutboundQueue::next_layer() noexcept { return core_->socket; }
const OutboundQueue::next_layer_type& OutboundQueue::next_layer() const noexcept { return core_->socket; }
std::string& OutboundQueue::leftover() noexcept { return core_->leftover; }
error_code OutboundQueue::write(std::string_view bytes) { return core_->write(bytes); }
asio::steady_timer& OutboundQueue::begin_drain() { return core_->begin_drain(); }

error_code OutboundQueue::drain_result() const noexcept {
  if (core_->phase == Core::Phase::failed) return core_->failure;
  return core_->bytes() == 0 ? error_code() : error_code(asio::error::timed_out);
}

void OutboundQueue::start_deadline() {
  auto& timer = *core_->drain_timer;
  timer.expires_at(core_->drain_deadline);
  timer.async_wait([weak = std::weak_ptr<Core>(core_)](error_code error) {
    const auto core = weak.lock();
    if (core && !error) core->close();
  });
}

error_code OutboundQueue::discard_received() noexcept {
  std::array<char, 4096> forgotten;
  for (;;) {
    const auto count = ::recv(next_layer().native_handle(), forgotten.data(), forgotten.size(), MSG_DONTWAIT);
    if (count == 0) return asio::error::eof;
    if (count < 0 && errno != EINTR) {
      return errno == EAGAIN ? error_code(asio::error::would_block)
                             : error_code(errno, asio::error::get_system_category());
    }
  }
}

void OutboundQueue::end_drain() noexcept {
  if (core_->drain_timer) core_->drain_timer->cancel();
}

}  // namespace fresnel::net

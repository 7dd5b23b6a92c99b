#include "fresnel/load/generator.hpp"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "fresnel/load/connection.hpp"

namespace fresnel::load {
namespace {

constexpr std::size_t kReadBuffer = 256u << 10;
constexpr int kEventsAtOnce = 256;
constexpr std::size_t kOtherDescriptors = 64;

// Raises the soft limit as far as it may.
result<void> allow_descriptors(std::size_t wanted) {
  rlimit limit{};
  (void)getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= wanted) return {};
  limit.rlim_cur = std::min<rlim_t>(wanted, limit.rlim_max);
  if (setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= wanted) return {};
  return Error{Errc::internal, fmt::format("{} connections need {} file descriptors, {} are allowed; raise `ulimit -n`",
                                           wanted - kOtherDescriptors, wanted, limit.rlim_cur)};
}

}  // namespace

class Generator::Impl {
 public:
  explicit Impl(GeneratorOptions options)
      : options_(std::move(options)),
        request_(handshake_request({.host = options_.target.host,
                                    .target = options_.target.path,
                                    .authorization = options_.authorization,
                                    .deflate = options_.deflate})),
        buffer_(kReadBuffer) {
    for (const auto& message : options_.messages) append_client_frame(messages_, 1, message);
    connections_.reserve(options_.connections);
    for (std::size_t i = 0; i < options_.connections; ++i) {
      connections_.push_back(std::make_unique<Connection>(options_, totals));
    }
  }

  ~Impl() {
    if (epoll_ >= 0) ::close(epoll_);
  }

  result<void> start() {
    if (auto allowed = allow_descriptors(options_.connections + kOtherDescriptors); !allowed) return allowed;
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ < 0) return Error{Errc::internal, fmt::format("epoll_create1: {}", std::strerror(errno))};
    return {};
  }

  void connect_all() { next_ = 0; }

  void drop_all() {
    next_ = connections_.size();
    for (const auto& connection : connections_) connection->drop();
    connecting_ = 0;
  }

  void set_stopped(std::size_t count) {
    for (std::size_t i = 0; i < connections_.size(); ++i) {
      auto& connection = *connections_[i];
      if (connection.stopped == (i < count)) continue;
      connection.stopped = i < count;
      if (connection.socket() >= 0) watch(connection, EPOLL_CTL_MOD);
    }
  }

  bool run_until(TimePoint deadline, const std::function<bool()>& done) {
    while (true) {
      start_connecting();
      if (done && done()) return true;
      const auto left = deadline - std::chrono::steady_clock::now();
      if (left <= Duration::zero()) return false;
      const auto wait = std::chrono::ceil<milliseconds>(std::min<Duration>(left, milliseconds(100)));
      turn(options_.spin ? 0 : static_cast<int>(wait.count()));
    }
  }

  template <class Predicate>
  std::size_t count(Predicate predicate) const {
    return static_cast<std::size_t>(std::count_if(connections_.begin(), connections_.end(),
                                                  [&](const auto& connection) { return predicate(*connection); }));
  }

  std::size_t open = 0;
  std::size_t live = 0;
  Totals totals;

 private:
  // What a connection contributes to the generator's counts.
  struct Share {
    bool connecting, open, live;
    explicit Share(const Connection& connection)
        : connecting(connection.state() == Connection::State::connecting ||
                     connection.state() == Connection::State::handshaking),
          open(connection.state() == Connection::State::open),
          live(connection.is_live()) {}
  };

  void watch(Connection& connection, int operation) {
    epoll_event event{};
    event.data.ptr = &connection;
    event.events = (connection.stopped ? 0u : static_cast<unsigned>(EPOLLIN)) |
                   (connection.wants_to_write() ? static_cast<unsigned>(EPOLLOUT) : 0u);
    (void)epoll_ctl(epoll_, operation, connection.socket(), &event);
  }

  void start_connecting() {
    for (; next_ < connections_.size() && connecting_ < options_.connecting_at_once; ++next_) {
      auto& connection = *connections_[next_];
      if (connection.state() != Connection::State::down) continue;
      if (!connection.connect(request_, messages_)) continue;  // the totals have the reason
      ++connecting_;
      watch(connection, EPOLL_CTL_ADD);
    }
  }

  void turn(int timeout_milliseconds) {
    std::array<epoll_event, kEventsAtOnce> events{};
    const int count = epoll_wait(epoll_, events.data(), kEventsAtOnce, timeout_milliseconds);
    for (int i = 0; i < count; ++i) {
      const auto& event = events[static_cast<std::size_t>(i)];
      serve(*static_cast<Connection*>(event.data.ptr), event.events);
    }
  }

  void serve(Connection& connection, unsigned events) {
    if (connection.socket() < 0) return;
    const Share before(connection);
    const bool wrote = connection.wants_to_write();
    result<void> served;
    if ((events & EPOLLOUT) != 0) served = connection.on_writable();
    // A lost connection is noticed by reading, even of one that is stopped.
    if (served && (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) served = connection.on_readable(buffer_);
    if (served && connection.wants_to_write() != wrote) watch(connection, EPOLL_CTL_MOD);
    const Share after(connection);
    connecting_ += static_cast<std::size_t>(after.connecting) - static_cast<std::size_t>(before.connecting);
    open += static_cast<std::size_t>(after.open) - static_cast<std::size_t>(before.open);
    live += static_cast<std::size_t>(after.live) - static_cast<std::size_t>(before.live);
  }

  const GeneratorOptions options_;
  const std::string request_;
  std::string messages_;  // as frames
  std::vector<char> buffer_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::size_t next_ = ~std::size_t{0};  // the first connection that may have to be connected
  std::size_t connecting_ = 0;
  int epoll_ = -1;
};

Generator::Generator(GeneratorOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Generator::~Generator() = default;

result<void> Generator::start() { return impl_->start(); }
void Generator::connect_all() { impl_->connect_all(); }
void Generator::set_stopped(std::size_t count) { impl_->set_stopped(count); }

void Generator::drop_all() {
  impl_->drop_all();
  impl_->open = 0;
  impl_->live = 0;
}

bool Generator::run_until(TimePoint deadline, const std::function<bool()>& done) {
  return impl_->run_until(deadline, done);
}

std::size_t Generator::open() const noexcept { return impl_->open; }
std::size_t Generator::live() const noexcept { return impl_->live; }

std::size_t Generator::deflating() const noexcept {
  return impl_->count([](const Connection& connection) { return connection.deflating(); });
}

const Totals& Generator::totals() const noexcept { return impl_->totals; }
void Generator::clear_totals() { impl_->totals = Totals(); }

}  // namespace fresnel::load

// Waiting for events in tests, always with a limit and never by sleeping through a guessed time.
//
// Thread safety: see each.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>

namespace fresnel::test {

using namespace std::chrono_literals;

// Runs `io` on this thread until predicate() holds, checked after every handler; false after `timeout`.
template <class Predicate>
[[nodiscard]] bool run_until(boost::asio::io_context& io, Predicate predicate, std::chrono::milliseconds timeout) {
  const auto limit = std::chrono::steady_clock::now() + timeout;
  boost::asio::steady_timer keeps_io_alive(io);
  keeps_io_alive.expires_at(limit);
  keeps_io_alive.async_wait([](const auto&) {});
  io.restart();
  while (!predicate()) {
    if (std::chrono::steady_clock::now() >= limit) return predicate();
    io.run_one_until(limit);
  }
  return true;
}

// A value that one thread changes and another waits for.
template <class T>
class Watched {
 public:
  Watched() = default;
  explicit Watched(T value) : value_(std::move(value)) {}

  // change(T&) under the lock; wakes every waiter.
  template <class Change>
  void update(Change change) {
    {
      const std::lock_guard lock(mutex_);
      change(value_);
    }
    changed_.notify_all();
  }

  [[nodiscard]] T get() const {
    const std::lock_guard lock(mutex_);
    return value_;
  }

  // True once predicate(const T&) holds; false after `timeout`.
  template <class Predicate>
  [[nodiscard]] bool wait_until(Predicate predicate, std::chrono::milliseconds timeout) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, timeout, [&] { return predicate(value_); });
  }

 private:
  T value_{};
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
};

// For what tells nobody when it changes (another process's HTTP answers): asks again every 20 ms, until `timeout`.
template <class Predicate>
[[nodiscard]] bool ask_until(Predicate predicate, std::chrono::milliseconds timeout) {
  const auto limit = std::chrono::steady_clock::now() + timeout;
  boost::asio::io_context io;
  for (;;) {
    if (predicate()) return true;
    if (std::chrono::steady_clock::now() >= limit) return false;
    boost::asio::steady_timer pause(io);
    pause.expires_after(std::chrono::milliseconds(20));
    pause.async_wait([](const auto&) {});
    io.restart();
    io.run();
  }
}

}  // namespace fresnel::test

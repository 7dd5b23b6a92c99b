// Time as a constructor argument, so that tests run in virtual time.
//
//   Timer timer(executor, clock);
//   const bool due = co_await timer.wait_for(100ms);   // false: cancel() came first
//
// Thread safety: a Clock may be shared by threads only if its implementation says so (SteadyClock does);
// a Timer belongs to the thread of its executor.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <map>
#include <utility>

#include "fresnel/base/asio.hpp"

namespace fresnel {

using Duration = std::chrono::steady_clock::duration;
using TimePoint = std::chrono::steady_clock::time_point;
using WallTime = std::chrono::system_clock::time_point;
using std::chrono::milliseconds;
using std::chrono::seconds;

class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual TimePoint now() const noexcept = 0;
  // The time of day, for what others have dated: tokens, certificates. It may jump.
  [[nodiscard]] virtual WallTime wall_now() const noexcept = 0;

 private:
  friend class Timer;
  // Makes `timer` expire at `when`. The timer stays armed until disarm().
  virtual void arm(asio::steady_timer& timer, TimePoint when) = 0;
  virtual void disarm(asio::steady_timer& timer) noexcept = 0;
};

// The machine's monotonic clock. May be shared by any number of threads.
class SteadyClock final : public Clock {
 public:
  [[nodiscard]] TimePoint now() const noexcept override { return std::chrono::steady_clock::now(); }
  [[nodiscard]] WallTime wall_now() const noexcept override { return std::chrono::system_clock::now(); }

 private:
  void arm(asio::steady_timer& timer, TimePoint when) override { timer.expires_at(when); }
  void disarm(asio::steady_timer& timer) noexcept override { timer.cancel(); }
};

// Time that moves only when a test says so. One thread only.
class ManualClock final : public Clock {
 public:
  [[nodiscard]] TimePoint now() const noexcept override { return now_; }
  // 2026-01-01 00:00 UTC when the clock was made.
  [[nodiscard]] WallTime wall_now() const noexcept override {
    return WallTime(seconds(1'767'225'600)) + std::chrono::duration_cast<WallTime::duration>(now_ - kStart);
  }
  // Moves time forward; timers that are due wake when the executor runs next.
  void advance(Duration by);
  // Moves time to the earliest armed timer and wakes it; false when none is armed.
  bool advance_to_next();
  [[nodiscard]] std::size_t armed() const noexcept { return armed_.size(); }

 private:
  void arm(asio::steady_timer& timer, TimePoint when) override;
  void disarm(asio::steady_timer& timer) noexcept override;

  static constexpr TimePoint kStart = TimePoint(std::chrono::hours(1));

  TimePoint now_ = kStart;
  std::multimap<TimePoint, asio::steady_timer*> armed_;
};

// One waiter at a time. Destroying the timer cancels the wait.
class Timer {
 public:
  Timer(const Executor& executor, Clock& clock) : clock_(clock), timer_(executor) {}
  ~Timer() { clock_.disarm(timer_); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // True when the time came; false when cancel() (or the coroutine's cancellation) came first.
  [[nodiscard]] awaitable<bool> wait_until(TimePoint when);
  [[nodiscard]] awaitable<bool> wait_for(Duration duration);
  // Waits for cancel(), without a limit.
  [[nodiscard]] awaitable<void> wait();
  // For those too many for a coroutine each: `callback` is called when the time has come, or after cancel() or the
  // timer's end, from the executor.
  template <class Callback>
  void call_at(TimePoint when, Callback callback) {
    clock_.arm(timer_, when);
    timer_.async_wait([callback = std::move(callback)](const error_code&) mutable { callback(); });
  }
  void cancel() noexcept { clock_.disarm(timer_); }

 private:
  Clock& clock_;
  asio::steady_timer timer_;
};

}  // namespace fresnel

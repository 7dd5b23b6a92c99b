#include "fresnel/base/clock.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <vector>

namespace fresnel {

void ManualClock::arm(asio::steady_timer& timer, TimePoint when) {
  disarm(timer);
  if (when <= now_) {
    timer.expires_at(TimePoint::min());
    return;
  }
  timer.expires_at(TimePoint::max());
  armed_.emplace(when, &timer);
}

void ManualClock::disarm(asio::steady_timer& timer) noexcept {
  for (auto it = armed_.begin(); it != armed_.end(); ++it) {
    if (it->second == &timer) {
      armed_.erase(it);
      break;
    }
  }
  timer.cancel();
}

void ManualClock::advance(Duration by) {
  now_ += by;
  std::vector<asio::steady_timer*> due;
  const auto end = armed_.upper_bound(now_);
  for (auto it = armed_.begin(); it != end; ++it) due.push_back(it->second);
  armed_.erase(armed_.begin(), end);
  for (auto* timer : due) timer->cancel();
}

bool ManualClock::advance_to_next() {
  if (armed_.empty()) return false;
  advance(armed_.begin()->first - now_);
  return true;
}

awaitable<bool> Timer::wait_until(TimePoint when) {
  Clock& clock = clock_;  // the timer may be destroyed while this waits
  clock.arm(timer_, when);
  co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable));
  // A manual clock wakes a due timer by cancelling its wait: the clock, not the error code, says which it was.
  co_return clock.now() >= when;
}

awaitable<bool> Timer::wait_for(Duration duration) { return wait_until(clock_.now() + duration); }

awaitable<void> Timer::wait() {
  timer_.expires_at(TimePoint::max());
  co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable));
}

}  // namespace fresnel

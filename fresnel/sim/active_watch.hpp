// A watch being served: what wakes it, and why it ends.
//
// Thread safety: one thread, that of its executor.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "fresnel/base/asio.hpp"
#include "fresnel/base/clock.hpp"

namespace fresnel::sim {

class ActiveWatch {
 public:
  enum class State { running, ended, dropped };

  // Enters itself into `all`, and leaves it when destroyed.
  ActiveWatch(const Executor& executor, Clock& clock, std::string path, std::vector<ActiveWatch*>& all)
      : timer_(executor, clock), path_(std::move(path)), all_(all) {
    all_.push_back(this);
  }
  ~ActiveWatch() { std::erase(all_, this); }
  ActiveWatch(const ActiveWatch&) = delete;
  ActiveWatch& operator=(const ActiveWatch&) = delete;

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] State state() const noexcept { return state_; }
  // The first reason to stop counts.
  void stop(State why) {
    if (state_ == State::running) state_ = why;
    wake();
  }

  // There may be something to do.
  void wake() {
    woken_ = true;
    timer_.cancel();
  }
  // Until wake(), if it has not been called since the last wait, or until `when`.
  [[nodiscard]] awaitable<void> wait_until(TimePoint when) {
    if (!woken_) (void)co_await timer_.wait_until(when);
    woken_ = false;
  }

 private:
  Timer timer_;
  std::string path_;
  std::vector<ActiveWatch*>& all_;
  State state_ = State::running;
  bool woken_ = false;
};

}  // namespace fresnel::sim

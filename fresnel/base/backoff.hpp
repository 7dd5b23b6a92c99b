// Exponential backoff with jitter.
//
// Thread safety: a value owned by one thread.
#pragma once

#include <random>

#include "fresnel/base/clock.hpp"

namespace fresnel {

// The random source of a component; seeded by its owner so that a failing run replays.
using Random = std::mt19937_64;

struct BackoffOptions {
  Duration first = milliseconds(800);
  Duration limit = seconds(30);
  double factor = 2.0;
  // full: uniform in [0, delay] (spreads a crowd of clients). equal: uniform in [delay/2, delay].
  enum class Jitter { full, equal } jitter = Jitter::equal;
};

class Backoff {
 public:
  explicit Backoff(BackoffOptions options = {}) : options_(options), delay_(options.first) {}

  // The next delay; the one after it is `factor` times longer, up to `limit`.
  [[nodiscard]] Duration next(Random& random);
  void reset() noexcept {
    delay_ = options_.first;
    attempts_ = 0;
  }
  // Delays handed out since the last reset.
  [[nodiscard]] int attempts() const noexcept { return attempts_; }

 private:
  BackoffOptions options_;
  Duration delay_;
  int attempts_ = 0;
};

}  // namespace fresnel

#include "fresnel/base/backoff.hpp"

#include <algorithm>

namespace fresnel {

Duration Backoff::next(Random& random) {
  const double full = static_cast<double>(delay_.count());
  const double least = options_.jitter == BackoffOptions::Jitter::full ? 0.0 : full / 2;
  std::uniform_real_distribution<double> pick(least, full);
  const Duration chosen(static_cast<Duration::rep>(pick(random)));
  delay_ = std::min(options_.limit, Duration(static_cast<Duration::rep>(full * options_.factor)));
  ++attempts_;
  return chosen;
}

}  // namespace fresnel

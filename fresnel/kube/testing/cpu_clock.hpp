// The processor time of this thread, for benchmarks that measure parts of a loop: other programs on the machine take
// none of it.
#pragma once

#include <ctime>

namespace fresnel::kube::testing {

class CpuClock {
 public:
  [[nodiscard]] double seconds() const { return now() - start_; }

 private:
  static double now() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
  }

  double start_ = now();
};

}  // namespace fresnel::kube::testing

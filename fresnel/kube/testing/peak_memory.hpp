// How much resident memory something takes at its peak, for benchmarks (Linux: VmHWM, proc(5)). To be run alone, with
// --benchmark_filter=memory: what others have left in the heap is reused, and counts when it is.
#pragma once

#include <malloc.h>

#include <fstream>
#include <string>

namespace fresnel::kube::testing {

class PeakMemory {
 public:
  PeakMemory() {
    malloc_trim(0);  // what an earlier benchmark freed must not hide what this one takes
    std::ofstream("/proc/self/clear_refs") << "5";
    before_ = resident("VmRSS:");
  }

  // Bytes above what was resident at the start.
  [[nodiscard]] double peak() const { return resident("VmHWM:") - before_; }
  [[nodiscard]] double now() const { return resident("VmRSS:") - before_; }

 private:
  static double resident(const std::string& name) {
    std::ifstream status("/proc/self/status");
    std::string word;
    double kibibytes = 0;
    while (status >> word) {
      if (word == name && status >> kibibytes) break;
    }
    return kibibytes * 1024;
  }

  double before_ = 0;
};

}  // namespace fresnel::kube::testing

// What `fresnel bench` measured, as a table for people or JSON for programs.
//
// Thread safety: plain values.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "fresnel/load/generator.hpp"

namespace fresnel::cli {

struct BenchReport {
  std::string gateway;
  std::vector<std::string> clusters;
  std::size_t clients = 0;
  std::size_t lists = 0;       // subscriptions a client
  std::size_t live = 0;        // clients with all initial data, when measuring began
  std::size_t still_open = 0;  // at the end
  std::size_t deflating = 0;
  double ready_seconds = 0;  // from the first connect() until all were live
  double seconds = 0;        // measured
  load::Totals initial;      // until then
  load::Totals steady;       // during the measurement

  [[nodiscard]] bool clean() const noexcept;
};

[[nodiscard]] std::string bench_table(const BenchReport& report);
// One line. Times are in milliseconds, sizes in bytes.
[[nodiscard]] std::string bench_json(const BenchReport& report);
// One line for each kind of trouble, empty when there was none; safe for a terminal.
[[nodiscard]] std::string bench_faults(const BenchReport& report);

}  // namespace fresnel::cli

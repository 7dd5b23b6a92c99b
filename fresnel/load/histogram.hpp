// Durations counted in buckets of fixed relative width: 64 buckets for each doubling, so a quantile is read with an
// error of at most 1/64. Constant memory (19 KB), recording costs a few instructions.
//
// Units: nanoseconds. What is longer than kMax (18 minutes) counts as kMax.
//
// Thread safety: a value owned by one thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace fresnel::load {

class Histogram {
 public:
  static constexpr std::uint64_t kMax = (std::uint64_t{1} << 40) - 1;

  void record(std::uint64_t nanoseconds) noexcept;
  void clear() noexcept { *this = Histogram(); }

  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
  [[nodiscard]] std::uint64_t min() const noexcept { return count_ == 0 ? 0 : min_; }
  [[nodiscard]] std::uint64_t max() const noexcept { return max_; }
  // The smallest recorded value that at least `fraction` (0 to 1) of all values do not exceed; 0 when there is none.
  [[nodiscard]] std::uint64_t quantile(double fraction) const noexcept;

 private:
  static constexpr int kSubBits = 6;
  static constexpr std::size_t kBuckets = (40 - kSubBits + 1) << kSubBits;

  [[nodiscard]] static std::size_t bucket_of(std::uint64_t value) noexcept;
  [[nodiscard]] static std::uint64_t upper_end(std::size_t bucket) noexcept;

  std::array<std::uint64_t, kBuckets> buckets_{};
  std::uint64_t count_ = 0;
  std::uint64_t min_ = kMax;
  std::uint64_t max_ = 0;
};

}  // namespace fresnel::load

#include "fresnel/load/histogram.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace fresnel::load {

std::size_t Histogram::bucket_of(std::uint64_t value) noexcept {
  constexpr std::uint64_t kLinear = std::uint64_t{1} << kSubBits;
  if (value < kLinear) return static_cast<std::size_t>(value);
  const int shift = static_cast<int>(std::bit_width(value)) - 1 - kSubBits;
  return static_cast<std::size_t>((static_cast<std::uint64_t>(shift) << kSubBits) + (value >> shift));
}

std::uint64_t Histogram::upper_end(std::size_t bucket) noexcept {
  constexpr std::size_t kLinear = std::size_t{1} << kSubBits;
  if (bucket < 2 * kLinear) return bucket;
  const auto shift = (bucket >> kSubBits) - 1;
  const auto mantissa = (bucket & (kLinear - 1)) + kLinear;
  return ((static_cast<std::uint64_t>(mantissa) + 1) << shift) - 1;
}

void Histogram::record(std::uint64_t nanoseconds) noexcept {
  const auto value = std::min(nanoseconds, kMax);
  ++buckets_[bucket_of(value)];
  ++count_;
  min_ = std::min(min_, value);
  max_ = std::max(max_, value);
}

std::uint64_t Histogram::quantile(double fraction) const noexcept {
  if (count_ == 0) return 0;
  const auto wanted = std::ceil(std::clamp(fraction, 0.0, 1.0) * static_cast<double>(count_));
  const auto rank = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(wanted));
  std::uint64_t seen = 0;
  for (std::size_t bucket = 0; bucket < kBuckets; ++bucket) {
    seen += buckets_[bucket];
    if (seen >= rank) return std::clamp(upper_end(bucket), min_, max_);
  }
  return max_;
}

}  // namespace fresnel::load

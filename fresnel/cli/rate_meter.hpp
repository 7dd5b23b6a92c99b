// Events a second, over the last five seconds.
//
// Thread safety: one thread.
#pragma once

#include <array>
#include <cstdint>

#include "fresnel/base/clock.hpp"

namespace fresnel::cli {

class RateMeter {
 public:
  void count(TimePoint now) noexcept;
  [[nodiscard]] double per_second(TimePoint now) const noexcept;

 private:
  static constexpr std::size_t kSlots = 10;
  static constexpr Duration kSlot = milliseconds(500);

  [[nodiscard]] static std::int64_t slot_number(TimePoint now) noexcept { return now.time_since_epoch() / kSlot; }

  struct Slot {
    std::int64_t number = -1;
    std::uint32_t events = 0;
  };
  std::array<Slot, kSlots> slots_;
};

}  // namespace fresnel::cli

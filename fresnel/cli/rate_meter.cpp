#include "fresnel/cli/rate_meter.hpp"

namespace fresnel::cli {

void RateMeter::count(TimePoint now) noexcept {
  const auto number = slot_number(now);
  auto& slot = slots_[static_cast<std::size_t>(number) % kSlots];
  if (slot.number != number) slot = {number, 0};
  ++slot.events;
}

double RateMeter::per_second(TimePoint now) const noexcept {
  const auto newest = slot_number(now);
  std::uint64_t events = 0;
  for (const auto& slot : slots_) {
    if (slot.number >= 0 && newest - slot.number < static_cast<std::int64_t>(kSlots)) events += slot.events;
  }
  return static_cast<double>(events) / std::chrono::duration<double>(kSlot * kSlots).count();
}

}  // namespace fresnel::cli

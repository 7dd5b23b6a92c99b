// What became of a message that was handed to a WebSocket's outbound queue.
#pragma once

#include <cstdint>

namespace fresnel::net {

enum class SendStatus : std::uint8_t {
  queued,            // it will leave at the end of this turn of the loop, or when the peer has made room
  above_high_water,  // queued too, and more is waiting now than the high-water mark: stop until the queue has drained
  full,              // not queued: it would exceed the hard bound; close the connection with 1013 (try again later)
  closed,            // not queued: the connection is closing or gone
};

// Whether the message will be sent.
[[nodiscard]] constexpr bool accepted(SendStatus status) noexcept {
  return status == SendStatus::queued || status == SendStatus::above_high_water;
}

}  // namespace fresnel::net

// What waits for a peer that reads more slowly than it is sent to: bounded by bytes, whatever comes.
//
// Thread safety: one owner.
#pragma once

#include <cstddef>
#include <list>
#include <optional>
#include <string>
#include <unordered_map>

#include "fresnel/net/outbound_message.hpp"

namespace fresnel::websocket {

using net::OutboundMessage;

enum class SlowConsumer {
  close,        // with 1013 (try again later), by the first message that finds it above the high-water mark
  drop_oldest,  // the messages that have waited longest go
  conflate,     // of the messages with one key the newest stays; beyond the bound, or without a key, as drop_oldest
};

class WaitingMessages {
 public:
  struct Displaced {
    std::size_t dropped = 0;
    std::size_t conflated = 0;
  };

  // What a message takes beside payload and key, about: it counts too, or empty messages would have no bound.
  static constexpr std::size_t kOverhead = 256;

  // `max_bytes` of messages; one that is larger alone is dropped.
  explicit WaitingMessages(std::size_t max_bytes, std::size_t overhead = kOverhead)
      : max_bytes_(max_bytes), overhead_(overhead) {}

  // What had to go, the message itself included. `policy`: drop_oldest or conflate.
  Displaced push(OutboundMessage message, SlowConsumer policy);
  // The one that has waited longest. A message takes its key's place anew when it displaces another: order is that of
  // the newest states, as for objects of a watch.
  [[nodiscard]] std::optional<OutboundMessage> pop();
  [[nodiscard]] bool empty() const noexcept { return messages_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return messages_.size(); }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

 private:
  using Messages = std::list<OutboundMessage>;

  [[nodiscard]] std::size_t size_of(const OutboundMessage& message) const noexcept {
    return overhead_ + message.payload().size() + message.key().size();
  }
  void erase(Messages::iterator message);

  const std::size_t max_bytes_;
  const std::size_t overhead_;
  Messages messages_;
  std::unordered_map<std::string, Messages::iterator> by_key_;
  std::size_t bytes_ = 0;
};

}  // namespace fresnel::websocket

#include "fresnel/websocket/slow_consumer.hpp"

#include <utility>

namespace fresnel::websocket {

WaitingMessages::Displaced WaitingMessages::push(OutboundMessage message, SlowConsumer policy) {
  Displaced displaced;
  const auto size = size_of(message);
  const bool keyed = policy == SlowConsumer::conflate && !message.key().empty();
  if (keyed) {
    if (const auto known = by_key_.find(message.key()); known != by_key_.end()) {
      erase(known->second);
      displaced.conflated = 1;
    }
  }
  if (size > max_bytes_) {
    displaced.dropped = 1;
    return displaced;
  }
  while (bytes_ + size > max_bytes_) {
    erase(messages_.begin());
    ++displaced.dropped;
  }
  bytes_ += size;
  messages_.push_back(std::move(message));
  if (keyed) by_key_.emplace(messages_.back().key(), std::prev(messages_.end()));
  return displaced;
}

std::optional<OutboundMessage> WaitingMessages::pop() {
  if (messages_.empty()) return std::nullopt;
  auto message = messages_.front();
  erase(messages_.begin());
  return message;
}

void WaitingMessages::erase(Messages::iterator message) {
  bytes_ -= size_of(*message);
  if (const auto known = by_key_.find(message->key()); known != by_key_.end() && known->second == message)
    by_key_.erase(known);
  messages_.erase(message);
}

}  // namespace fresnel::websocket

#include "fresnel/net/outbound_message.hpp"

#include <boost/json/serialize.hpp>

#include "fresnel/net/deflate.hpp"

namespace fresnel::net {

OutboundMessage OutboundMessage::json(const boost::json::value& value) {
  return {boost::json::serialize(value), Kind::json};
}

OutboundMessage OutboundMessage::with_key(std::string key) const {
  auto message = *this;
  message.key_ = std::move(key);
  return message;
}

// Two threads that ask at once both compress; one of the two forms is kept.
const SharedBytes& OutboundMessage::deflated() const {
  if (const auto* made = body_->deflated.load(std::memory_order_acquire)) return *made;
  auto fresh = std::make_unique<const SharedBytes>(deflate_body(body_->payload.view()));
  const SharedBytes* other = nullptr;
  if (body_->deflated.compare_exchange_strong(other, fresh.get(), std::memory_order_acq_rel)) return *fresh.release();
  return *other;
}

}  // namespace fresnel::net

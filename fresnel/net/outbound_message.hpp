// A message on its way to many sockets: encoded once, compressed once for all that have negotiated permessage-deflate.
//
// Thread safety: immutable but for its compressed form, which may be asked for from any thread; copies share both.
#pragma once

#include <atomic>
#include <boost/json/value.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "fresnel/base/shared_bytes.hpp"

namespace fresnel::net {

class OutboundMessage {
 public:
  enum class Kind : std::uint8_t { text, binary, json };

  // `utf8` must be valid: a receiver closes the connection that brings it anything else (RFC 6455 section 8.1).
  [[nodiscard]] static OutboundMessage text(std::string utf8) { return {std::move(utf8), Kind::text}; }
  [[nodiscard]] static OutboundMessage binary(std::string bytes) { return {std::move(bytes), Kind::binary}; }
  // Travels as text.
  [[nodiscard]] static OutboundMessage json(const boost::json::value& value);

  // JSON that has been serialized already; it must be valid.
  [[nodiscard]] static OutboundMessage serialized_json(std::string text) { return {std::move(text), Kind::json}; }

  // The same message under a key: of those that wait for a slow reader, only the newest of a key need be
  // kept.
  [[nodiscard]] OutboundMessage with_key(std::string key) const;

  [[nodiscard]] Kind kind() const noexcept { return body_->kind; }
  [[nodiscard]] bool is_binary() const noexcept { return body_->kind == Kind::binary; }
  [[nodiscard]] const SharedBytes& payload() const noexcept { return body_->payload; }
  [[nodiscard]] const std::string& key() const noexcept { return key_; }
  // As deflate blocks (net/deflate.hpp); empty where compressing is not worth it.
  [[nodiscard]] const SharedBytes& deflated() const;

 private:
  struct Body {
    Body(std::string bytes, Kind of) : payload(std::move(bytes)), kind(of) {}
    ~Body() { delete deflated.load(std::memory_order_acquire); }
    Body(const Body&) = delete;
    Body& operator=(const Body&) = delete;

    const SharedBytes payload;
    const Kind kind;
    mutable std::atomic<const SharedBytes*> deflated{nullptr};  // null: not made yet; owned
  };

  OutboundMessage(std::string bytes, Kind kind) : body_(std::make_shared<const Body>(std::move(bytes), kind)) {}

  std::shared_ptr<const Body> body_;
  std::string key_;
};

}  // namespace fresnel::net

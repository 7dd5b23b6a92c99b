// Immutable bytes with shared ownership: an event's text is stored once, however many places hold it.
//
// Thread safety: copies may be used from any thread; the bytes never change.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace fresnel {

class SharedBytes {
 public:
  SharedBytes() = default;
  explicit SharedBytes(std::string bytes) : bytes_(std::make_shared<const std::string>(std::move(bytes))) {}
  explicit SharedBytes(std::string_view bytes) : SharedBytes(std::string(bytes)) {}

  [[nodiscard]] std::string_view view() const noexcept {
    return bytes_ ? std::string_view(*bytes_) : std::string_view();
  }
  [[nodiscard]] std::size_t size() const noexcept { return bytes_ ? bytes_->size() : 0; }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  // Bytes that may be read from view().data() on; what lies behind size() has no meaning.
  [[nodiscard]] std::size_t capacity() const noexcept { return bytes_ ? bytes_->capacity() : 0; }

  friend bool operator==(const SharedBytes& a, const SharedBytes& b) noexcept { return a.view() == b.view(); }

 private:
  std::shared_ptr<const std::string> bytes_;
};

}  // namespace fresnel

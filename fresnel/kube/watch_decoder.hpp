// The body of a watch response as events: JSON objects, one a line. Lines may arrive in any pieces; empty lines and
// CRLF are accepted; a last line without its end is not an event.
//
// Thread safety: one owner.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "fresnel/kube/watch_event.hpp"

namespace fresnel::kube {

class WatchDecoder {
 public:
  static constexpr std::size_t kDefaultMaxEvent = 16u << 20;  // bytes; etcd's own limit is 1.5 MiB an object

  explicit WatchDecoder(std::size_t max_event = kDefaultMaxEvent) : max_event_(max_event) {}

  // The events that `bytes` completes, appended to `events`. Errors: protocol (a line is no event), too_large. After
  // an error the decoder is of no more use: the stream's framing cannot be trusted.
  [[nodiscard]] result<void> decode(std::string_view bytes, std::vector<WatchEvent>& events);

  // True when the bytes so far end inside a line.
  [[nodiscard]] bool inside_a_line() const noexcept { return !partial_.empty(); }

 private:
  std::size_t max_event_;
  std::string partial_;
};

}  // namespace fresnel::kube

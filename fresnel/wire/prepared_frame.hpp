// PreparedFrame: a DATA message in two parts, so that an event is escaped once for all its subscribers.
//
//   frame  = prefix body
//   prefix = {"clusterId":"..","path":"..","query":"..","userId":".."       one for each subscription
//   body   = ,"type":"DATA","data":"<escaped event>"}                       one for each event, shared
//
// The body stands last, so that with permessage-deflate it can be compressed once behind any prefix. Clients read JSON
// objects, whatever the order of their members; encode() keeps Headlamp's order for single messages.
//
// Thread safety: immutable values.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "fresnel/base/shared_bytes.hpp"

namespace fresnel::wire {

// The bytes in front of every DATA of one subscription. Made once, when it is requested.
class DataPrefix {
 public:
  DataPrefix(std::string_view cluster_id, std::string_view path, std::string_view query, std::string_view user_id);

  [[nodiscard]] std::string_view view() const noexcept { return bytes_; }
  [[nodiscard]] std::size_t size() const noexcept { return bytes_.size(); }

 private:
  std::string bytes_;
};

// What a prefix was made of. A subscription keeps nothing but its prefix.
struct SubscriptionAddress {
  std::string cluster_id;
  std::string path;
  std::string query;
  std::string user_id;
};
[[nodiscard]] SubscriptionAddress address_in(std::string_view prefix);

// The part of a prefix that tells subscriptions of one connection apart: clusterId, path and query, not userId.
[[nodiscard]] std::string_view key_in(std::string_view prefix) noexcept;

// The bytes behind any prefix. `event_json` is one watch event as the API server sends it, valid UTF-8.
[[nodiscard]] SharedBytes make_data_body(std::string_view event_json);

// What a queue is given: the prefix belongs to the subscription and is copied by the queue, the body is shared.
struct PreparedFrame {
  std::string_view prefix;
  SharedBytes body;

  [[nodiscard]] std::size_t size() const noexcept { return prefix.size() + body.size(); }
  // The whole message, for those who have no gathered writes.
  [[nodiscard]] std::string text() const;
};

[[nodiscard]] inline PreparedFrame make_frame(const DataPrefix& prefix, SharedBytes body) {
  return {prefix.view(), std::move(body)};
}

}  // namespace fresnel::wire

// What back ends say to the gateway's HTTP API, in JSON.
//
// Thread safety: values and pure functions.
#pragma once

#include <boost/json/value.hpp>
#include <string>
#include <string_view>

#include "fresnel/base/error.hpp"
#include "fresnel/broker/broker.hpp"

namespace fresnel::gateway {

struct BroadcastRequest {
  std::string channel;  // empty: to everybody
  boost::json::value data;
  broker::Selection selection;
};

struct CloseRequest {
  int code = 1008;  // RFC 6455 section 7.4.1: a policy is violated; or one of applications, 3000 to 4999
  std::string reason;
};

// Errors (invalid_argument, status 400) name the field and what was expected of it. A field that is not known is an
// error: a misspelt selection must not become a message to everybody.
[[nodiscard]] result<BroadcastRequest> parse_broadcast_request(std::string_view body);
// An empty body: the defaults.
[[nodiscard]] result<CloseRequest> parse_close_request(std::string_view body);

}  // namespace fresnel::gateway

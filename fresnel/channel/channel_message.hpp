// The channel protocol: what a client and a server of channels say to each other over one WebSocket. Text frames, one
// JSON object each.
//
//   request  = {"type": TYPE, "id": ID, "channel": NAME, ...}
//              subscribe    "position": POSITION       optional: where it left off
//              unsubscribe
//              publish      "data": any JSON
//              presence
//              history      "position": POSITION       optional: what came after it
//              renew        "token": TEXT              no channel: a newer credential for this connection
//   POSITION = {"epoch": TEXT, "offset": NUMBER}
//   ID       = a number or a text of up to 64 bytes, optional; the answer has the same
//
//   answer   = {"type": subscribed | unsubscribed | published | presence | history | renewed, "id": ID, "channel":
//   NAME, ...}
//            | {"type": "error", "id": ID, "code": CODE, "message": TEXT}
//   message  = {"type": "message", "channel": NAME, "offset": NUMBER, "data": any JSON}
//              a text that is no JSON is a JSON string; bytes are base64url, with "encoding": "base64url"
//   broadcast = {"type": "broadcast", "data": any JSON}                     to everybody, of no channel
//   status   = {"type": "status", "connected": BOOL}                       whether other gateways can be reached
//   gap      = {"type": "gap", "channel": NAME, "position": POSITION}      messages up to there are lost: load anew
//
// Thread safety: values and pure functions.
#pragma once

#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fresnel/base/error.hpp"
#include "fresnel/broker/broker.hpp"

namespace fresnel::channel {

struct ChannelRequest {
  enum class Type : std::uint8_t { subscribe, unsubscribe, publish, presence, history, renew };

  Type type = Type::subscribe;
  boost::json::value id;  // null: none was given
  std::string channel;
  std::optional<broker::Position> position;
  boost::json::value data;  // of publish
  std::string token;        // of renew
};

// A request that cannot be understood, with its id as far as that can be read.
struct BadRequest : Error {
  boost::json::value id;
};

// Errors: invalid_argument; the message says which field and what was expected of it.
[[nodiscard]] boost::system::result<ChannelRequest, BadRequest> parse_channel_request(std::string_view text);

// Each a whole message.
[[nodiscard]] std::string encode_subscribed(const ChannelRequest& request, const broker::Position& position,
                                            bool recovered);
[[nodiscard]] std::string encode_unsubscribed(const ChannelRequest& request);
[[nodiscard]] std::string encode_published(const ChannelRequest& request, const broker::Delivery& delivery);
[[nodiscard]] std::string encode_presence(const ChannelRequest& request, const std::vector<broker::Presence>& present);
[[nodiscard]] std::string encode_history(const ChannelRequest& request, const broker::History& history);
[[nodiscard]] std::string encode_renewed(const ChannelRequest& request);
[[nodiscard]] std::string encode_error(const boost::json::value& id, const Error& error);

// What a subscriber is sent for a publication (BroadcasterOptions::envelope).
[[nodiscard]] net::OutboundMessage encode_message(std::string_view channel, const broker::Publication& publication);

[[nodiscard]] net::OutboundMessage encode_broadcast(const boost::json::value& data);
// BroadcasterOptions::status_message and gap_message.
[[nodiscard]] net::OutboundMessage encode_status(bool connected);
[[nodiscard]] net::OutboundMessage encode_gap(std::string_view channel, const broker::Position& position);

}  // namespace fresnel::channel

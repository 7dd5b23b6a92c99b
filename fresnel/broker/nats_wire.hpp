// How NatsBroker's data look on NATS. All gateways of an installation must agree on it.
//
//   <prefix>.m.<channel>               what every gateway subscribes to: publications without a history, and what
//                                      JetStream republishes of those with one
//   <prefix>.h.<size>.<ms>.<channel>   publications for a history with these limits: captured by a stream
//   <prefix>.control                   to all nodes of all gateways
//   <prefix>.presence, <prefix>.alive  questions who is there; who can answer them
//
// A publication's payload is its message's bytes. Headers: Nats-Msg-Id (its name, for JetStream's deduplication),
// Fresnel-Kind (binary or json; text without), Fresnel-Meta (JSON: key, users, attributes, exclude; only what is set).
//
// Thread safety: pure functions.
#pragma once

#include <boost/json/value.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "fresnel/broker/broker.hpp"
#include "fresnel/broker/nats_connection.hpp"

namespace fresnel::broker::nats_wire {

// One token of a subject, whatever the name has in it: bytes that subjects may not have, and '%', as %XX.
[[nodiscard]] std::string channel_token(std::string_view channel);
[[nodiscard]] std::string live_subject(std::string_view prefix, std::string_view channel);
// Lifetimes count in milliseconds, 100 at least (JetStream's own limit).
[[nodiscard]] std::string history_subject(std::string_view prefix, HistoryLimits limits, std::string_view channel);
[[nodiscard]] std::string stream_name(std::string_view prefix, HistoryLimits limits);

struct StreamOptions {
  std::uint64_t max_bytes = 0;
  int replicas = 1;
};
// The body of a request to make the stream.
// For so long JetStream knows a publication's name again.
[[nodiscard]] Duration duplicate_window(HistoryLimits limits);
[[nodiscard]] std::string stream_config(std::string_view prefix, HistoryLimits limits, StreamOptions options);

struct StreamInfo {
  std::string epoch;
  std::uint64_t first = 0;  // the oldest message that is still there; last + 1: none is
  std::uint64_t last = 0;
  std::uint64_t bytes = 0;
  bool republishes = false;
};

// A JetStream answer, or its error as ours. The error's reason is JetStream's err_code.
[[nodiscard]] result<boost::json::value> parse_answer(const NatsMessage& answer);
[[nodiscard]] result<StreamInfo> parse_stream_info(const NatsMessage& answer);
// The sequence that JetStream has given a publication.
[[nodiscard]] result<std::uint64_t> parse_ack(const NatsMessage& answer);

// A publication from NATS.
struct Received {
  std::string id;
  std::string stream;          // empty: without a history
  std::uint64_t sequence = 0;  // 0: without a history
  std::uint64_t previous = 0;  // the channel's message before; 0: none is left, or not told
  std::optional<WallTime> stored_at;
  Publication publication{net::OutboundMessage::text({}), {}, 0, {}};
};

// What a stream had of a channel when it was read.
struct Stored {
  std::vector<Received> messages;  // in order, without holes
  bool truncated = false;          // the stream has dropped some from the front meanwhile
};

[[nodiscard]] NatsHeaders publication_headers(const Publication& publication, std::string_view id);
// Whatever cannot be valid in what it claims to be (text that is not UTF-8, JSON that is none) is binary.
[[nodiscard]] Received decode_publication(NatsMessage message);
// The answer to STREAM.MSG.GET. Errors: not_found (there is none any more), protocol, those of parse_answer().
[[nodiscard]] result<Received> parse_stored(const NatsMessage& answer);

[[nodiscard]] NatsOutgoing encode_control(std::string_view prefix, const Control& control, std::string_view id);
struct ReceivedControl {
  std::string id;
  Control control;
};
[[nodiscard]] std::optional<ReceivedControl> decode_control(NatsMessage message);

// Part of a gateway's answer to who is in a channel.
struct PresenceAnswer {
  std::string gateway;
  bool is_last = true;
  std::vector<Presence> present;
};
[[nodiscard]] std::string encode_presence(const PresenceAnswer& answer);
[[nodiscard]] std::optional<PresenceAnswer> decode_presence(std::string_view payload);

// A heartbeat.
struct Alive {
  std::string gateway;
  bool is_new = false;  // it does not know the others yet
  bool is_last = false;
};
[[nodiscard]] std::string encode_alive(const Alive& alive);
[[nodiscard]] std::optional<Alive> decode_alive(std::string_view payload);

}  // namespace fresnel::broker::nats_wire

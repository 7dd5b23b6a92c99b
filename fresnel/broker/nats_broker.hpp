// The broker of many gateways: channels, history, presence and what goes to all, through NATS with JetStream
// (nats-server 2.9 or newer, started with -js for channels that keep a history).
//
//   NatsBroker broker(io.get_executor(), clock, {.servers = {"nats://nats.example:4222"}});
//   channel::Broadcaster broadcaster(io.get_executor(), broker, {.manager = &manager});
//
// Delivery, beyond what broker.hpp says. A confirmed publication to a channel with a history is with the server, and
// outlives it; its disk has it some time later (its sync_interval), in a cluster the other servers at once. While NATS
// is away, what nodes have subscribed to stands; after its return they are given what they missed, in order and once,
// as far as the history reaches (else on_gap), and then on_status(true). Publishers may try from when it is back. What
// is published with on_disconnect = wait is sent again under the same name until it is confirmed, as long as JetStream
// would know it again (the history's lifetime, two minutes at most) and publish_timeout lasts: it is stored once.
// Without a history a message is sent once; when the connection goes before it has come back, that is an error, and it
// may have been delivered. Then, too, the order is the same only for what one gateway has published.
//
// History. Its epoch is the stream's time of creation, its offset the stream's sequence: ascending, not without gaps.
// `recovered` may be false though nothing was lost, when the position is of a message that is no longer kept. All nodes
// must name the same limits for a channel. Presence is that of the gateways that answer within presence_timeout.
//
// Bounds: see the options; what is over them is refused (throttled, too_large), or, of what comes in, dropped and then
// read from the history.
//
// Thread safety: join() from any thread, before or while the executors run. `clock` is used on the home executor only.
// The destructor waits for libnats' threads: a connection attempt's time and 5 s at most.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "fresnel/broker/broker.hpp"

namespace fresnel::broker {

struct NatsBrokerOptions {
  enum class OnDisconnect { fail, wait };

  std::vector<std::string> servers = {"nats://127.0.0.1:4222"};  // nats:// or tls://, with user:password@ or token@
  std::string credentials_file = {};                             // a user's JWT and seed
  std::string ca_file = {};                                      // PEM; TLS, whatever the URL says
  std::string prefix = "fresnel";  // of all subjects and streams: letters, digits, _ - and dots between
  OnDisconnect on_disconnect = OnDisconnect::fail;  // what publishers get while NATS is away: closed, or a wait
  Duration publish_timeout = seconds(10);           // for a publication to be confirmed, the wait included
  Duration request_timeout = seconds(5);            // for JetStream to answer
  Duration presence_timeout = seconds(1);           // for other gateways to answer
  Duration alive_interval = seconds(2);             // between a gateway's heartbeats; three missed: it is gone
  Duration connect_timeout = seconds(2);
  Duration reconnect_wait = milliseconds(250);  // between attempts at a server, and as much again at random
  Duration ping_interval = seconds(10);         // two that are not answered end a connection
  // For a message that another gateway has published at the same time: nats-server may send the later one first. Only
  // those that are not neighbours in their stream wait. 0: they do not, and may then come in another order.
  Duration order_wait = milliseconds(2);
  std::size_t max_publishing = 10'000;         // publications under way; one more is refused as throttled
  std::size_t max_outgoing_bytes = 64u << 20;  // that wait to be written to NATS
  std::size_t max_incoming_messages = 65'536;  // that have come and were not taken yet
  std::size_t max_incoming_bytes = 64u << 20;
  std::size_t max_log_bytes = 256u << 20;  // of history kept here, for the channels that are subscribed to
  std::uint64_t max_stream_bytes =
      256u << 20;    // of a stream on the server, which sets it aside; decided by who makes it
  int replicas = 1;  // of a stream, in a cluster of servers
};

class NatsCore;

class NatsBroker final : public Broker {
 public:
  // `home` must be run by one thread alone, or be a strand; it may be that of a node. Throws std::runtime_error for
  // options that cannot be right. Connects on its own, however long that takes.
  NatsBroker(const Executor& home, Clock& clock, NatsBrokerOptions options = {});
  ~NatsBroker() override;
  NatsBroker(const NatsBroker&) = delete;
  NatsBroker& operator=(const NatsBroker&) = delete;

  [[nodiscard]] std::unique_ptr<Node> join(const Executor& executor, Handlers handlers) override;
  // Requests that JetStream was sent, but for publications; on the home executor's thread.
  [[nodiscard]] std::uint64_t stream_requests() const noexcept;

 private:
  std::shared_ptr<NatsCore> core_;
};

}  // namespace fresnel::broker

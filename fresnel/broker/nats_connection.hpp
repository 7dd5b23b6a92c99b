// A connection to NATS as a gateway needs it: libnats behind an interface that never blocks its user and keeps libnats'
// own threads and types to itself.
//
//   NatsConnection nats(home, clock, options);          // throws for options that cannot be right
//   nats.start(on_status, on_lost);
//   nats.subscribe("news.>", decode);
//   auto reply = co_await nats.request(message, 5s);
//
// It connects, and reconnects, by itself and for ever; subscriptions outlive that. What is published while it is away
// is refused (closed), not kept. Calls into libnats, which may block, are made by a thread of its own, in the order
// they were asked for: who publishes after subscribe() finds the subscription made.
//
// Bounds: what waits to be written by max_outgoing_bytes (then: throttled); what has come and was not taken by the
// home executor by max_incoming_*: then messages are dropped, and on_lost says of which subscription.
//
// Thread safety: everything on the home executor, but for the constructor and stop(). No member and no handler may be
// called after stop().
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fresnel/base/asio.hpp"
#include "fresnel/base/clock.hpp"
#include "fresnel/base/error.hpp"
#include "fresnel/base/shared_bytes.hpp"

namespace fresnel::broker {

using NatsHeaders = std::vector<std::pair<std::string, std::string>>;

// What has come.
struct NatsMessage {
  std::string subject;
  std::string reply;
  NatsHeaders headers;
  std::string payload;
  bool nobody_there = false;  // the answer to a request for whose subject there is no subscriber

  // Empty: there is none.
  [[nodiscard]] std::string_view header(std::string_view name) const noexcept;
};

// What is to go.
struct NatsOutgoing {
  std::string subject;
  std::string reply;
  NatsHeaders headers;  // no line breaks in them
  SharedBytes payload;
};

struct NatsConnectionOptions {
  std::vector<std::string> servers;
  std::string credentials_file;
  std::string ca_file;
  Duration connect_timeout = seconds(2);
  Duration reconnect_wait = milliseconds(250);
  Duration ping_interval = seconds(10);
  std::size_t max_outgoing_bytes = 0;
  std::size_t max_incoming_messages = 0;
  std::size_t max_incoming_bytes = 0;
};

class NatsConnection {
 public:
  using SubscriptionId = std::uint64_t;
  // Called on a thread of libnats; what it returns is called on the home executor, unless the subscription has ended.
  using Decode = std::function<std::function<void()>(NatsMessage)>;

  // Throws std::runtime_error, without secrets, for servers or files that cannot be used.
  NatsConnection(const Executor& home, Clock& clock, NatsConnectionOptions options);
  ~NatsConnection();
  NatsConnection(const NatsConnection&) = delete;
  NatsConnection& operator=(const NatsConnection&) = delete;

  // on_status(true) may come twice in a row: it was away, for so short that nobody saw it. on_lost: messages of this
  // subscription were dropped.
  void start(std::function<void(bool connected)> on_status, std::function<void(SubscriptionId)> on_lost);
  // From any thread, once. Sends `farewell` if it can, and ends what libnats does for it; takes a connection
  // attempt's time and 5 s at most. Who waits for an answer gets closed, on the home executor.
  void stop(NatsOutgoing farewell);

  [[nodiscard]] bool is_connected() const noexcept;
  // When something last came from the server.
  [[nodiscard]] TimePoint last_heard() const noexcept;
  // Of headers and payload together; 0: not known yet.
  [[nodiscard]] std::size_t max_payload() const noexcept;

  // Errors: closed, throttled, too_large.
  [[nodiscard]] result<void> publish(NatsOutgoing message);
  [[nodiscard]] SubscriptionId subscribe(std::string subject, Decode decode);
  void unsubscribe(SubscriptionId id);

  // The first answer. Errors: those of publish(), closed when the connection is lost meanwhile, timeout.
  [[nodiscard]] awaitable<result<NatsMessage>> request(NatsOutgoing message, Duration timeout);
  // A subject for answers, each given to `take`, until forget().
  [[nodiscard]] std::string expect(std::function<void(NatsMessage)> take);
  void forget(const std::string& reply_subject);

 private:
  class Worker;
  struct Desk;
  struct Link;

  static awaitable<result<NatsMessage>> ask(std::shared_ptr<Desk> desk, NatsOutgoing message, Duration timeout);

  std::shared_ptr<Link> link_;
  std::shared_ptr<Desk> desk_;
};

// 128 bits that nobody else has, in hexadecimal.
[[nodiscard]] std::string random_id();

}  // namespace fresnel::broker

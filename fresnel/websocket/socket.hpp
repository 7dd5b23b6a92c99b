// One client's WebSocket on a server, as WebSocketManager has let it in: who it is, and how it is sent to.
//
//   const std::shared_ptr<Socket> socket = accepted.socket;
//   socket->send(OutboundMessage::json({{"hello", socket->context().user_id}}));
//   while (auto message = co_await socket->read()) ...
//
// send() never waits: what one turn of the loop sends to a socket leaves in one system call. Beyond
// outbound_high_water what becomes of a message is the manager's SlowConsumer policy.
//
// Keep a read() pending, or let the manager read (WebSocketManager::on_message): pongs and Close frames are noticed by
// it.
//
// Thread safety: one thread, that of its executor. Destroying the last owner drops the connection.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "fresnel/base/asio.hpp"
#include "fresnel/base/clock.hpp"
#include "fresnel/base/error.hpp"
#include "fresnel/net/outbound_message.hpp"
#include "fresnel/net/websocket_connection.hpp"
#include "fresnel/websocket/authentication.hpp"
#include "fresnel/websocket/slow_consumer.hpp"

namespace fresnel::websocket {

// A close code for applications (RFC 6455 section 7.4.2): the credential is no longer valid; come back with a new one.
inline constexpr int kCredentialExpired = 4401;

struct ConnectionContext {
  std::string id;       // of the connection: unique among all gateways
  std::string user_id;  // empty: nobody had to say who he is
  boost::json::object claims;
  std::string peer;      // address:port
  std::string protocol;  // the selected subprotocol, empty when none
  std::map<std::string, std::string> attributes;
  WallTime expires = WallTime::max();  // of the credential
};

enum class Sent {
  queued,  // it leaves at the end of this turn of the loop, or as soon as the peer has made room
  slow,    // the peer lags: it waits, and has displaced what the policy says; or it was itself displaced
  closed,  // not sent: the connection is closing or gone, or the policy closes it now
};

class Socket : public std::enable_shared_from_this<Socket> {
 public:
  struct Counters {
    std::uint64_t dropped = 0;    // messages that a slow reader never got
    std::uint64_t conflated = 0;  // of them, those replaced by a newer one of their key: not counted as dropped
  };

  ~Socket();
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  [[nodiscard]] const ConnectionContext& context() const noexcept { return *context_; }
  [[nodiscard]] const std::string& id() const noexcept { return context_->id; }

  Sent send(const OutboundMessage& message) { return send(message, rules_.slow_consumer); }
  // With a policy of the message's own, where the peer lags.
  Sent send(const OutboundMessage& message, SlowConsumer policy);
  // All of them, whatever the policy, in one go; or none: false when the peer lags, or they exceed max_outbound.
  [[nodiscard]] bool send_all(const std::vector<OutboundMessage>& messages);
  Sent send(std::string utf8) { return send(OutboundMessage::text(std::move(utf8))); }
  // As WebSocketConnection::read(). Not for sockets whose manager reads; it leaves those alone that on_open begins to
  // read.
  [[nodiscard]] awaitable<result<net::Message>> read() {
    is_read_ = true;
    return connection_->read();
  }
  // As WebSocketConnection::close(); what waits for a slow reader is dropped.
  [[nodiscard]] awaitable<void> close(int code = 1000, std::string reason = {});
  void abort() { connection_->abort(); }

  // A newer credential of the same user: its claims and its expiry replace those known. Errors: unauthorized, forbidden
  // (another user's), or what kept it from being verified; the connection goes on as before then.
  [[nodiscard]] awaitable<result<void>> renew(std::string token);

  [[nodiscard]] bool is_open() const noexcept { return connection_->is_open(); }
  [[nodiscard]] bool is_slow() const noexcept { return waiting_ != nullptr; }
  [[nodiscard]] Counters counters() const noexcept { return counters_; }
  // The latest ping's; zero before the first pong.
  [[nodiscard]] Duration round_trip() const noexcept { return connection_->round_trip(); }
  [[nodiscard]] Executor executor() const { return connection_->executor(); }
  // For senders with a pace of their own (prepared frames): not to be mixed with send().
  [[nodiscard]] const std::shared_ptr<net::WebSocketConnection>& connection() const noexcept { return connection_; }

 private:
  friend class WebSocketManager;
  struct Rules {
    SlowConsumer slow_consumer;
    std::size_t max_outbound;  // bytes
    std::size_t max_waiting;   // bytes
    std::size_t compression_threshold;
  };
  struct Expiry;

  Socket(std::shared_ptr<net::WebSocketConnection> connection, std::shared_ptr<ConnectionContext> context, Rules rules);
  // Closes with kCredentialExpired when context().expires is reached.
  void watch_expiry(Clock& clock, std::shared_ptr<Authenticator> authenticator);
  void schedule_expiry();
  [[nodiscard]] net::SendStatus put(const OutboundMessage& message);
  void begin_to_wait();
  static awaitable<void> close(std::shared_ptr<Socket> self, int code, std::string reason);
  static awaitable<result<void>> renew(std::shared_ptr<Socket> self, std::string token);
  void drain();
  void start_close(int code, std::string reason);

  std::shared_ptr<net::WebSocketConnection> connection_;
  std::shared_ptr<ConnectionContext> context_;
  const Rules rules_;
  Counters counters_;
  bool is_read_ = false;                      // somebody has called read()
  std::unique_ptr<WaitingMessages> waiting_;  // null: the peer keeps up
  std::unique_ptr<Expiry> expiry_;            // null: the credential does not expire
};

}  // namespace fresnel::websocket

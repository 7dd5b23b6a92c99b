// One WebSocket as its server sees it (RFC 6455): reading, heartbeats and close are Beast's, every message out goes
// through an OutboundQueue.
//
//   auto accepted = co_await WebSocketConnection::accept(exchange.take_socket(), exchange.request(), clock, options);
//   if (!accepted) co_return;                       // refused; the response has been written
//   std::shared_ptr<WebSocketConnection> socket = *accepted;
//   while (auto message = co_await socket->read()) {
//     if (socket->send(prefix, body) == SendStatus::above_high_water) ...   // stop, on_drained says when to go on
//   }
//
// send() never waits and never writes: what one turn of the loop sends to one connection leaves in one system call at
// the end of that turn. All messages sent before close() reach a peer that reads them before close's time limit.
//
// Keep a read() pending: pongs, Close frames and a lost connection are noticed by it, and without it a peer that
// answers every ping is taken for dead after the heartbeat timeout.
// A peer is alive while bytes of it arrive, or while what waits for it drains, as far as TCP shows: its window opens in
// steps, of up to a sixteenth of its receive buffer.
//
// Thread safety: one thread, that of the socket's executor (whose context is run by that thread alone). The clock must
// outlive the connection's coroutines, which end in the turn of the loop after the connection. Callbacks run
// there too, never inside a call to this class except the destructor and abort() (on_closed only).
// Destroying the last owner aborts the connection and ends a pending read().
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "fresnel/base/asio.hpp"
#include "fresnel/base/clock.hpp"
#include "fresnel/base/error.hpp"
#include "fresnel/base/shared_bytes.hpp"
#include "fresnel/net/http_server.hpp"
#include "fresnel/net/message_stream.hpp"
#include "fresnel/net/send_status.hpp"

namespace fresnel::net {

struct WebSocketConnectionOptions {
  std::size_t max_message = 64u << 10;   // bytes inbound; beyond: close code 1009
  std::size_t high_water = 1u << 20;     // bytes outbound from which on send() says above_high_water
  std::size_t low_water = 256u << 10;    // bytes outbound at which on_drained is called after that
  std::size_t max_outbound = 64u << 20;  // bytes outbound; a message that would exceed them is not queued
  Duration handshake_timeout = seconds(10);
  Duration close_timeout = seconds(10);       // for the backlog to drain and the peer to answer a Close
  Duration heartbeat_interval = seconds(30);  // silence after which a ping is sent; zero: no heartbeat
  Duration heartbeat_timeout = seconds(60);   // no sign of life for so long ends it; not above interval: twice that
  bool deflate = false;                       // grant permessage-deflate (RFC 7692) to clients that offer it
  std::string protocol;                       // the subprotocol selected for the response; empty: none
  std::string server = "fresnel";             // the response's Server header
};

class WebSocketConnection {
 public:
  // Since the handshake.
  struct Counters {
    std::uint64_t messages_in = 0;
    std::uint64_t messages_out = 0;  // queued
    std::uint64_t bytes_out = 0;     // taken by the kernel, frame headers and control frames included
    std::uint64_t writes = 0;        // system calls that took bytes
  };

  // Answers the handshake of `request` on its socket. On an error the response (400, or 426 for another version than
  // 13) has been written and the socket is closed. Errors: protocol (bad handshake, with the status), timeout, closed.
  [[nodiscard]] static awaitable<result<std::shared_ptr<WebSocketConnection>>> accept(
      UpgradedSocket socket, const ServerRequest& request, Clock& clock, WebSocketConnectionOptions options = {});

  ~WebSocketConnection();
  WebSocketConnection(const WebSocketConnection&) = delete;
  WebSocketConnection& operator=(const WebSocketConnection&) = delete;

  // The next message; text is valid UTF-8. One read at a time. Every error is the end of the connection:
  //   closed     the peer closed (Error::status is its close code; 1005: none given, 1006: no Close at all), or we did
  //   too_large  a message beyond max_message, answered by 1009 (status)
  //   protocol   invalid UTF-8 (1007) or framing (1002), answered by that code (status)
  //   timeout    no sign of life within heartbeat_timeout (status 1006)
  [[nodiscard]] awaitable<result<Message>> read();

  // Queues one text message whose payload is `prefix` followed by `body`; both together must be valid UTF-8. `body` is
  // shared, not copied, unless it is tiny.
  [[nodiscard]] SendStatus send(std::string_view prefix, const SharedBytes& body);
  [[nodiscard]] SendStatus send(std::string text);
  // The same with both parts as deflate blocks (net/deflate.hpp); only when deflates().
  [[nodiscard]] SendStatus send_deflated(std::string_view prefix, const SharedBytes& body);
  [[nodiscard]] SendStatus send_binary(std::string_view prefix, const SharedBytes& body);
  [[nodiscard]] SendStatus send_binary(std::string bytes);
  [[nodiscard]] SendStatus send_binary_deflated(std::string_view prefix, const SharedBytes& body);

  // Bytes queued that the kernel has not taken yet, frame headers included.
  [[nodiscard]] std::size_t outbound_bytes() const noexcept;
  // Called each time the queue has drained to the low-water mark after send() said above_high_water. One callback:
  // the next one set replaces it; an empty one removes it.
  void on_drained(std::function<void()> callback);
  // Called once, when the connection is over: closed, failed, aborted or destroyed; at once when it is already. Every
  // callback set is called.
  void on_closed(std::function<void()> callback);

  // Refuses further messages at once, delivers those queued, then Close (RFC 6455 section 7.1.2), and waits for the
  // peer's; within close_timeout, after which the connection is dropped. `reason` is cut at 123 bytes. A pending
  // read() ends with closed. Later calls wait for the first one's end.
  [[nodiscard]] awaitable<void> close(int code, std::string reason);
  // Drops the connection at once, without a Close frame.
  void abort();
  // Why it is over, as read() tells it; null before.
  [[nodiscard]] const Error* end() const noexcept;
  // Accepts messages: neither closing nor over.
  [[nodiscard]] bool is_open() const noexcept;

  [[nodiscard]] const std::string& peer() const noexcept;      // address:port
  [[nodiscard]] const std::string& protocol() const noexcept;  // the selected subprotocol, empty when none
  [[nodiscard]] bool deflates() const noexcept;                // permessage-deflate has been negotiated
  [[nodiscard]] Counters counters() const noexcept;
  // The latest ping's round trip, its wait behind bytes already in the kernel included; zero before the first pong.
  [[nodiscard]] Duration round_trip() const noexcept;
  [[nodiscard]] Executor executor() const;

 private:
  class Impl;
  explicit WebSocketConnection(std::shared_ptr<Impl> impl);

  std::shared_ptr<Impl> impl_;
};

}  // namespace fresnel::net

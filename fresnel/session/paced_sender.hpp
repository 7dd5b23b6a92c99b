// Sends to one WebSocket as fast as its peer reads: what the connection's queue has no room for waits here, in order,
// as references to shared bytes.
//
// A client that lets more than the bound pile up is closed with 1013 (try again later): it resumes from its last
// resourceVersion when it returns, so that nothing is lost to it and nobody else waits for it.
//
// Thread safety: the connection's thread.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "fresnel/base/shared_bytes.hpp"
#include "fresnel/net/websocket_connection.hpp"
#include "fresnel/session/session_services.hpp"

namespace fresnel::session {

class PacedSender : public std::enable_shared_from_this<PacedSender> {
 public:
  // What goes in front of a shared body. `wanted` turned false drops what still waits.
  struct Prefix {
    std::string bytes;
    bool wanted = true;
  };

  PacedSender(std::shared_ptr<net::WebSocketConnection> connection, SessionMetrics& metrics, std::size_t max_backlog);

  // Must be called once, when the sender is owned by a shared_ptr.
  void start();
  void send(const std::shared_ptr<const Prefix>& prefix, const SharedBytes& body);
  void send(std::string text) { send(nullptr, SharedBytes(std::move(text))); }
  [[nodiscard]] std::size_t backlog() const noexcept { return backlog_.size(); }

 private:
  struct Entry {
    std::shared_ptr<const Prefix> prefix;
    SharedBytes body;
  };

  [[nodiscard]] net::SendStatus put(const Entry& entry);
  void drain();
  void give_up();
  static awaitable<void> close_slow(std::shared_ptr<net::WebSocketConnection> connection);

  std::shared_ptr<net::WebSocketConnection> connection_;
  SessionMetrics& metrics_;
  const std::size_t max_backlog_;
  std::deque<Entry> backlog_;
  bool paused_ = false;
  bool over_ = false;
};

}  // namespace fresnel::session

// Sends to one WebSocket as fast as its peer reads. While the connection's queue has no room, those who have more to
// send wait for their turn; nothing is buffered here but the connection's own answers.
//
// Bounds: a client that lets more than max_answers pile up is closed with 1013 (try again later); each who waits has
// one turn in the round.
//
// Thread safety: the connection's thread.
#pragma once

#include <list>
#include <memory>
#include <string>
#include <string_view>

#include "fresnel/base/shared_bytes.hpp"
#include "fresnel/net/websocket_connection.hpp"
#include "fresnel/session/session_services.hpp"

namespace fresnel::session {

class EventSender;

class PacedSender : public std::enable_shared_from_this<PacedSender> {
 public:
  PacedSender(std::shared_ptr<net::WebSocketConnection> connection, SessionMetrics& metrics, std::size_t max_answers);

  // Must be called once, when the sender is owned by a shared_ptr.
  void start();

  [[nodiscard]] bool has_room() const noexcept { return !paused_; }
  // A message; only while there is room. One that is larger than the queue may ever hold ends the connection (1009).
  void put(std::string_view prefix, const SharedBytes& body) { put(connection_->send(prefix, body)); }
  // The same with deflate blocks; only when the connection deflates().
  void put_deflated(std::string_view prefix, const SharedBytes& body) { put(connection_->send_deflated(prefix, body)); }
  [[nodiscard]] bool deflates() const noexcept { return connection_->deflates(); }
  // `sender` gets its turns when there is room again, in a round with the others, until it has no more.
  void wait(EventSender& sender) { waiting_.push_back(&sender); }
  void forget(EventSender& sender) { waiting_.remove(&sender); }

  // The connection's own answers, ahead of those who wait for their turn.
  void answer(std::string text);
  [[nodiscard]] std::size_t waiting_answers() const noexcept { return answers_.size(); }

 private:
  void put(net::SendStatus status);
  void drain();
  void give_up(int code, std::string reason);

  std::shared_ptr<net::WebSocketConnection> connection_;
  SessionMetrics& metrics_;
  const std::size_t max_answers_;
  std::list<SharedBytes> answers_;  // lists: an empty one has no memory of its own
  std::list<EventSender*> waiting_;
  bool paused_ = false;
  bool over_ = false;
};

}  // namespace fresnel::session

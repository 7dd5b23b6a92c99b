// The way of one subscription's events to its client: straight into the connection's queue while that has room.
// While it has none the subscription is *lagging*: what comes is conflated (hub::PendingEvents) and leaves, each
// object's newest state in stream order, when the client has read on. A lagging subscription holds up nobody.
//
// Thread safety: the connection's thread. Destroying it drops what waits.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "fresnel/hub/pending_events.hpp"
#include "fresnel/session/paced_sender.hpp"
#include "fresnel/session/session_services.hpp"

namespace fresnel::session {

class EventSender : public std::enable_shared_from_this<EventSender> {
 public:
  // With a prefix: multiplexer messages. Without: the events as kube-apiserver sends them.
  EventSender(std::shared_ptr<PacedSender> pacer, std::string_view prefix, SessionMetrics& metrics);
  ~EventSender();
  EventSender(const EventSender&) = delete;
  EventSender& operator=(const EventSender&) = delete;

  void send(std::span<const hub::EventPtr> events);
  // A text in its place among the events; of those of one kind that wait, the newest is sent.
  void send(hub::PendingEvents::Mark mark, std::string text);
  // Called once, when nothing waits any more; at once when that is so already.
  void when_sent(std::function<void()> callback);

  [[nodiscard]] bool lagging() const noexcept { return lagging_; }
  [[nodiscard]] std::size_t pending() const noexcept { return pending_.size(); }

 private:
  void put(const hub::PublishedEvent& event);
  void put_next();
  [[nodiscard]] bool take_turn();
  void lag();
  void caught_up();

  std::shared_ptr<PacedSender> pacer_;
  const bool escaped_;  // multiplexer messages
  const bool deflates_;
  const std::string prefix_;  // a stored deflate block when deflates_
  SessionMetrics& metrics_;
  bool lagging_ = false;
  hub::PendingEvents pending_;
  std::array<std::string, 2> texts_;  // of the marks that wait
  std::function<void()> when_sent_;
};

}  // namespace fresnel::session

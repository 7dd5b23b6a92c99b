// The way of one subscription's events to its client: straight into the connection's queue while that has room.
// While it has none the subscription is *lagging*: what comes is conflated (hub::PendingEvents) and leaves, each
// object's newest state in stream order, when the client has read on. A lagging subscription holds up nobody.
//
// Memory: there are very many of these and few of them lag, so that what lagging needs is made when it begins.
//
// Thread safety: the connection's thread. Destroying it drops what waits.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "fresnel/hub/pending_events.hpp"
#include "fresnel/session/paced_sender.hpp"
#include "fresnel/session/session_services.hpp"

namespace fresnel::session {

class EventSender {
 public:
  // With a prefix: multiplexer messages. Without: the events as kube-apiserver sends them.
  EventSender(std::shared_ptr<PacedSender> pacer, std::string_view prefix, SessionMetrics& metrics);
  ~EventSender();
  EventSender(const EventSender&) = delete;
  EventSender& operator=(const EventSender&) = delete;

  void send(std::span<const hub::EventPtr> events);
  // A text in its place among the events, empty: none is sent; of those of one kind that wait, the newest is. Each kind
  // of subscription says when its initial data is complete.
  void send(hub::PendingEvents::Mark mark, std::string text);
  // Called once, when nothing waits any more; at once when that is so already.
  void when_sent(std::function<void()> callback);

  [[nodiscard]] std::string_view prefix() const noexcept;
  [[nodiscard]] bool lagging() const noexcept { return lag_ != nullptr; }

  // For PacedSender: sends some, while there is room; false when nothing waits any more.
  [[nodiscard]] bool take_turn();

 private:
  struct Lag {
    hub::PendingEvents pending;
    std::array<std::string, 2> texts;  // of the marks that wait
    std::function<void()> when_sent;
  };

  void put(const hub::PublishedEvent& event);
  void put_next();
  void put(hub::PendingEvents::Mark mark, std::string text);
  Lag& lag();
  void caught_up();

  std::shared_ptr<PacedSender> pacer_;
  SessionMetrics& metrics_;
  std::string prefix_;  // a stored deflate block when deflates_
  std::unique_ptr<Lag> lag_;
  bool escaped_;  // multiplexer messages
  bool deflates_;
  bool initial_ = true;  // COMPLETE has not been told yet, or again after a 410
};

}  // namespace fresnel::session

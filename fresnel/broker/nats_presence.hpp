// Who is in which channel, across gateways: each holds those of its own nodes and answers for them when asked. Which
// gateways there are is known from their heartbeats; one is gone with its goodbye, or after three that did not come.
//
// Thread safety: one executor, that of the connection.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "fresnel/broker/nats_connection.hpp"
#include "fresnel/broker/nats_wire.hpp"

namespace fresnel::broker {

struct NatsPresenceOptions {
  Duration timeout = seconds(1);         // for all gateways to answer; then what is known is the answer
  Duration alive_interval = seconds(2);  // between heartbeats
};

class NatsPresence : public std::enable_shared_from_this<NatsPresence> {
 public:
  using NodeId = std::uint64_t;

  NatsPresence(const Executor& home, Clock& clock, std::shared_ptr<NatsConnection> nats, std::string prefix,
               NatsPresenceOptions options);

  void start();
  void stop() {
    beat_.cancel();
    for (const auto& question : questions_) {
      question->missing.clear();
      question->timer.cancel();
    }
  }
  void on_status(bool connected);
  void add(NodeId node, const std::string& channel, Presence presence);
  void remove(const std::string& channel, const std::string& connection_id);
  void leave(NodeId node);
  // Errors: closed.
  [[nodiscard]] awaitable<result<std::vector<Presence>>> ask(std::string channel) {
    return ask(shared_from_this(), std::move(channel));
  }
  // Other gateways that are there.
  [[nodiscard]] std::size_t others() const noexcept { return others_.size(); }
  [[nodiscard]] NatsOutgoing goodbye() const { return heartbeat(false, true); }

 private:
  struct There {
    Presence presence;
    NodeId node;
  };
  struct Question {
    Question(const Executor& home, Clock& clock) : timer(home, clock) {}
    std::set<std::string> missing;
    std::vector<Presence> present;
    Timer timer;
    bool is_open = false;  // it may be that not all gateways are known yet
    void waits_no_more_for(const std::string& gateway) {
      missing.erase(gateway);
      if (missing.empty() && !is_open) timer.cancel();
    }
  };

  static awaitable<result<std::vector<Presence>>> ask(std::shared_ptr<NatsPresence> self, std::string channel);
  void answer(const NatsMessage& question);
  void on_alive(const NatsMessage& message);
  void beat();
  void forget(const std::string& gateway);
  [[nodiscard]] NatsOutgoing heartbeat(bool is_new, bool is_last) const;
  [[nodiscard]] std::vector<Presence> here(const std::string& channel) const;

  Executor home_;
  Clock& clock_;
  std::shared_ptr<NatsConnection> nats_;
  const std::string prefix_;
  const NatsPresenceOptions options_;
  const std::string id_ = random_id();
  std::map<std::string, std::map<std::string, There>> channels_;  // by connection
  std::map<std::string, TimePoint> others_;                       // gateways, and when each was heard last
  std::set<std::shared_ptr<Question>> questions_;
  TimePoint connected_at_;
  TimePoint next_beat_;
  Timer beat_;
};

}  // namespace fresnel::broker

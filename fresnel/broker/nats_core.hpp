// NatsBroker's state. All of it belongs to the home executor, but for the constructor, next_node() and stop().
//
// A channel that nodes here have subscribed to has one subscription at the server, and, if it keeps a history, a log of
// it (nats_log.hpp). A log that may lack something is `behind`: what comes waits until sync() has read from the stream
// what is missing.
#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "fresnel/broker/nats_broker.hpp"
#include "fresnel/broker/nats_connection.hpp"
#include "fresnel/broker/nats_log.hpp"
#include "fresnel/broker/nats_presence.hpp"
#include "fresnel/broker/nats_streams.hpp"

namespace fresnel::broker {

class NatsCore : public std::enable_shared_from_this<NatsCore> {
 public:
  using NodeId = std::uint64_t;

  NatsCore(const Executor& home, Clock& clock, NatsBrokerOptions options);

  [[nodiscard]] const Executor& home() const noexcept { return home_; }
  [[nodiscard]] NodeId next_node() noexcept { return nodes_made_.fetch_add(1, std::memory_order_relaxed); }
  void start();
  void stop();

  void join(NodeId id, const Executor& executor, const std::weak_ptr<Handlers>& handlers);
  void leave(NodeId id);
  void subscribe(NodeId id, const std::string& channel, HistoryLimits limits);
  void unsubscribe(NodeId id, const std::string& channel);
  [[nodiscard]] NatsPresence& presence() noexcept { return *presence_; }
  [[nodiscard]] std::uint64_t stream_requests() const noexcept { return streams_->requests(); }

  static awaitable<result<Published>> publish(std::shared_ptr<NatsCore> self, std::string channel,
                                              Publication publication, HistoryLimits limits);
  static awaitable<result<History>> history(std::shared_ptr<NatsCore> self, std::string channel,
                                            std::optional<Position> since, HistoryLimits limits);
  static awaitable<result<std::vector<Presence>>> who(std::shared_ptr<NatsCore> self, std::string channel);
  static awaitable<result<Delivery>> control(std::shared_ptr<NatsCore> self, Control control);

 private:
  struct Member {
    Executor executor;
    std::weak_ptr<Handlers> handlers;
  };
  // What becomes of a publication of this process at its own nodes.
  struct Echo {
    Echo(const Executor& home, Clock& clock) : all(home, clock) {}
    [[nodiscard]] bool is_over() const noexcept { return gone || (arrived && missing == 0); }
    bool is_kept = false;  // in a history: it arrives, if later
    bool arrived = false;
    bool gone = false;  // it will not arrive
    std::uint64_t sequence = 0;
    std::size_t missing = 0;  // nodes that have not said yet what they did with it
    Delivery sum;
    Timer all;
  };
  using EchoPtr = std::shared_ptr<Echo>;
  struct Channel {
    explicit Channel(std::string called) : name(std::move(called)) {}
    const std::string name;
    std::set<NodeId> nodes;
    NatsConnection::SubscriptionId subscription = 0;
    std::map<std::string, EchoPtr> echoes;  // by publication
    std::unique_ptr<NatsLog> log;           // null: no history
    std::string stream;
    bool behind = true;
    bool reordered = false;  // behind only as long as a message that was overtaken is missing
    bool syncing = false;    // or about to
    bool again = false;
    TimePoint complete_at;  // while behind: when it surely was not
    TimePoint synced_at;
    std::deque<nats_wire::Received> waiting;
    std::size_t waiting_bytes = 0;
    std::optional<Error> failure;  // of the last attempt to read the stream
    std::unique_ptr<Timer> retry;
    std::unique_ptr<Timer> held;  // until then what waits may yet be overtaken by what was published before it
    std::set<std::shared_ptr<Timer>> asked;  // who waits for the log
  };
  using ChannelPtr = std::shared_ptr<Channel>;
  // While it lives, a publication counts and its echo is looked for.
  class Publishing;

  // nats_core.cpp
  void on_status(bool connected);
  void on_lost(NatsConnection::SubscriptionId id);
  void tell_status(bool connected);
  void tell_if_back();
  void drop(const ChannelPtr& channel);
  void give_up_echoes();
  void hand_out(const std::vector<NodeId>& nodes, const EchoPtr& echo,
                const std::function<Delivery(const Handlers&)>& call);
  void deliver(Channel& channel, const PublicationPtr& publication, const std::string& id);
  void receive_control(const nats_wire::ReceivedControl& received);
  [[nodiscard]] ChannelPtr find(const std::string& name) const;
  [[nodiscard]] Error away() const;

  // nats_sync.cpp
  void receive(const std::string& name, nats_wire::Received received);
  void take(const ChannelPtr& channel, nats_wire::Received received);
  [[nodiscard]] bool is_held(const Channel& channel, const nats_wire::Received& received) const;
  void hold(const ChannelPtr& channel, nats_wire::Received received);
  void release(const ChannelPtr& channel);
  void settle_order(Channel& channel);
  void keep_waiting(const ChannelPtr& channel, nats_wire::Received received);
  void fall_behind(Channel& channel, TimePoint since);
  void start_sync(const ChannelPtr& channel);
  void run_syncs();
  static awaitable<void> sync(std::shared_ptr<NatsCore> self, ChannelPtr channel);
  static awaitable<result<void>> sync_once(std::shared_ptr<NatsCore> self, ChannelPtr channel);
  void catch_up(Channel& channel, const nats_wire::StreamInfo& info, nats_wire::Stored stored);
  void deliver_first(Channel& channel);
  void tell_gap(const Channel& channel, const Position& position);
  // What waits, as far as nothing is missing before it.
  void take_waiting(Channel& channel);
  void sync_in(Duration wait, const ChannelPtr& channel);
  void check_in(Duration wait, const ChannelPtr& channel);
  void bound_log(Channel& channel, std::size_t before);
  static awaitable<result<void>> log_ready(std::shared_ptr<NatsCore> self, ChannelPtr channel);

  // nats_publish.cpp
  static awaitable<result<void>> connection(std::shared_ptr<NatsCore> self, TimePoint deadline);
  static awaitable<result<Position>> store(std::shared_ptr<NatsCore> self, NatsOutgoing message, HistoryLimits limits,
                                           EchoPtr echo, TimePoint deadline);
  static awaitable<result<void>> send(std::shared_ptr<NatsCore> self, NatsOutgoing message, TimePoint deadline);
  [[nodiscard]] std::string send_behind(const EchoPtr& echo);
  static awaitable<result<Delivery>> echoed(std::shared_ptr<NatsCore> self, ChannelPtr channel, EchoPtr echo,
                                            TimePoint deadline);
  [[nodiscard]] bool may_retry(const Error& error) const;

  Executor home_;
  Clock& clock_;
  const NatsBrokerOptions options_;
  std::shared_ptr<NatsConnection> nats_;
  std::shared_ptr<NatsStreams> streams_;
  std::shared_ptr<NatsPresence> presence_;
  const std::string id_ = random_id();
  std::atomic<NodeId> nodes_made_{1};
  std::map<NodeId, Member> nodes_;
  std::unordered_map<std::string, ChannelPtr> channels_;
  std::unordered_map<NatsConnection::SubscriptionId, std::string> by_subscription_;
  std::map<std::string, EchoPtr> control_echoes_;
  std::set<std::shared_ptr<Timer>> want_connection_;
  std::deque<ChannelPtr> to_sync_;
  std::set<ChannelPtr> returning_;  // their gaps since the connection was lost are not closed yet
  std::size_t syncing_ = 0;
  std::size_t log_bytes_ = 0;
  std::size_t publishing_ = 0;
  std::uint64_t publications_ = 0;
  bool told_connected_ = false;
  bool stopped_ = false;
};

}  // namespace fresnel::broker

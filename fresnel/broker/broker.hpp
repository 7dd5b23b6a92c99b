// What makes one installation of many threads and gateways: what is published on one node reaches the sockets of all.
//
//   Broker             one for a process; a Node for each thread that has sockets
//   Node::publish()    -> every node that has subscribed to the channel, the publisher's own included
//
// Delivery. To a node that is connected and subscribed, each publication of a channel is delivered once, and those of
// one channel in the same order at all nodes. A publication that was not confirmed (publish() gave an error) may have
// been delivered all the same. What is published while a broker on the network cannot be reached is delivered when it
// is back, for channels with a history; as far as that reaches, else on_gap says so. Other channels lose it.
//
// History. A channel that keeps one gives each publication an offset that is larger than those before. The epoch names
// the history: when it is lost (a restart without a disk, a purge), offsets begin anew under another epoch.
//
// Thread safety: a Node belongs to the thread of its executor, where its handlers are called. The broker's other
// members may be called from any thread. Nodes must not outlive their broker, nor may the execution contexts of its
// nodes be destroyed before it and what it still has to do.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fresnel/base/asio.hpp"
#include "fresnel/base/clock.hpp"
#include "fresnel/base/error.hpp"
#include "fresnel/net/outbound_message.hpp"

namespace fresnel::broker {

// Of a channel's history.
struct Position {
  std::string epoch;
  std::uint64_t offset = 0;  // the latest publication's; 0: there has been none

  friend bool operator==(const Position&, const Position&) = default;
};

// Which of a channel's subscribers a publication is for. By value, so that it means the same on every node.
struct Selection {
  std::vector<std::string> user_ids;              // one of these; empty: any
  std::map<std::string, std::string> attributes;  // all of these
  std::string exclude_connection_id;              // never this one; empty: nobody

  [[nodiscard]] bool is_empty() const noexcept {
    return user_ids.empty() && attributes.empty() && exclude_connection_id.empty();
  }
  friend bool operator==(const Selection&, const Selection&) = default;
};

struct Publication {
  net::OutboundMessage message;
  Selection selection;
  std::uint64_t offset = 0;  // 0: not kept in a history
  std::string epoch;
};
using PublicationPtr = std::shared_ptr<const Publication>;

// What the sockets of this process were given.
struct Delivery {
  std::size_t queued = 0;
  std::size_t skipped = 0;  // not selected, or closing
  std::size_t slow = 0;     // of those queued: the peer lags

  Delivery& operator+=(const Delivery& other) noexcept {
    queued += other.queued;
    skipped += other.skipped;
    slow += other.slow;
    return *this;
  }
  friend bool operator==(const Delivery&, const Delivery&) = default;
};

struct Published {
  Position position;  // without a history: empty
  Delivery delivery;
};

// How much of a channel's past is kept.
struct HistoryLimits {
  std::size_t size = 0;  // publications; 0: no history
  Duration lifetime = std::chrono::minutes(5);

  friend bool operator==(const HistoryLimits&, const HistoryLimits&) = default;
};

// What was published after a position.
struct History {
  Position position;  // now
  std::vector<PublicationPtr> publications;
  bool recovered = false;  // publications are all since the position asked for
};

// Somebody who is there.
struct Presence {
  std::string connection_id;
  std::string user_id;

  friend bool operator==(const Presence&, const Presence&) = default;
};

// To all nodes, whatever they have subscribed to.
struct Control {
  enum class Kind { close_user, broadcast };
  Kind kind = Kind::broadcast;
  std::string user_id;                          // close_user
  int code = 0;                                 // close_user
  std::string reason;                           // close_user
  std::optional<net::OutboundMessage> message;  // broadcast: to every socket that is selected
  Selection selection;                          // broadcast
};

class Node {
 public:
  virtual ~Node() = default;

  // `limits` are those of the channel; all nodes name the same.
  virtual void subscribe(const std::string& channel, HistoryLimits limits) = 0;
  virtual void unsubscribe(const std::string& channel) = 0;
  // Completes when the message has been handed to all of this process's nodes; those of others have it soon after.
  // Errors: closed (the broker is away), timeout, throttled (too much is under way).
  [[nodiscard]] virtual awaitable<result<Published>> publish(std::string channel, Publication publication,
                                                             HistoryLimits limits) = 0;
  // `since` of another epoch, or older than the history: the whole history, not recovered.
  [[nodiscard]] virtual awaitable<result<History>> history(std::string channel, std::optional<Position> since,
                                                           HistoryLimits limits) = 0;
  virtual void add_presence(const std::string& channel, Presence presence) = 0;
  virtual void remove_presence(const std::string& channel, const std::string& connection_id) = 0;
  [[nodiscard]] virtual awaitable<result<std::vector<Presence>>> presence(std::string channel) = 0;
  // As publish(); what comes of it at this process's sockets.
  [[nodiscard]] virtual awaitable<result<Delivery>> control(Control control) = 0;
};

struct Handlers {
  std::function<Delivery(const std::string& channel, const PublicationPtr&)> on_publication;
  std::function<Delivery(const Control&)> on_control;
  // A broker on the network is away, or has come back: then what was missed has been delivered, or told as a gap. A
  // node that joins while it is away is told so. Null: not told.
  std::function<void(bool connected)> on_status;
  // Publications up to `position` are lost to this channel's subscribers. Null: not told.
  std::function<void(const std::string& channel, const Position& position)> on_gap;
};

class Broker {
 public:
  virtual ~Broker() = default;
  [[nodiscard]] virtual std::unique_ptr<Node> join(const Executor& executor, Handlers handlers) = 0;
};

}  // namespace fresnel::broker

// JetStream's part of NatsBroker: the stream of each kind of history, its state and what it has of a channel.
//
// Errors: those of NatsConnection::request(), and JetStream's own (nats_wire::parse_answer).
//
// Thread safety: one executor, that of the connection.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "fresnel/broker/nats_connection.hpp"
#include "fresnel/broker/nats_wire.hpp"

namespace fresnel::broker {

class NatsStreams : public std::enable_shared_from_this<NatsStreams> {
 public:
  NatsStreams(const Executor& home, Clock& clock, std::shared_ptr<NatsConnection> nats, std::string prefix,
              nats_wire::StreamOptions options, Duration timeout)
      : home_(home),
        clock_(clock),
        nats_(std::move(nats)),
        prefix_(std::move(prefix)),
        options_(options),
        timeout_(timeout) {}

  // Its epoch as it was seen last since forget(); empty: not seen.
  [[nodiscard]] std::string known_epoch(HistoryLimits limits) const;
  // The connection was lost, or the stream is not what it was.
  void forget() { epochs_.clear(); }
  // Made so far.
  [[nodiscard]] std::uint64_t requests() const noexcept { return requests_; }
  // Of the stream as it is now. Makes it when it is not there.
  [[nodiscard]] awaitable<result<nats_wire::StreamInfo>> open(HistoryLimits limits) {
    return open(shared_from_this(), limits);
  }
  // What there is of a channel with a sequence from `first` on, in order and without holes: to `last` at least.
  [[nodiscard]] awaitable<result<nats_wire::Stored>> read(HistoryLimits limits, std::string channel,
                                                          std::uint64_t first, std::uint64_t last) {
    return read(shared_from_this(), limits, std::move(channel), first, last);
  }

 private:
  static awaitable<result<nats_wire::StreamInfo>> open(std::shared_ptr<NatsStreams> self, HistoryLimits limits);
  static awaitable<result<nats_wire::Stored>> read(std::shared_ptr<NatsStreams> self, HistoryLimits limits,
                                                   std::string channel, std::uint64_t first, std::uint64_t last);
  static awaitable<result<std::vector<nats_wire::Received>>> read_once(std::shared_ptr<NatsStreams> self,
                                                                       HistoryLimits limits, std::string subject,
                                                                       std::uint64_t first, std::uint64_t last);
  static awaitable<result<std::optional<nats_wire::Received>>> next(std::shared_ptr<NatsStreams> self,
                                                                    HistoryLimits limits, std::string subject,
                                                                    std::uint64_t from);
  [[nodiscard]] awaitable<result<NatsMessage>> request(std::string_view api, HistoryLimits limits, std::string body);

  Executor home_;
  Clock& clock_;
  std::shared_ptr<NatsConnection> nats_;
  const std::string prefix_;
  const nats_wire::StreamOptions options_;
  const Duration timeout_;
  std::map<std::string, std::string> epochs_;  // by the stream's name
  std::uint64_t requests_ = 0;
};

}  // namespace fresnel::broker

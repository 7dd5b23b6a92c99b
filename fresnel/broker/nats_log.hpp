// A channel's newest publications as one gateway knows them, in the order of their stream: what it has read there, and
// what JetStream has republished since. Tells what is to be delivered, once and in order, and where something is
// missing.
//
//   empty --restart()--> live --take()--> live      what comes extends it
//                        live --take() says gap--> the caller reads what is between, then catch_up()
//
// Invariant: all of the channel's publications after floor() and up to last() are in it.
//
// Thread safety: one owner. No I/O: a table of cases tests it.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "fresnel/broker/nats_wire.hpp"

namespace fresnel::broker {

class NatsLog {
 public:
  enum class Taken {
    next,   // deliver it
    late,   // deliver it: one that was published after it has overtaken it
    known,  // it is in here already
    old,    // from before what is in here, or of another incarnation of the stream
    gap,    // what comes before it is missing
  };
  struct Entry {
    PublicationPtr publication;
    std::string id;
    TimePoint until;
    std::size_t bytes = 0;
  };

  explicit NatsLog(HistoryLimits limits) : limits_(limits) {}

  [[nodiscard]] bool is_empty() const noexcept { return epoch_.empty(); }  // nothing has been read yet
  [[nodiscard]] Position position() const { return {epoch_, last_}; }
  [[nodiscard]] std::uint64_t last() const noexcept { return last_; }
  [[nodiscard]] std::uint64_t floor() const noexcept { return floor_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] const HistoryLimits& limits() const noexcept { return limits_; }

  // Where to read the stream from, to catch up with it.
  [[nodiscard]] std::uint64_t read_from(const nats_wire::StreamInfo& info) const noexcept {
    return is_same(info) ? last_ : 1;
  }
  // The same stream as before, not behind what is known of it.
  [[nodiscard]] bool is_same(const nats_wire::StreamInfo& info) const noexcept {
    return info.epoch == epoch_ && info.last >= last_;
  }

  // Begins anew with all that the stream has of this channel.
  void restart(const nats_wire::StreamInfo& info, nats_wire::Stored stored, TimePoint now, WallTime wall);

  struct CaughtUp {
    std::vector<Entry> fresh;      // to deliver, in order
    std::optional<Position> lost;  // up to here something may be missing; tell that first
  };
  // With what the same stream has from a last() on that may be some time ago. `nothing_aged`: less time has passed
  // since the log was surely complete than publications are kept.
  [[nodiscard]] CaughtUp catch_up(const nats_wire::StreamInfo& info, nats_wire::Stored stored, bool nothing_aged,
                                  TimePoint now, WallTime wall);

  // What has come by subscription. What is to be delivered is taken().
  [[nodiscard]] Taken take(nats_wire::Received& received, TimePoint now);
  [[nodiscard]] std::vector<Entry> entries_from(std::uint64_t sequence) const;
  [[nodiscard]] const Entry& taken() const noexcept { return taken_; }

  // The answer to a subscriber that comes back. nullopt: this log does not reach as far as the stream may.
  [[nodiscard]] std::optional<History> history(const std::optional<Position>& since, std::size_t size, TimePoint now);
  // Forgets the oldest until it takes no more than so many bytes, or one is left.
  void shrink(std::size_t bytes);

 private:
  [[nodiscard]] Entry entry_of(nats_wire::Received&& received, TimePoint until);
  void append(nats_wire::Received&& received, TimePoint until);
  void drop_oldest();
  void trim(TimePoint now);
  [[nodiscard]] TimePoint end_of(const nats_wire::Received& received, TimePoint now, WallTime wall) const;

  HistoryLimits limits_;
  std::string epoch_;
  std::uint64_t last_ = 0;
  std::uint64_t floor_ = 0;
  bool shrunk_ = false;  // the stream may have more
  std::size_t bytes_ = 0;
  std::deque<Entry> entries_;
  Entry taken_;
};

// What a stream has of a channel, as the answer to who asks for it and no log is kept of the channel here.
[[nodiscard]] History history_of(const nats_wire::StreamInfo& info, nats_wire::Stored stored, HistoryLimits limits,
                                 const std::optional<Position>& since, TimePoint now, WallTime wall);

}  // namespace fresnel::broker

#include "fresnel/broker/nats_log.hpp"

#include <algorithm>
#include <utility>

namespace fresnel::broker {

using nats_wire::Received;
using nats_wire::Stored;
using nats_wire::StreamInfo;

TimePoint NatsLog::end_of(const Received& received, TimePoint now, WallTime wall) const {
  if (!received.stored_at) return now + limits_.lifetime;
  // The server's clock and ours may differ; it has kept the message until now.
  const auto age = std::chrono::duration_cast<Duration>(wall - *received.stored_at);
  return now + limits_.lifetime - std::clamp(age, Duration::zero(), limits_.lifetime - limits_.lifetime / 8);
}

NatsLog::Entry NatsLog::entry_of(Received&& received, TimePoint until) {
  received.publication.epoch = epoch_;
  received.publication.offset = received.sequence;
  const auto size = received.publication.message.payload().size() + 256;
  bytes_ += size;
  return {std::make_shared<const Publication>(std::move(received.publication)), std::move(received.id), until, size};
}

void NatsLog::append(Received&& received, TimePoint until) {
  last_ = received.sequence;
  entries_.push_back(entry_of(std::move(received), until));
}

void NatsLog::drop_oldest() {
  floor_ = entries_.front().publication->offset;
  bytes_ -= entries_.front().bytes;
  entries_.pop_front();
}

void NatsLog::trim(TimePoint now) {
  while (!entries_.empty() && (entries_.size() > limits_.size || entries_.front().until <= now)) drop_oldest();
}

void NatsLog::shrink(std::size_t bytes) {
  while (bytes_ > bytes && entries_.size() > 1) {
    drop_oldest();
    shrunk_ = true;
  }
}

void NatsLog::restart(const StreamInfo& info, Stored read, TimePoint now, WallTime wall) {
  auto& stored = read.messages;
  entries_.clear();
  bytes_ = 0;
  shrunk_ = false;
  epoch_ = info.epoch;
  // The stream drops a channel's oldest message for its number only when there are more than a history has; else what
  // is missing is older than the oldest message of the whole stream.
  floor_ = stored.size() > limits_.size ? 0 : info.first - 1;
  if (read.truncated) floor_ = stored.empty() ? info.last : stored.front().sequence - 1;
  last_ = info.last;
  for (auto& received : stored) {
    const auto until = end_of(received, now, wall);
    append(std::move(received), until);
  }
  while (entries_.size() > limits_.size) drop_oldest();
}

NatsLog::CaughtUp NatsLog::catch_up(const StreamInfo& info, Stored read, bool nothing_aged, TimePoint now,
                                    WallTime wall) {
  auto& stored = read.messages;
  CaughtUp caught_up;
  auto begin = stored.begin();
  while (begin != stored.end() && begin->sequence < last_) ++begin;
  const bool has_last = begin != stored.end() && begin->sequence == last_;
  if (has_last) ++begin;
  const auto count = static_cast<std::size_t>(stored.end() - begin);
  // What is kept of a channel has no holes: when the last known is still there, so is all that came after it.
  const bool nothing_dropped = !read.truncated && count <= limits_.size;
  const bool is_complete = has_last || (nothing_dropped && (info.first <= last_ + 1 || nothing_aged));
  if (!is_complete) {
    entries_.clear();
    bytes_ = 0;
    last_ = floor_ = begin == stored.end() ? info.last : begin->sequence - 1;
    caught_up.lost = position();
  }
  for (; begin != stored.end(); ++begin) {
    const auto until = end_of(*begin, now, wall);
    append(std::move(*begin), until);
    caught_up.fresh.push_back(entries_.back());
  }
  trim(now);
  return caught_up;
}

NatsLog::Taken NatsLog::take(Received& received, TimePoint now) {
  if (received.sequence <= last_) {
    const auto found = std::lower_bound(
        entries_.begin(), entries_.end(), received.sequence,
        [](const Entry& entry, std::uint64_t sequence) { return entry.publication->offset < sequence; });
    const bool is_here = found != entries_.end() && found->publication->offset == received.sequence;
    if (is_here) return found->id == received.id ? Taken::known : Taken::old;
    if (received.sequence <= floor_) return Taken::old;
    taken_ = entry_of(std::move(received), now + limits_.lifetime);
    entries_.insert(found, taken_);
    while (entries_.size() > limits_.size) drop_oldest();
    return Taken::late;
  }
  if (received.previous > last_) return Taken::gap;
  trim(now);
  append(std::move(received), now + limits_.lifetime);
  taken_ = entries_.back();
  while (entries_.size() > limits_.size) drop_oldest();
  return Taken::next;
}

std::vector<NatsLog::Entry> NatsLog::entries_from(std::uint64_t sequence) const {
  std::vector<Entry> found;
  for (const auto& entry : entries_) {
    if (entry.publication->offset >= sequence) found.push_back(entry);
  }
  return found;
}

std::optional<History> NatsLog::history(const std::optional<Position>& since, std::size_t size, TimePoint now) {
  trim(now);
  History history;
  history.position = position();
  const bool same_epoch = since && since->epoch == epoch_;
  const auto known = same_epoch ? since->offset : 0;
  const auto skipped = entries_.size() - std::min(entries_.size(), size);
  const auto floor = skipped > 0 ? entries_[skipped - 1].publication->offset : floor_;
  if (shrunk_ && known < floor_ && entries_.size() < size) return std::nullopt;
  for (const auto& entry : entries_) {
    if (entry.publication->offset > std::max(known, floor)) history.publications.push_back(entry.publication);
  }
  history.recovered = same_epoch && known >= floor && known <= last_;
  return history;
}

History history_of(const StreamInfo& info, Stored read, HistoryLimits limits, const std::optional<Position>& since,
                   TimePoint now, WallTime wall) {
  auto& stored = read.messages;
  NatsLog log(limits);
  // The position itself may be there still: then nothing after it is missing.
  const bool has_since =
      since && since->epoch == info.epoch && stored.size() <= limits.size &&
      std::any_of(stored.begin(), stored.end(), [&](const Received& one) { return one.sequence == since->offset; });
  const bool nothing_left = stored.empty();
  for (auto& received : stored) received.stored_at.reset();  // it is there: however our clock differs
  log.restart(info, std::move(read), now, wall);
  auto history = *log.history(since, limits.size, now);
  if (has_since) history.recovered = true;
  // A position from another gateway that had nothing to tell may be ahead of the channel's last message.
  if (since && since->epoch == info.epoch && since->offset <= info.last && since->offset > history.position.offset) {
    history.recovered = since->offset + 1 >= info.first || !nothing_left;
  }
  return history;
}

}  // namespace fresnel::broker

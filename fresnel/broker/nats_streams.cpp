#include "fresnel/broker/nats_streams.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

namespace fresnel::broker {

using nats_wire::Received;
using nats_wire::Stored;
using nats_wire::StreamInfo;

namespace {

constexpr int kMakeAttempts = 5;
constexpr auto kMakeWait = milliseconds(20);
constexpr std::string_view kNotFound = "10059";  // JSStreamNotFoundErr
// Publishers may be faster than their stream is read.
constexpr std::size_t kMaxBeyond = 256;

}  // namespace

std::string NatsStreams::known_epoch(HistoryLimits limits) const {
  const auto found = epochs_.find(nats_wire::stream_name(prefix_, limits));
  return found == epochs_.end() ? std::string() : found->second;
}

awaitable<result<NatsMessage>> NatsStreams::request(std::string_view api, HistoryLimits limits, std::string body) {
  ++requests_;
  NatsOutgoing message;
  message.subject = fmt::format("$JS.API.STREAM.{}.{}", api, nats_wire::stream_name(prefix_, limits));
  message.payload = SharedBytes(std::move(body));
  return nats_->request(std::move(message), timeout_);
}

awaitable<result<StreamInfo>> NatsStreams::open(std::shared_ptr<NatsStreams> self, HistoryLimits limits) {
  const auto name = nats_wire::stream_name(self->prefix_, limits);
  result<StreamInfo> info = Error{Errc::internal, "not asked"};
  for (int attempt = 0; attempt < kMakeAttempts; ++attempt) {
    if (attempt > 0) {
      Timer pause(self->home_, self->clock_);
      auto pausing = pause.wait_for(attempt * kMakeWait);
      (void)co_await std::move(pausing);
    }
    auto asking = self->request("INFO", limits, {});
    const auto known = co_await std::move(asking);
    if (!known) co_return known.error();
    const auto found = nats_wire::parse_stream_info(*known);
    const bool is_missing = !found && found.error().reason == kNotFound;
    // Another gateway may be making it at the same time: then nats-server sees a conflict, and soon has the stream.
    if (!is_missing || attempt + 1 == kMakeAttempts) {
      if (!is_missing) info = found;
      break;
    }
    auto making = self->request("CREATE", limits, nats_wire::stream_config(self->prefix_, limits, self->options_));
    const auto made = co_await std::move(making);
    if (!made) co_return made.error();
    info = nats_wire::parse_stream_info(*made);
    if (info || info.error().status != 400) break;
  }
  if (!info) {
    self->epochs_.erase(name);
    co_return info.error();
  }
  if (!info->republishes) {
    co_return Error{Errc::conflict,
                    fmt::format("the JetStream stream {} was not made by a gateway: it does not republish", name)};
  }
  self->epochs_[name] = info->epoch;
  co_return *info;
}

// The next of a channel from a sequence on; nothing when there is none.
awaitable<result<std::optional<Received>>> NatsStreams::next(std::shared_ptr<NatsStreams> self, HistoryLimits limits,
                                                             std::string subject, std::uint64_t from) {
  auto asking = self->request("MSG.GET", limits, fmt::format(R"({{"seq":{},"next_by_subj":"{}"}})", from, subject));
  const auto answer = co_await std::move(asking);
  if (!answer) co_return answer.error();
  auto stored = nats_wire::parse_stored(*answer);
  if (stored) co_return std::optional<Received>(*std::move(stored));
  if (stored.error().code == Errc::not_found) co_return std::optional<Received>();
  co_return stored.error();
}

// Up to `last`, and where the first is not there any more to the stream's end: who counts what is left must count all.
awaitable<result<std::vector<Received>>> NatsStreams::read_once(std::shared_ptr<NatsStreams> self, HistoryLimits limits,
                                                                std::string subject, std::uint64_t first,
                                                                std::uint64_t last) {
  std::vector<Received> all;
  const auto begin = first;
  while (first <= last || (all.size() < limits.size + kMaxBeyond && (all.empty() || all.front().sequence != begin))) {
    auto asking = next(self, limits, subject, first);
    auto stored = co_await std::move(asking);
    if (!stored) co_return stored.error();
    if (!*stored) break;
    first = (*stored)->sequence + 1;
    all.push_back(*std::move(*stored));
  }
  co_return all;
}

// A message at a time, while the stream goes on: it may drop the oldest, and so what would have been read next. What
// follows a message that is still there afterwards has no holes.
awaitable<result<Stored>> NatsStreams::read(std::shared_ptr<NatsStreams> self, HistoryLimits limits,
                                            std::string channel, std::uint64_t first, std::uint64_t last) {
  const auto subject = nats_wire::history_subject(self->prefix_, limits, channel);
  Stored stored;
  // Nothing is there yet. A stream that another gateway is just making must not be asked: nats-server 2.9.10 ends with
  // a nil pointer then (jsMsgGetRequest, before the stream has its store).
  if (last == 0) co_return stored;
  auto reading = read_once(self, limits, subject, std::max<std::uint64_t>(first, 1), last);
  auto all = co_await std::move(reading);
  if (!all) co_return all.error();
  stored.messages = *std::move(all);
  if (stored.messages.size() < 2) co_return stored;
  const auto begin = stored.messages.front().sequence;
  auto asking = next(self, limits, subject, begin);
  const auto oldest = co_await std::move(asking);
  if (!oldest) co_return oldest.error();
  if (*oldest && (*oldest)->sequence == begin) co_return stored;
  stored.truncated = true;
  std::erase_if(stored.messages, [&](const Received& one) { return !*oldest || one.sequence < (*oldest)->sequence; });
  co_return stored;
}

}  // namespace fresnel::broker

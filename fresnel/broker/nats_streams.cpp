#include "fresnel/broker/nats_streams.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace fresnel::broker {

using nats_wire::Received;
using nats_wire::StreamInfo;

namespace {

constexpr std::string_view kNotFound = "10059";  // JSStreamNotFoundErr

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
  auto asking = self->request("INFO", limits, {});
  const auto known = co_await std::move(asking);
  if (!known) co_return known.error();
  auto info = nats_wire::parse_stream_info(*known);
  if (!info && info.error().reason == kNotFound) {
    auto making = self->request("CREATE", limits, nats_wire::stream_config(self->prefix_, limits, self->options_));
    const auto made = co_await std::move(making);
    if (!made) co_return made.error();
    info = nats_wire::parse_stream_info(*made);
    if (!info) {  // another gateway may have made it at the same time: then nats-server sees a conflict
      auto again = self->request("INFO", limits, {});
      const auto theirs = co_await std::move(again);
      if (!theirs) co_return theirs.error();
      if (auto found = nats_wire::parse_stream_info(*theirs)) info = std::move(found);
    }
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

awaitable<result<std::vector<Received>>> NatsStreams::read(std::shared_ptr<NatsStreams> self, HistoryLimits limits,
                                                           std::string channel, std::uint64_t first,
                                                           std::uint64_t last) {
  std::vector<Received> all;
  first = std::max<std::uint64_t>(first, 1);
  const auto subject = nats_wire::history_subject(self->prefix_, limits, channel);
  while (first <= last) {
    auto asking = self->request("MSG.GET", limits, fmt::format(R"({{"seq":{},"next_by_subj":"{}"}})", first, subject));
    const auto answer = co_await std::move(asking);
    if (!answer) co_return answer.error();
    auto stored = nats_wire::parse_stored(*answer);
    if (!stored && stored.error().code == Errc::not_found) break;
    if (!stored) co_return stored.error();
    first = stored->sequence + 1;
    if (stored->sequence > last) break;
    all.push_back(*std::move(stored));
  }
  co_return all;
}

}  // namespace fresnel::broker

#include "fresnel/broker/nats_presence.hpp"

#include <algorithm>
#include <utility>

namespace fresnel::broker {
namespace {

// A gateway that has just come does not know the others until each has answered its first heartbeat.
constexpr auto kSettled = milliseconds(500);
constexpr int kMissedBeats = 3;
// Of a presence answer; with JSON's escapes and braces far below any server's max_payload.
constexpr std::size_t kMaxAnswer = 128u << 10;

}  // namespace

NatsPresence::NatsPresence(const Executor& home, Clock& clock, std::shared_ptr<NatsConnection> nats, std::string prefix,
                           NatsPresenceOptions options)
    : home_(home),
      clock_(clock),
      nats_(std::move(nats)),
      prefix_(std::move(prefix)),
      options_(options),
      beat_(home, clock) {}

void NatsPresence::start() {
  const auto weak = weak_from_this();
  const auto at_home = [weak](void (NatsPresence::*member)(const NatsMessage&)) {
    return [weak, member](NatsMessage message) -> std::function<void()> {
      return [weak, member, message = std::move(message)] {
        if (const auto self = weak.lock()) (*self.*member)(message);
      };
    };
  };
  (void)nats_->subscribe(prefix_ + ".presence", at_home(&NatsPresence::answer));
  (void)nats_->subscribe(prefix_ + ".alive", at_home(&NatsPresence::on_alive));
}

void NatsPresence::on_status(bool connected) {
  if (!connected) return;
  connected_at_ = clock_.now();
  for (auto& [id, heard] : others_) heard = connected_at_;  // they come back as this one does
  (void)nats_->publish(heartbeat(true, false));
  beat();
}

NatsOutgoing NatsPresence::heartbeat(bool is_new, bool is_last) const {
  NatsOutgoing message;
  message.subject = prefix_ + ".alive";
  nats_wire::Alive alive;
  alive.gateway = id_;
  alive.is_new = is_new;
  alive.is_last = is_last;
  message.payload = SharedBytes(nats_wire::encode_alive(alive));
  return message;
}

void NatsPresence::beat() {
  const auto now = clock_.now();
  if (!nats_->is_connected()) return;
  std::vector<std::string> gone;
  for (const auto& [gateway, heard] : others_) {
    if (now - heard > kMissedBeats * options_.alive_interval) gone.push_back(gateway);
  }
  for (const auto& gateway : gone) forget(gateway);
  (void)nats_->publish(heartbeat(false, false));
  next_beat_ = now + options_.alive_interval;
  beat_.call_at(next_beat_, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self && self->clock_.now() >= self->next_beat_) self->beat();
  });
}

void NatsPresence::on_alive(const NatsMessage& message) {
  const auto alive = nats_wire::decode_alive(message.payload);
  if (!alive || alive->gateway == id_) return;
  if (alive->is_last) {
    forget(alive->gateway);
    return;
  }
  others_[alive->gateway] = clock_.now();
  if (alive->is_new) (void)nats_->publish(heartbeat(false, false));
}

void NatsPresence::forget(const std::string& gateway) {
  others_.erase(gateway);
  for (const auto& question : questions_) question->waits_no_more_for(gateway);
}

void NatsPresence::add(NodeId node, const std::string& channel, Presence presence) {
  auto key = presence.connection_id;
  channels_[channel].insert_or_assign(std::move(key), There{std::move(presence), node});
}

void NatsPresence::remove(const std::string& channel, const std::string& connection_id) {
  const auto found = channels_.find(channel);
  if (found == channels_.end()) return;
  found->second.erase(connection_id);
  if (found->second.empty()) channels_.erase(found);
}

void NatsPresence::leave(NodeId node) {
  for (auto& [name, present] : channels_) {
    std::erase_if(present, [node](const auto& entry) { return entry.second.node == node; });
  }
  std::erase_if(channels_, [](const auto& entry) { return entry.second.empty(); });
}

std::vector<Presence> NatsPresence::here(const std::string& channel) const {
  std::vector<Presence> present;
  const auto found = channels_.find(channel);
  if (found == channels_.end()) return present;
  for (const auto& [connection, there] : found->second) present.push_back(there.presence);
  return present;
}

// In as many messages as it takes.
void NatsPresence::answer(const NatsMessage& question) {
  if (question.reply.empty() || question.header("Fresnel-Gateway") == id_) return;
  const auto present = here(question.payload);
  auto next = present.begin();
  do {
    nats_wire::PresenceAnswer part;
    part.gateway = id_;
    for (std::size_t size = 0; next != present.end() && size < kMaxAnswer; ++next) {
      size += next->connection_id.size() + next->user_id.size() + 8;
      part.present.push_back(*next);
    }
    part.is_last = next == present.end();
    NatsOutgoing message;
    message.subject = question.reply;
    message.payload = SharedBytes(nats_wire::encode_presence(part));
    (void)nats_->publish(std::move(message));
  } while (next != present.end());
}

awaitable<result<std::vector<Presence>>> NatsPresence::ask(std::shared_ptr<NatsPresence> self, std::string channel) {
  const auto question = std::make_shared<Question>(self->home_, self->clock_);
  question->present = self->here(channel);
  for (const auto& [gateway, heard] : self->others_) question->missing.insert(gateway);
  const auto now = self->clock_.now();
  const auto deadline = now + self->options_.timeout;
  const auto settled = std::min(deadline, self->connected_at_ + kSettled);
  question->is_open = now < settled;
  NatsOutgoing message;
  message.subject = self->prefix_ + ".presence";
  message.payload = SharedBytes(channel);
  message.headers.emplace_back("Fresnel-Gateway", self->id_);
  message.reply = self->nats_->expect([question](NatsMessage reply) {
    auto answer = nats_wire::decode_presence(reply.payload);
    if (!answer) return;
    for (auto& one : answer->present) question->present.push_back(std::move(one));
    if (answer->is_last) question->waits_no_more_for(answer->gateway);
  });
  const auto reply = message.reply;
  self->questions_.insert(question);
  const auto sent = self->nats_->publish(std::move(message));
  if (sent && question->is_open) {
    auto waiting = question->timer.wait_until(settled);
    (void)co_await std::move(waiting);
    question->is_open = false;
  }
  if (sent && !question->missing.empty()) {
    auto waiting = question->timer.wait_until(deadline);
    (void)co_await std::move(waiting);
  }
  self->nats_->forget(reply);
  self->questions_.erase(question);
  if (!sent) co_return sent.error();
  co_return std::move(question->present);
}

}  // namespace fresnel::broker

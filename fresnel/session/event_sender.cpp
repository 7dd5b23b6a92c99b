#include "fresnel/session/event_sender.hpp"

#include <utility>

#include "fresnel/net/deflate.hpp"

namespace fresnel::session {
namespace {

constexpr int kEventsATurn = 32;  // of one subscription, before the next that waits has its turn

}  // namespace

// Prefix and body must both be deflate blocks: a longer prefix than one block holds is not worth the trouble.
EventSender::EventSender(std::shared_ptr<PacedSender> pacer, std::string_view prefix, SessionMetrics& metrics)
    : pacer_(std::move(pacer)),
      escaped_(!prefix.empty()),
      deflates_(pacer_->deflates() && prefix.size() <= net::kMaxStoredBlock),
      prefix_(escaped_ && deflates_ ? net::stored_block(prefix) : std::string(prefix)),
      metrics_(metrics) {}

EventSender::~EventSender() {
  if (lagging_) metrics_.lagging_subscriptions.fetch_sub(1, std::memory_order_relaxed);
}

void EventSender::send(std::span<const hub::EventPtr> events) {
  std::size_t conflated = 0;
  for (const auto& event : events) {
    if (!lagging_ && pacer_->has_room()) {
      put(*event);
    } else {
      conflated += pending_.push(event);
      lag();
    }
  }
  if (conflated > 0) metrics_.conflated_events.fetch_add(conflated, std::memory_order_relaxed);
}

void EventSender::send(hub::PendingEvents::Mark mark, std::string text) {
  if (!lagging_ && pacer_->has_room()) {
    pacer_->put({}, SharedBytes(std::move(text)));
    return;
  }
  texts_[static_cast<std::size_t>(mark)] = std::move(text);
  pending_.push(mark);
  lag();
}

void EventSender::when_sent(std::function<void()> callback) {
  if (lagging_) {
    when_sent_ = std::move(callback);
  } else {
    callback();
  }
}

void EventSender::put(const hub::PublishedEvent& event) {
  if (event.event.type == kube::WatchEvent::Type::error) pending_.told_gone();
  const auto& deflated = event.deflated(escaped_);
  if (deflates_ && !deflated.empty()) {
    pacer_->put_deflated(prefix_, deflated);
  } else {
    const std::string_view prefix = prefix_;
    pacer_->put(deflates_ && escaped_ ? prefix.substr(net::kStoredBlockHead) : prefix, event.text(escaped_));
  }
}

void EventSender::put_next() {
  const auto item = pending_.pop();
  if (item.event != nullptr) {
    put(*item.event);
  } else {
    pacer_->put({}, SharedBytes(std::exchange(texts_[static_cast<std::size_t>(item.mark)], {})));
  }
}

void EventSender::lag() {
  if (std::exchange(lagging_, true)) return;
  metrics_.lagging_subscriptions.fetch_add(1, std::memory_order_relaxed);
  pacer_->wait([weak = weak_from_this()] {
    const auto self = weak.lock();
    return self && self->take_turn();
  });
}

bool EventSender::take_turn() {
  for (int sent = 0; sent < kEventsATurn && pacer_->has_room() && !pending_.empty(); ++sent) put_next();
  if (!pending_.empty()) return true;
  caught_up();
  return false;
}

void EventSender::caught_up() {
  lagging_ = false;
  metrics_.lagging_subscriptions.fetch_sub(1, std::memory_order_relaxed);
  if (const auto callback = std::exchange(when_sent_, nullptr)) callback();
}

}  // namespace fresnel::session

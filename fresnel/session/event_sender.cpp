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
      metrics_(metrics),
      escaped_(!prefix.empty()),
      deflates_(pacer_->deflates() && prefix.size() <= net::kMaxStoredBlock) {
  prefix_ = escaped_ && deflates_ ? net::stored_block(prefix) : std::string(prefix);
}

EventSender::~EventSender() {
  if (!lag_) return;
  pacer_->forget(*this);
  metrics_.lagging_subscriptions.fetch_sub(1, std::memory_order_relaxed);
}

std::string_view EventSender::prefix() const noexcept {
  return std::string_view(prefix_).substr(escaped_ && deflates_ ? net::kStoredBlockHead : 0);
}

void EventSender::send(std::span<const hub::EventPtr> events) {
  std::size_t conflated = 0;
  for (const auto& event : events) {
    if (!lag_ && pacer_->has_room()) {
      put(*event);
    } else {
      conflated += lag().pending.push(event);
    }
  }
  if (conflated > 0) metrics_.conflated_events.fetch_add(conflated, std::memory_order_relaxed);
}

void EventSender::send(hub::PendingEvents::Mark mark, std::string text) {
  if (!lag_ && pacer_->has_room()) {
    put(mark, std::move(text));
    return;
  }
  lag().texts[static_cast<std::size_t>(mark)] = std::move(text);
  lag().pending.push(mark);
}

void EventSender::when_sent(std::function<void()> callback) {
  if (lag_) {
    lag_->when_sent = std::move(callback);
  } else {
    callback();
  }
}

void EventSender::put(const hub::PublishedEvent& event) {
  if (event.event.type == kube::WatchEvent::Type::error) initial_ = true;
  const auto& deflated = event.deflated(escaped_);
  if (deflates_ && !deflated.empty()) {
    pacer_->put_deflated(prefix_, deflated);
  } else {
    pacer_->put(prefix(), event.text(escaped_));
  }
}

void EventSender::put_next() {
  const auto item = lag_->pending.pop();
  if (item.event != nullptr) {
    put(*item.event);
  } else {
    put(item.mark, std::exchange(lag_->texts[static_cast<std::size_t>(item.mark)], {}));
  }
}

void EventSender::put(hub::PendingEvents::Mark mark, std::string text) {
  if (mark == hub::PendingEvents::Mark::complete) initial_ = false;
  if (!text.empty()) pacer_->put({}, SharedBytes(std::move(text)));
}

EventSender::Lag& EventSender::lag() {
  if (!lag_) {
    lag_ = std::make_unique<Lag>();
    if (!initial_) lag_->pending.told_complete();
    metrics_.lagging_subscriptions.fetch_add(1, std::memory_order_relaxed);
    pacer_->wait(*this);
  }
  return *lag_;
}

bool EventSender::take_turn() {
  for (int sent = 0; sent < kEventsATurn && pacer_->has_room() && !lag_->pending.empty(); ++sent) put_next();
  if (!lag_->pending.empty()) return true;
  caught_up();
  return false;
}

void EventSender::caught_up() {
  const auto callback = std::move(lag_->when_sent);
  lag_.reset();
  metrics_.lagging_subscriptions.fetch_sub(1, std::memory_order_relaxed);
  if (callback) callback();
}

}  // namespace fresnel::session

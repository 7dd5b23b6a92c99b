#include "fresnel/session/movable_subscription.hpp"

#include <algorithm>
#include <functional>
#include <utility>

namespace fresnel::session {

class MovableSubscription::Seat final : public hub::StreamSubscriber {
 public:
  explicit Seat(const std::shared_ptr<MovableSubscription>& owner) : owner_(owner) {}

  void on_events(std::span<const hub::EventPtr> events, std::uint64_t position) override {
    if (const auto owner = owner_.lock()) owner->forward_events(events, position);
  }
  void on_complete() override {
    if (const auto owner = owner_.lock()) owner->forward_complete();
  }
  void on_status(const kube::WatchStatus& status) override {
    if (const auto owner = owner_.lock()) owner->take_status(status);
  }
  void on_failed(const Error& error) override {
    if (const auto owner = owner_.lock()) owner->take_failure(error);
  }

 private:
  std::weak_ptr<MovableSubscription> owner_;
};

void MovableSubscription::join(const SessionServices& services, hub::StreamSource source, hub::JoinOptions options,
                               std::shared_ptr<MovableSubscription> self) {
  const bool moves = std::exchange(at_, hash_of(source.context)) != 0;
  const auto server = std::hash<std::string>{}(source.context.server);
  const bool same_server = std::exchange(server_, server) == server;
  std::shared_ptr<hub::StreamSubscriber> subscriber = self;
  if (moves) {
    // Initial events that have not been told to their end begin again: only then can their end be told.
    const bool begun = position_ != 0 && (completed_ || !options.initial_events.value_or(false));
    if (begun) {
      options.resource_version = std::to_string(position_);
      options.initial_events = false;
      options.start_over = !same_server;
    }
    subscriber = seat_ = std::make_shared<Seat>(self);
  }
  lease_ = services.hub.subscribe(std::move(source), services.thread, subscriber, std::move(options));
}

std::size_t MovableSubscription::hash_of(const kube::ClusterContext& context) {
  const auto hash = std::hash<std::string>{}(context.identity() + context.name);
  return hash == 0 ? 1 : hash;
}

void MovableSubscription::on_events(std::span<const hub::EventPtr> events, std::uint64_t position) {
  if (!seat_) forward_events(events, position);
}

void MovableSubscription::on_complete() {
  if (!seat_) forward_complete();
}

void MovableSubscription::on_status(const kube::WatchStatus& status) {
  if (!seat_) take_status(status);
}

void MovableSubscription::on_failed(const Error& error) {
  if (!seat_) take_failure(error);
}

void MovableSubscription::forward_events(std::span<const hub::EventPtr> events, std::uint64_t position) {
  if (position != 0) position_ = position;
  const auto is_error = [](const hub::EventPtr& event) { return event->event.type == kube::WatchEvent::Type::error; };
  // Only a subscription that has moved is told of a completion that it knows of.
  if (completed_ && seat_ && std::any_of(events.begin(), events.end(), is_error)) completed_ = false;
  if (!events.empty()) take_events(events);
}

void MovableSubscription::forward_complete() {
  if (std::exchange(completed_, true) && seat_) return;
  take_complete();
}

}  // namespace fresnel::session

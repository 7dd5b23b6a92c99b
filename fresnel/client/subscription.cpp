#include "fresnel/client/subscription.hpp"

#include <utility>

namespace fresnel::client {

std::string_view to_string(SubscriptionState state) noexcept {
  switch (state) {
    case SubscriptionState::connecting: return "connecting";
    case SubscriptionState::live: return "live";
    case SubscriptionState::reconnecting: return "reconnecting";
    case SubscriptionState::failed: return "failed";
  }
  return "unknown";
}

Subscription::Subscription(std::unique_ptr<Listening> listening) : listening_(std::move(listening)) {}

Subscription::Subscription(Subscription&& other) noexcept : listening_(std::move(other.listening_)) {}

Subscription& Subscription::operator=(Subscription&& other) noexcept {
  if (this != &other) {
    unsubscribe();
    listening_ = std::move(other.listening_);
  }
  return *this;
}

void Subscription::unsubscribe() noexcept {
  // Taken first: stopping may run code of the listener's that looks at this subscription again.
  if (const auto listening = std::move(listening_)) listening->stop();
}

SubscriptionStatus Subscription::status() const {
  if (listening_) return listening_->status();
  return {.state = SubscriptionState::failed, .last_error = Error{Errc::cancelled, "unsubscribed"}};
}

ObjectStore::Snapshot Subscription::snapshot() const {
  if (listening_) return listening_->snapshot();
  return std::make_shared<const std::vector<ObjectStore::Object>>();
}

}  // namespace fresnel::client

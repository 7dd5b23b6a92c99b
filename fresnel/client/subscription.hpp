// What a subscriber of the Multiplexer gives and sees: key, handlers, status, and the Subscription that ends it.
//
// Thread safety: one thread, that of the multiplexer's executor.
#pragma once

#include <compare>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "fresnel/base/clock.hpp"
#include "fresnel/base/error.hpp"
#include "fresnel/client/object_store.hpp"
#include "fresnel/kube/watch_event.hpp"

namespace fresnel::client {

// A list to watch.
struct SubscriptionKey {
  std::string cluster_id;
  std::string path;         // absolute API path: /api/v1/pods
  std::string query = {};   // selectors; with resourceVersion=V the subscription starts after V, else with the state
  std::string accept = {};  // media type, empty: application/json. With as=Table each event is a Table of one row

  friend auto operator<=>(const SubscriptionKey&, const SubscriptionKey&) = default;
};

enum class SubscriptionState {
  connecting,    // not yet answered
  live,          // the gateway delivers
  reconnecting,  // was live; the socket or the gateway's upstream is being restored
  failed,        // the gateway refused it, or the multiplexer was closed; last_error tells why
};

[[nodiscard]] std::string_view to_string(SubscriptionState state) noexcept;

struct SubscriptionStatus {
  SubscriptionState state = SubscriptionState::connecting;
  bool completed = false;                                 // the initial data, or that of a resync, has been delivered
  std::string resource_version = {};                      // where it would resume, empty: fresh
  std::optional<Duration> last_event_age = std::nullopt;  // of the last event, BOOKMARK included
  std::optional<Error> last_error = std::nullopt;
};

// All are optional. They are called on the executor, never from inside subscribe(), and may subscribe and unsubscribe.
// What a handler throws goes to its own on_error and reaches no other listener.
struct SubscriptionHandlers {
  // ADDED, MODIFIED and DELETED are changes of the subscription's store: each once, types true to what the listener
  // has seen, a DELETED for everything that vanished while the link was down. ERROR and unknown types as they came,
  // but for a 410 that the client heals unseen; BOOKMARK only if the key's query asks for it.
  // A listener that started at a version of its own gets the 410 as ERROR: what it listed itself is to be replaced by
  // the ADDED events that follow, until on_complete.
  std::function<void(const kube::WatchEvent&)> on_message = {};
  std::function<void(const Error&)> on_error = {};
  // The initial data has been delivered; again after each reconnect and resync.
  std::function<void()> on_complete = {};
  std::function<void(const SubscriptionStatus&)> on_state = {};
};

// One listener. Destroying it unsubscribes: no handler is called afterwards.
class Subscription {
 public:
  Subscription() = default;
  Subscription(Subscription&& other) noexcept;
  Subscription& operator=(Subscription&& other) noexcept;
  ~Subscription() { unsubscribe(); }

  void unsubscribe() noexcept;
  [[nodiscard]] explicit operator bool() const noexcept { return listening_ != nullptr; }

  // failed when empty.
  [[nodiscard]] SubscriptionStatus status() const;
  // The objects as all listeners of the key see them. Never null.
  [[nodiscard]] ObjectStore::Snapshot snapshot() const;

  // Implemented by the Multiplexer.
  class Listening {
   public:
    virtual ~Listening() = default;
    virtual void stop() noexcept = 0;
    [[nodiscard]] virtual SubscriptionStatus status() const = 0;
    [[nodiscard]] virtual ObjectStore::Snapshot snapshot() const = 0;
  };
  explicit Subscription(std::unique_ptr<Listening> listening);

 private:
  std::unique_ptr<Listening> listening_;
};

}  // namespace fresnel::client

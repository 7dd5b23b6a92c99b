// WatchObject: one object, kept current through the multiplexer by a field selector on metadata.name.
//
//   WatchObject pod(multiplexer, {"prod", "/api/v1/namespaces/default/pods", "web-0"},
//                   {.on_change = [](const WatchObject::Current& current) { ... }});
//
// - The first ADDED is the object. ADDED of a known object is ignored; MODIFIED and DELETED replace it, DELETED with
//   the flag. An ADDED of a deleted name is the recreated object; DELETED of another uid than the known one is old
//   news.
// - An event without an object, and every other type, is ignored.
//
// Thread safety: one thread, that of the multiplexer's executor. May outlive the multiplexer.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "fresnel/base/error.hpp"
#include "fresnel/client/multiplexer.hpp"
#include "fresnel/client/subscription.hpp"
#include "fresnel/kube/watch_event.hpp"

namespace fresnel::client {

class WatchObject {
 public:
  struct Target {
    std::string cluster_id;
    std::string path;  // of the collection: /api/v1/namespaces/default/pods
    std::string name;
    std::string accept = {};
  };
  struct Current {
    std::shared_ptr<const kube::WatchEvent> object;  // null: not seen yet; the JSON is object_view()
    bool deleted = false;
  };
  struct Handlers {
    std::function<void(const Current&)> on_change = {};
    std::function<void(const Error&)> on_error = {};
    // The server has told all it has: when there is no object now, there is none of that name.
    std::function<void()> on_complete = {};
  };

  WatchObject(Multiplexer& multiplexer, const Target& target, Handlers handlers);
  ~WatchObject() = default;
  WatchObject(WatchObject&&) noexcept = default;
  WatchObject& operator=(WatchObject&&) noexcept = default;

  [[nodiscard]] const Current& current() const noexcept { return *current_; }
  [[nodiscard]] SubscriptionStatus status() const { return subscription_.status(); }

  // The rule: what `current` becomes by an event, nothing when the event is ignored.
  [[nodiscard]] static std::optional<Current> next(const Current& current, const kube::WatchEvent& event);
  // The query that selects one object.
  [[nodiscard]] static std::string query_for(std::string_view name);

 private:
  std::shared_ptr<Current> current_;
  Subscription subscription_;
};

}  // namespace fresnel::client

#include "fresnel/client/watch_object.hpp"

#include <utility>

#include "fresnel/kube/api_client.hpp"
#include "fresnel/kube/object_index.hpp"

namespace fresnel::client {

using Type = kube::WatchEvent::Type;

WatchObject::WatchObject(Multiplexer& multiplexer, const Target& target, Handlers handlers)
    : current_(std::make_shared<Current>()) {
  const SubscriptionKey key{
      .cluster_id = target.cluster_id, .path = target.path, .query = query_for(target.name), .accept = target.accept};
  SubscriptionHandlers subscriber;
  subscriber.on_error = std::move(handlers.on_error);
  subscriber.on_complete = std::move(handlers.on_complete);
  subscriber.on_message = [current = current_,
                           on_change = std::move(handlers.on_change)](const kube::WatchEvent& event) {
    auto changed = next(*current, event);
    if (!changed) return;
    *current = std::move(*changed);
    if (on_change) on_change(*current);
  };
  subscription_ = multiplexer.subscribe(key, std::move(subscriber));
}

std::optional<WatchObject::Current> WatchObject::next(const Current& current, const kube::WatchEvent& event) {
  if (!event.changes_an_object() || (event.uid.empty() && event.name.empty())) return std::nullopt;
  const bool is_known = current.object && kube::object_identity(*current.object) == kube::object_identity(event);
  if (event.type == Type::added && is_known && !current.deleted) return std::nullopt;
  if (event.type == Type::deleted && current.object && !is_known) return std::nullopt;
  return Current{.object = std::make_shared<const kube::WatchEvent>(event), .deleted = event.type == Type::deleted};
}

std::string WatchObject::query_for(std::string_view name) {
  return "fieldSelector=metadata.name%3D" + kube::percent_encode(name);
}

}  // namespace fresnel::client

#include "fresnel/hub/published_event.hpp"

#include <utility>

namespace fresnel::hub {

EventPtr publish(kube::WatchEvent event, bool escaped) {
  SharedBytes body;
  if (escaped) body = wire::make_data_body(event.bytes.view());
  return std::make_shared<const PublishedEvent>(std::move(event), std::move(body));
}

EventPtr as_type(const EventPtr& published, kube::WatchEvent::Type type) {
  if (published->event.type == type) return published;
  if (const auto* made = published->retyped.load(std::memory_order_acquire)) return *made;
  auto fresh =
      std::make_unique<const EventPtr>(publish(kube::with_type(published->event, type), !published->data_body.empty()));
  const EventPtr* other = nullptr;
  if (published->retyped.compare_exchange_strong(other, fresh.get(), std::memory_order_acq_rel))
    return *fresh.release();
  return *other;  // another thread was faster
}

}  // namespace fresnel::hub

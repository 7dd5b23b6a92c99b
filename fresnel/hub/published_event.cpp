#include "fresnel/hub/published_event.hpp"

#include <utility>

#include "fresnel/net/deflate.hpp"

namespace fresnel::hub {
namespace {

void add_forms(PublishedEvent& published, Forms forms, ClusterMetrics& counters) {
  const auto count = [](std::atomic<std::uint64_t>& counter) { counter.fetch_add(1, std::memory_order_relaxed); };
  if (forms.data_body && !published.forms.data_body) {
    published.data_body = wire::make_data_body(published.event.bytes.view());
    count(counters.escaped);
  }
  if (forms.deflated_body && !published.forms.deflated_body) {
    published.deflated_body = net::deflate_body(published.data_body.view());
    if (!published.deflated_body.empty()) count(counters.compressed);
  }
  if (forms.deflated_event && !published.forms.deflated_event) {
    published.deflated_event = net::deflate_body(published.event.bytes.view());
    if (!published.deflated_event.empty()) count(counters.compressed);
  }
  published.forms = published.forms | forms;
}

}  // namespace

EventPtr publish(kube::WatchEvent event, Forms forms, ClusterMetrics& counters) {
  const auto published = std::make_shared<PublishedEvent>(std::move(event));
  add_forms(*published, forms, counters);
  return published;
}

EventPtr with_forms(const EventPtr& published, Forms forms, ClusterMetrics& counters) {
  if (published->forms.include(forms)) return published;
  const auto more = std::make_shared<PublishedEvent>(published->event);
  more->forms = published->forms;
  more->data_body = published->data_body;
  more->deflated_event = published->deflated_event;
  more->deflated_body = published->deflated_body;
  add_forms(*more, forms, counters);
  return more;
}

EventPtr as_type(const EventPtr& published, kube::WatchEvent::Type type) {
  if (published->event.type == type) return published;
  if (const auto* made = published->retyped.load(std::memory_order_acquire)) return *made;
  ClusterMetrics uncounted;
  auto fresh =
      std::make_unique<const EventPtr>(publish(kube::with_type(published->event, type), published->forms, uncounted));
  const EventPtr* other = nullptr;
  if (published->retyped.compare_exchange_strong(other, fresh.get(), std::memory_order_acq_rel))
    return *fresh.release();
  return *other;  // another thread was faster
}

EventPtr with_columns_of(const EventPtr& row, const PublishedEvent& other) {
  if (row->event.has_columns) return row;
  const auto place = other.event.columns_place;
  const auto columns = other.event.bytes.view().substr(place.offset, place.size);
  ClusterMetrics uncounted;
  return publish(kube::with_columns(row->event, columns), row->forms, uncounted);
}

}  // namespace fresnel::hub

// An event on its way to the subscribers of a SharedStream: parsed once, escaped once, shared by all of them.
//
// Thread safety: immutable once published; shared between threads.
#pragma once

#include <memory>
#include <vector>

#include "fresnel/kube/watch_event.hpp"
#include "fresnel/wire/prepared_frame.hpp"

namespace fresnel::hub {

struct PublishedEvent {
  kube::WatchEvent event;
  SharedBytes data_body;  // behind any multiplexer prefix; empty when no multiplexer subscriber needed it
};

using EventPtr = std::shared_ptr<const PublishedEvent>;

[[nodiscard]] inline EventPtr publish(kube::WatchEvent event, bool escaped) {
  SharedBytes body;
  if (escaped) body = wire::make_data_body(event.bytes.view());
  return std::make_shared<const PublishedEvent>(PublishedEvent{std::move(event), std::move(body)});
}

}  // namespace fresnel::hub

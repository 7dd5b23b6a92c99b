// An event on its way to the subscribers of a SharedStream: parsed once, escaped once, shared by all of them.
//
// Thread safety: immutable once published; shared between threads.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "fresnel/kube/watch_event.hpp"
#include "fresnel/wire/prepared_frame.hpp"

namespace fresnel::hub {

struct PublishedEvent;
using EventPtr = std::shared_ptr<const PublishedEvent>;

struct PublishedEvent {
  PublishedEvent(kube::WatchEvent parsed, SharedBytes body) : event(std::move(parsed)), data_body(std::move(body)) {}
  ~PublishedEvent() { delete retyped.load(std::memory_order_acquire); }
  PublishedEvent(const PublishedEvent&) = delete;
  PublishedEvent& operator=(const PublishedEvent&) = delete;

  const kube::WatchEvent event;
  const SharedBytes data_body;  // behind any multiplexer prefix; empty when no multiplexer subscriber needed it
  mutable std::atomic<const EventPtr*> retyped{nullptr};  // what as_type() has made; owned
};

[[nodiscard]] EventPtr publish(kube::WatchEvent event, bool escaped);

// The same object as another type of event: ADDED for MODIFIED or the reverse. Made once for all who ask.
[[nodiscard]] EventPtr as_type(const EventPtr& published, kube::WatchEvent::Type type);

}  // namespace fresnel::hub

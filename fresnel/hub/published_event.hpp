// An event on its way to the subscribers of a SharedStream: parsed once, escaped once, compressed once, shared by all.
//
//                     as the API server sent it        escaped, behind any multiplexer prefix
//   plain             event.bytes                      data_body
//   deflated          deflated_event                   deflated_body
//
// Only the forms that some subscriber reads are made. A deflated one is empty when compressing is not worth it.
//
// Thread safety: immutable once published; shared between threads.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "fresnel/hub/hub_metrics.hpp"
#include "fresnel/kube/watch_event.hpp"
#include "fresnel/wire/prepared_frame.hpp"

namespace fresnel::hub {

// The forms of an event that are wanted, or that it has; the plain one is always there.
struct Forms {
  bool data_body = false;
  bool deflated_event = false;
  bool deflated_body = false;  // data_body too: small events are not compressed

  [[nodiscard]] static Forms of(bool escaped, bool deflated) noexcept {
    return {escaped, deflated && !escaped, deflated && escaped};
  }
  [[nodiscard]] bool include(Forms wanted) const noexcept {
    return (data_body || !wanted.data_body) && (deflated_event || !wanted.deflated_event) &&
           (deflated_body || !wanted.deflated_body);
  }
  friend Forms operator|(Forms a, Forms b) noexcept {
    return {a.data_body || b.data_body, a.deflated_event || b.deflated_event, a.deflated_body || b.deflated_body};
  }
};

struct PublishedEvent;
using EventPtr = std::shared_ptr<const PublishedEvent>;

struct PublishedEvent {
  explicit PublishedEvent(kube::WatchEvent parsed) : event(std::move(parsed)) {}
  ~PublishedEvent() { delete retyped.load(std::memory_order_acquire); }
  PublishedEvent(const PublishedEvent&) = delete;
  PublishedEvent& operator=(const PublishedEvent&) = delete;

  [[nodiscard]] const SharedBytes& text(bool escaped) const noexcept { return escaped ? data_body : event.bytes; }
  [[nodiscard]] const SharedBytes& deflated(bool escaped) const noexcept {
    return escaped ? deflated_body : deflated_event;
  }

  kube::WatchEvent event;
  Forms forms;
  SharedBytes data_body;
  SharedBytes deflated_event;
  SharedBytes deflated_body;
  mutable std::atomic<const EventPtr*> retyped{nullptr};  // what as_type() has made; owned
};

// `counters` count what is escaped and compressed.
[[nodiscard]] EventPtr publish(kube::WatchEvent event, Forms forms, ClusterMetrics& counters);

// The same event with these forms too; itself when it has them. What is there is not made again.
[[nodiscard]] EventPtr with_forms(const EventPtr& published, Forms forms, ClusterMetrics& counters);

// The same object as another type of event: ADDED for MODIFIED or the reverse. Made once for all who ask; not counted.
[[nodiscard]] EventPtr as_type(const EventPtr& published, kube::WatchEvent::Type type);

// A Table's row with the columnDefinitions of another; not counted.
[[nodiscard]] EventPtr with_columns_of(const EventPtr& row, const PublishedEvent& other);

}  // namespace fresnel::hub

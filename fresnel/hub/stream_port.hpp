// One thread's end of a SharedStream: the subscribers that live on that thread.
//
// A SharedStream posts to its ports; what it posts arrives in order, so that what a joiner is given first and what
// follows live leave no gap and repeat nothing.
//
// Thread safety: every member runs on the port's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "fresnel/base/error.hpp"
#include "fresnel/hub/hub_metrics.hpp"
#include "fresnel/hub/published_event.hpp"
#include "fresnel/kube/watcher.hpp"

namespace fresnel::hub {

// A subscriber's side: a session's subscription. Called on the subscriber's own thread; it may end its subscription
// in any of these calls. What is on its way when it does may still come, unless the subscriber is destroyed too.
class StreamSubscriber {
 public:
  virtual ~StreamSubscriber() = default;
  // `position` is the version from which a subscription that goes on elsewhere misses and repeats nothing, 0: the one
  // before stays. It may come without events.
  virtual void on_events(std::span<const EventPtr> events, std::uint64_t position) = 0;
  // What the subscriber asked to begin with has been delivered; who wants bookmarks has had one. Once; once more after
  // a 410 that came later.
  virtual void on_complete() = 0;
  virtual void on_status(const kube::WatchStatus& status) = 0;
  // The subscription is over: it was refused, or its version is gone and it did not ask for a new start.
  virtual void on_failed(const Error& error) = 0;
};

using SubscriberId = std::uint64_t;

// What one publishing turn sends to all subscribers.
struct Batch {
  std::vector<EventPtr> events;
  bool has_bookmarks = false;
  std::uint64_t position = 0;  // of its last event
};

// What one subscriber is given when it joins or starts anew.
struct Opening {
  std::vector<EventPtr> events;
  std::shared_ptr<const std::vector<EventPtr>> objects;  // then these: shared by all who are given the current state
  std::uint64_t position = 0;                            // see StreamSubscriber::on_events
  std::uint64_t skip_through = 0;                        // live events up to this version are known to the subscriber
  bool complete = false;
  EventPtr bookmark;                           // goes before the completion; may be null
  std::shared_ptr<const std::string> columns;  // of a Table: go with its first row
};

class StreamPort {
 public:
  explicit StreamPort(std::shared_ptr<ClusterMetrics> metrics) : metrics_(std::move(metrics)) {}

  void attach(SubscriberId id, std::weak_ptr<StreamSubscriber> subscriber, bool bookmarks);
  void detach(SubscriberId id);
  void open(SubscriberId id, const Opening& opening);
  void complete(SubscriberId id, const EventPtr& bookmark);
  void fail(SubscriberId id, const Error& error);
  void status(const kube::WatchStatus& status);
  void deliver(const Batch& batch);

 private:
  struct Member {
    SubscriberId id;
    std::weak_ptr<StreamSubscriber> subscriber;
    std::uint64_t skip_through = 0;
    bool bookmarks;
    bool opened = false;
    bool needs_columns = false;
  };

  [[nodiscard]] Member* find(SubscriberId id);
  void give(Member& member, std::span<const EventPtr> events, std::uint64_t position);

  std::shared_ptr<ClusterMetrics> metrics_;
  std::vector<Member> members_;
  std::shared_ptr<const std::string> columns_;  // a Table's, the latest
};

}  // namespace fresnel::hub

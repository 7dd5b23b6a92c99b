#include "fresnel/sim/watch_stream.hpp"

#include <algorithm>
#include <utility>

namespace fresnel::sim {

WatchStream::WatchStream(Store& store, WatchRequest request) : store_(store), request_(std::move(request)) {}

outcome<std::unique_ptr<WatchStream>> WatchStream::open(Store& store, WatchRequest request,
                                                        std::function<void()> on_event) {
  const auto& type = *request.type;
  if (request.after && !store.can_watch_after(type, *request.after)) return watch_expired();
  auto stream = std::unique_ptr<WatchStream>(new WatchStream(store, std::move(request)));
  const auto& wanted = stream->request_;
  if (!wanted.after) {
    for (auto& object : store.list(type, wanted.ns)) {
      if (wanted.selector.matches(*object)) stream->state_.push_back(std::move(object));
    }
    std::reverse(stream->state_.begin(), stream->state_.end());
    if (wanted.initial_events && wanted.bookmarks) stream->end_of_state_ = store.revision();
  }
  stream->watch_ = store.watch(type, wanted.after.value_or(store.revision()), std::move(on_event));
  return stream;
}

bool WatchStream::next(std::string& out, WallTime now) {
  if (!state_.empty()) {
    append(out, EventType::added, *state_.back(), now);
    state_.pop_back();
    return true;
  }
  if (end_of_state_) {
    append_bookmark(out, *std::exchange(end_of_state_, std::nullopt), true, now);
    return true;
  }
  while (const auto* event = watch_->next()) {
    if (append_change(out, *event, now)) return true;
  }
  return false;
}

bool WatchStream::append_change(std::string& out, const StoreEvent& event, WallTime now) {
  if (!request_.ns.empty() && event.object->ns() != request_.ns) return false;
  // A watch may ask for what comes after a revision that is yet to be.
  if (request_.after && event.revision() <= *request_.after) return false;
  const auto& selector = request_.selector;
  const bool matched = event.previous && selector.matches(*event.previous);
  const bool matches = event.type != EventType::deleted && selector.matches(*event.object);
  if (!matched && !matches) return false;
  if (matches) {
    append(out, matched ? EventType::modified : EventType::added, *event.object, now);
  } else if (event.type == EventType::deleted) {
    append(out, EventType::deleted, *event.object, now);
  } else {
    append(out, EventType::deleted, *event.previous->at(event.revision()), now);
  }
  return true;
}

void WatchStream::append(std::string& out, EventType type, const Object& object, WallTime now) {
  out += R"({"type":")";
  out += to_string(type);
  out += R"(","object":)";
  append_event_object(out, object, request_.encoding, !std::exchange(columns_sent_, true), now);
  out += "}\n";
}

void WatchStream::bookmark(std::string& out, WallTime now) { append_bookmark(out, store_.revision(), false, now); }

void WatchStream::append_bookmark(std::string& out, Revision revision, bool ends_initial, WallTime now) {
  out += R"({"type":"BOOKMARK","object":)";
  append_bookmark_object(out, *request_.type, revision, request_.encoding, !std::exchange(columns_sent_, true),
                         ends_initial, now);
  out += "}\n";
}

std::string error_line(const Status& status) {
  return R"({"type":"ERROR","object":)" + json::serialize(status.to_json()) + "}\n";
}

}  // namespace fresnel::sim

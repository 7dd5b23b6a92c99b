#include "fresnel/hub/pending_events.hpp"

#include <utility>

#include "fresnel/kube/object_index.hpp"

namespace fresnel::hub {

std::size_t PendingEvents::push(EventPtr event) {
  switch (event->event.type) {
    case Type::added:
    case Type::modified:
    case Type::deleted: return push_change(std::move(event));
    case Type::error: return push_error(std::move(event));
    case Type::bookmark: return push_bookmark(std::move(event));
    case Type::unknown: break;
  }
  return 0;  // the Watcher hands out none
}

std::size_t PendingEvents::push_change(EventPtr event) {
  const Type type = event->event.type;
  auto identity = kube::object_identity(event->event);
  const auto [known, is_new] = objects_.try_emplace(identity);
  if (is_new) {
    known->second = order_.insert(order_.end(), Entry{std::move(event), type, {}, std::move(identity)});
    return 0;
  }
  Entry& entry = *known->second;
  const Type before = entry.type;
  drop(entry.event);
  if (before == Type::added && type == Type::deleted && !initial_) {
    order_.erase(known->second);
    objects_.erase(known);
    return 2;
  }
  if (type == Type::deleted) {
    entry.type = Type::deleted;
  } else {
    entry.type = before == Type::added ? Type::added : Type::modified;
  }
  entry.event = std::move(event);
  order_.splice(order_.end(), order_, known->second);
  return 1;
}

std::size_t PendingEvents::push_error(EventPtr event) {
  std::size_t dropped = 0;
  std::unordered_map<std::string, Order::iterator> deletions;
  for (auto at = order_.begin(); at != order_.end();) {
    const bool is_deletion = at->event != nullptr && at->type == Type::deleted;
    if (is_deletion) {
      const auto [earlier, is_first] = deletions.try_emplace(at->identity, at);
      if (!is_first) {
        order_.erase(std::exchange(earlier->second, at));
        ++dropped;
      }
    }
    if (is_deletion || (at->event == nullptr && at->mark == Mark::status)) {
      ++at;
      continue;
    }
    if (at->event != nullptr) {
      drop(at->event);
      ++dropped;
    }
    at = order_.erase(at);
  }
  objects_.clear();
  bookmark_.reset();
  marks_[static_cast<std::size_t>(Mark::complete)].reset();
  initial_ = true;
  order_.push_back({std::move(event), Type::error, {}, {}});
  return dropped;
}

void PendingEvents::drop(const EventPtr& event) {
  if (event->event.has_columns) columns_ = event;
}

std::size_t PendingEvents::push_bookmark(EventPtr event) {
  // It tells more than a version: that the initial events are over.
  if (bookmark_ && (*bookmark_)->event->event.ends_initial) bookmark_.reset();
  const std::size_t replaced = bookmark_ ? 1 : 0;
  if (bookmark_) order_.erase(*bookmark_);
  bookmark_ = order_.insert(order_.end(), Entry{std::move(event), Type::bookmark, {}, {}});
  return replaced;
}

void PendingEvents::push(Mark mark) {
  auto& place = marks_[static_cast<std::size_t>(mark)];
  if (place) order_.erase(*place);
  place = order_.insert(order_.end(), Entry{nullptr, Type::unknown, mark, {}});
  if (mark != Mark::complete) return;
  objects_.clear();
  initial_ = false;
}

PendingEvents::Item PendingEvents::pop() {
  const auto front = order_.begin();
  if (front->event == nullptr) {
    marks_[static_cast<std::size_t>(front->mark)].reset();
  } else if (front->type == Type::bookmark) {
    if (bookmark_ == front) bookmark_.reset();
  } else if (const auto known = objects_.find(front->identity); known != objects_.end() && known->second == front) {
    objects_.erase(known);
  }
  const Entry entry = std::move(*front);
  order_.pop_front();
  if (entry.event == nullptr) return {nullptr, entry.mark};
  auto event = as_type(entry.event, entry.type);
  if (columns_ && event->event.is_table && event->event.changes_an_object()) {
    event = with_columns_of(event, *std::exchange(columns_, nullptr));
  }
  return {std::move(event), {}};
}

}  // namespace fresnel::hub

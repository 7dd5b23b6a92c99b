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
  if (before == Type::added && type == Type::deleted && !may_be_known_) {
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
  may_be_known_ = true;
  std::size_t dropped = 0;
  for (auto at = order_.begin(); at != order_.end();) {
    if (at->event != nullptr && at->type == Type::deleted) {
      ++at;
      continue;
    }
    if (at->event != nullptr) ++dropped;
    objects_.erase(at->identity);
    at = order_.erase(at);
  }
  bookmark_.reset();
  marks_ = {};
  order_.push_back({std::move(event), Type::error, {}, {}});
  return dropped;
}

std::size_t PendingEvents::push_bookmark(EventPtr event) {
  const std::size_t replaced = bookmark_ ? 1 : 0;
  if (bookmark_) order_.erase(*bookmark_);
  bookmark_ = order_.insert(order_.end(), Entry{std::move(event), Type::bookmark, {}, {}});
  return replaced;
}

void PendingEvents::push(Mark mark) {
  auto& place = marks_[static_cast<std::size_t>(mark)];
  if (place) order_.erase(*place);
  place = order_.insert(order_.end(), Entry{nullptr, Type::unknown, mark, {}});
}

PendingEvents::Item PendingEvents::pop() {
  Entry entry = std::move(order_.front());
  if (entry.event == nullptr) {
    marks_[static_cast<std::size_t>(entry.mark)].reset();
  } else if (entry.type == Type::bookmark) {
    bookmark_.reset();
  } else if (!entry.identity.empty()) {
    objects_.erase(entry.identity);
  }
  order_.pop_front();
  if (entry.event == nullptr) return {nullptr, entry.mark};
  return {as_type(entry.event, entry.type), {}};
}

void PendingEvents::clear() {
  order_.clear();
  objects_.clear();
  bookmark_.reset();
  marks_ = {};
}

}  // namespace fresnel::hub

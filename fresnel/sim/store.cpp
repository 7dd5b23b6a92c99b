#include "fresnel/sim/store.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace fresnel::sim {
namespace {

std::string key_of(std::string_view ns, std::string_view name) {
  std::string key(ns);
  if (!key.empty()) key += '/';
  return key.append(name);
}

}  // namespace

std::string_view to_string(EventType type) noexcept {
  switch (type) {
    case EventType::added: return "ADDED";
    case EventType::modified: return "MODIFIED";
    case EventType::deleted: return "DELETED";
  }
  return "";
}

Store::Watch::Watch(std::shared_ptr<Shelf> shelf, std::uint64_t position, std::function<void()> on_event)
    : shelf_(std::move(shelf)), position_(position), on_event_(std::move(on_event)) {
  shelf_->watches.push_back(this);
}

Store::Watch::~Watch() { std::erase(shelf_->watches, this); }

const StoreEvent* Store::Watch::next() {
  if (overrun()) return nullptr;
  const auto index = position_ - shelf_->first;
  if (index >= shelf_->log.size()) return nullptr;
  ++position_;
  return &shelf_->log[index];
}

bool Store::Watch::overrun() const noexcept { return position_ < shelf_->first; }

Store::Shelf* Store::shelf(const ResourceType& type) const {
  const auto found = shelves_.find(type.qualified_name());
  return found == shelves_.end() ? nullptr : found->second.get();
}

std::shared_ptr<Store::Shelf> Store::make_shelf(const ResourceType& type) {
  auto& shelf = shelves_[type.qualified_name()];
  if (!shelf) shelf = std::make_shared<Shelf>();
  return shelf;
}

ObjectPtr Store::get(const ResourceType& type, std::string_view ns, std::string_view name) const {
  const auto* shelf = this->shelf(type);
  if (shelf == nullptr) return nullptr;
  const auto found = shelf->objects.find(key_of(ns, name));
  return found == shelf->objects.end() ? nullptr : found->second;
}

std::vector<ObjectPtr> Store::list(const ResourceType& type, std::string_view ns) const {
  std::vector<ObjectPtr> found;
  const auto* shelf = this->shelf(type);
  if (shelf == nullptr) return found;
  for (auto it = shelf->objects.lower_bound(key_of(ns, "")); it != shelf->objects.end(); ++it) {
    if (!ns.empty() && it->second->ns() != ns) break;
    found.push_back(it->second);
  }
  return found;
}

std::optional<std::vector<ObjectPtr>> Store::list_at(const ResourceType& type, std::string_view ns,
                                                     Revision revision) const {
  if (revision >= revision_) return list(type, ns);
  if (revision < compacted_) return std::nullopt;
  const auto* shelf = this->shelf(type);
  if (shelf == nullptr) return std::vector<ObjectPtr>();
  if (revision < shelf->trimmed) return std::nullopt;
  auto objects = shelf->objects;
  for (auto event = shelf->log.rbegin(); event != shelf->log.rend() && event->revision() > revision; ++event) {
    const auto key = key_of(event->object->ns(), event->object->name());
    if (event->previous) {
      objects[key] = event->previous;
    } else {
      objects.erase(key);
    }
  }
  std::vector<ObjectPtr> found;
  for (const auto& [key, object] : objects) {
    if (ns.empty() || object->ns() == ns) found.push_back(object);
  }
  return found;
}

std::size_t Store::count(const ResourceType& type) const {
  const auto* shelf = this->shelf(type);
  return shelf == nullptr ? 0 : shelf->objects.size();
}

ObjectPtr Store::put(const ResourceTypePtr& type, json::object value) {
  const auto shelf = make_shelf(*type);
  auto object = Object::make(type, std::move(value), ++revision_);
  auto& place = shelf->objects[key_of(object->ns(), object->name())];
  const auto previous = std::exchange(place, object);
  append(*shelf, {previous ? EventType::modified : EventType::added, object, previous});
  return object;
}

ObjectPtr Store::erase(const ResourceType& type, std::string_view ns, std::string_view name) {
  auto* shelf = this->shelf(type);
  if (shelf == nullptr) return nullptr;
  const auto found = shelf->objects.find(key_of(ns, name));
  if (found == shelf->objects.end()) return nullptr;
  const auto previous = found->second;
  shelf->objects.erase(found);
  auto last = previous->at(++revision_);
  append(*shelf, {EventType::deleted, last, previous});
  return last;
}

void Store::append(Shelf& shelf, StoreEvent event) {
  shelf.log.push_back(std::move(event));
  trim(shelf);
  // A callback may end its own watch, but not start or end others.
  for (std::size_t i = shelf.watches.size(); i-- > 0;) shelf.watches[i]->on_event_();
}

void Store::trim(Shelf& shelf) const {
  auto needed = shelf.first + shelf.log.size();
  for (const auto* watch : shelf.watches) needed = std::min(needed, watch->position_);
  while (!shelf.log.empty()) {
    const bool forgotten = shelf.log.front().revision() <= compacted_ && shelf.first < needed;
    if (!forgotten && shelf.log.size() <= options_.max_events) break;
    shelf.trimmed = shelf.log.front().revision();
    shelf.log.pop_front();
    ++shelf.first;
  }
}

void Store::compact(Revision revision) {
  compacted_ = std::max(compacted_, std::min(revision, revision_));
  for (const auto& [name, shelf] : shelves_) trim(*shelf);
}

void Store::undo_last(Shelf& shelf) {
  const auto& event = shelf.log.back();
  const auto key = key_of(event.object->ns(), event.object->name());
  if (event.previous) {
    shelf.objects[key] = event.previous;
  } else {
    shelf.objects.erase(key);
  }
  shelf.log.pop_back();
}

bool Store::rewind(Revision revision) {
  const bool reaches = std::all_of(shelves_.begin(), shelves_.end(),
                                   [revision](const auto& entry) { return entry.second->trimmed <= revision; });
  if (!reaches || revision < compacted_) return false;
  for (const auto& [name, shelf] : shelves_) {
    while (!shelf->log.empty() && shelf->log.back().revision() > revision) undo_last(*shelf);
  }
  revision_ = std::min(revision_, revision);
  return true;
}

bool Store::can_watch_after(const ResourceType& type, Revision revision) const {
  if (revision < compacted_) return false;
  const auto* shelf = this->shelf(type);
  return shelf == nullptr || revision >= shelf->trimmed;
}

std::unique_ptr<Store::Watch> Store::watch(const ResourceType& type, Revision after, std::function<void()> on_event) {
  assert(can_watch_after(type, after));
  auto shelf = make_shelf(type);
  const auto next = std::upper_bound(shelf->log.begin(), shelf->log.end(), after,
                                     [](Revision value, const StoreEvent& event) { return value < event.revision(); });
  const auto position = shelf->first + static_cast<std::uint64_t>(next - shelf->log.begin());
  return std::unique_ptr<Watch>(new Watch(std::move(shelf), position, std::move(on_event)));
}

}  // namespace fresnel::sim

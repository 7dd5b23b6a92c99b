#include "fresnel/client/object_store.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "fresnel/kube/object_index.hpp"

namespace fresnel::client {
namespace {

using Type = kube::WatchEvent::Type;

bool is_before(const kube::WatchEvent& a, const kube::WatchEvent& b) {
  return std::tie(a.namespace_, a.name, a.uid) < std::tie(b.namespace_, b.name, b.uid);
}

// Names do not change in Kubernetes; where one does, the object has another place in the order.
bool is_same_place(const kube::WatchEvent& a, const kube::WatchEvent& b) {
  return a.name == b.name && a.namespace_ == b.namespace_;
}

// Two versions of one object are ordered only when both are numbers.
bool is_older(const kube::WatchEvent& event, const kube::WatchEvent& known) {
  const auto version = kube::parse_resource_version(event.resource_version);
  const auto known_version = kube::parse_resource_version(known.resource_version);
  return version && known_version && *version < *known_version;
}

bool is_same(const kube::WatchEvent& event, const kube::WatchEvent& known) {
  if (event.resource_version.empty()) return event.object_view() == known.object_view();
  return event.resource_version == known.resource_version;
}

}  // namespace

const kube::WatchEvent& ObjectStore::Change::event() const {
  if (source_.type == type_) return source_;
  if (!made_) made_ = kube::with_type(source_, type_);
  return *made_;
}

ObjectStore::Outcome ObjectStore::apply(kube::WatchEvent event) {
  if (!event.changes_an_object() || (event.uid.empty() && event.name.empty())) return Outcome::ignored;
  std::string made;
  const std::string_view identity = kube::object_identity(event, made);
  return event.type == Type::deleted ? remove(event, identity) : upsert(std::move(event), identity);
}

ObjectStore::Outcome ObjectStore::upsert(kube::WatchEvent&& event, std::string_view identity) {
  auto at = objects_.find(identity);
  const bool is_new = at == objects_.end();
  if (is_new) at = objects_.emplace(identity, std::make_unique<Entry>()).first;
  Entry& entry = *at->second;
  if (!is_new) {
    if (is_stale(event, entry)) return Outcome::stale;
    entry.generation = generation_;  // seen again
    if (is_same(event, *entry.object)) return Outcome::unchanged;
  }
  entry.generation = generation_;
  const bool moves = !is_new && !is_same_place(event, *entry.object);
  if (moves) order_.remove(entry);
  // A MODIFIED of what a partial store never saw is news of an object that its readers may well know.
  const bool keeps_type = is_new && knowledge_ == Knowledge::partial;
  const Type type = keeps_type ? event.type : is_new ? Type::added : Type::modified;
  const auto object = std::make_shared<const kube::WatchEvent>(std::move(event));
  entry.object = object;  // the observer gets its own reference: it may outlive the entry
  if (is_new || moves) order_.append(entry);
  changed(type, *object);
  return Outcome::applied;
}

ObjectStore::Outcome ObjectStore::remove(const kube::WatchEvent& event, std::string_view identity) {
  const auto at = objects_.find(identity);
  if (at == objects_.end()) {
    if (knowledge_ == Knowledge::whole) return Outcome::unchanged;
    changed(Type::deleted, event);
    return Outcome::applied;
  }
  if (is_stale(event, *at->second)) return Outcome::stale;
  order_.remove(*at->second);
  objects_.erase(at);
  changed(Type::deleted, event);
  return Outcome::applied;
}

bool ObjectStore::is_stale(const kube::WatchEvent& event, const Entry& entry) const {
  const bool belongs_to_the_old_state = replacing_ && entry.generation != generation_;
  return !belongs_to_the_old_state && is_older(event, *entry.object);
}

void ObjectStore::begin_replace() {
  replacing_ = true;
  ++generation_;
}

void ObjectStore::end_replace() {
  if (!replacing_) return;
  replacing_ = false;
  knowledge_ = Knowledge::whole;
  std::vector<Object> gone;
  for (auto at = objects_.begin(); at != objects_.end();) {
    if (at->second->generation == generation_) {
      ++at;
      continue;
    }
    order_.remove(*at->second);
    gone.push_back(std::move(at->second->object));
    objects_.erase(at++);
  }
  std::sort(gone.begin(), gone.end(), [](const Object& a, const Object& b) { return is_before(*a, *b); });
  for (const auto& object : gone) changed(Type::deleted, *object);
}

ObjectStore::Object ObjectStore::find(std::string_view identity) const {
  const auto at = objects_.find(identity);
  return at == objects_.end() ? nullptr : at->second->object;
}

const ObjectStore::Snapshot& ObjectStore::snapshot() const {
  if (!snapshot_) {
    order_.sort([](const Entry& a, const Entry& b) { return is_before(*a.object, *b.object); });
    std::vector<Object> objects;
    objects.reserve(order_.size());
    order_.for_each([&objects](const Entry& entry) { objects.push_back(entry.object); });
    snapshot_ = std::make_shared<const std::vector<Object>>(std::move(objects));
  }
  return snapshot_;
}

void ObjectStore::changed(Type type, const kube::WatchEvent& source) {
  snapshot_.reset();
  if (observer_) observer_(Change(type, source));
}

}  // namespace fresnel::client

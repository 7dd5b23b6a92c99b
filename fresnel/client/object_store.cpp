#include "fresnel/client/object_store.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "fresnel/kube/object_index.hpp"

namespace fresnel::client {
namespace {

using Type = kube::WatchEvent::Type;

bool is_before(const ObjectStore::Object& a, const ObjectStore::Object& b) {
  return std::tie(a->namespace_, a->name, a->uid) < std::tie(b->namespace_, b->name, b->uid);
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

ObjectStore::Outcome ObjectStore::apply(const kube::WatchEvent& event) {
  if (!event.changes_an_object() || (event.uid.empty() && event.name.empty())) return Outcome::ignored;
  auto identity = kube::object_identity(event);
  return event.type == Type::deleted ? remove(event, identity) : upsert(event, std::move(identity));
}

ObjectStore::Outcome ObjectStore::upsert(const kube::WatchEvent& event, std::string identity) {
  const auto [at, is_new] = objects_.try_emplace(std::move(identity));
  Entry& entry = at->second;
  if (!is_new) {
    if (is_stale(event, entry)) return Outcome::stale;
    entry.generation = generation_;  // seen again
    if (is_same(event, *entry.object)) return Outcome::unchanged;
  }
  entry.generation = generation_;
  // A MODIFIED of what a partial store never saw is news of an object that its readers may well know.
  const bool keeps_type = is_new && knowledge_ == Knowledge::partial;
  const Object object = std::make_shared<const kube::WatchEvent>(
      keeps_type ? event : kube::with_type(event, is_new ? Type::added : Type::modified));
  entry.object = object;  // the observer gets its own reference: it may outlive the entry
  changed(*object);
  return Outcome::applied;
}

ObjectStore::Outcome ObjectStore::remove(const kube::WatchEvent& event, const std::string& identity) {
  const auto at = objects_.find(identity);
  if (at == objects_.end()) {
    if (knowledge_ == Knowledge::whole) return Outcome::unchanged;
    changed(event);
    return Outcome::applied;
  }
  if (is_stale(event, at->second)) return Outcome::stale;
  objects_.erase(at);
  changed(event);
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
    if (at->second.generation == generation_) {
      ++at;
      continue;
    }
    gone.push_back(std::move(at->second.object));
    at = objects_.erase(at);
  }
  std::sort(gone.begin(), gone.end(), is_before);
  for (const auto& object : gone) changed(kube::with_type(*object, Type::deleted));
}

ObjectStore::Object ObjectStore::find(const std::string& identity) const {
  const auto at = objects_.find(identity);
  return at == objects_.end() ? nullptr : at->second.object;
}

const ObjectStore::Snapshot& ObjectStore::snapshot() const {
  if (!snapshot_) {
    std::vector<Object> objects;
    objects.reserve(objects_.size());
    for (const auto& [identity, entry] : objects_) objects.push_back(entry.object);
    std::sort(objects.begin(), objects.end(), is_before);
    snapshot_ = std::make_shared<const std::vector<Object>>(std::move(objects));
  }
  return snapshot_;
}

void ObjectStore::changed(const kube::WatchEvent& event) {
  snapshot_.reset();
  if (observer_) observer_(event);
}

}  // namespace fresnel::client

#include "fresnel/kube/kube_list.hpp"

#include "fresnel/kube/api_client.hpp"
#include "fresnel/kube/list_page.hpp"

namespace fresnel::kube {
namespace {

std::shared_ptr<const KubeObject> make_object(WatchEvent event, const std::string& cluster) {
  return std::make_shared<const KubeObject>(
      KubeObject{event.uid, event.resource_version, cluster, std::move(event.bytes), event.object});
}

// Only numbers can be compared; anything else never counts as old.
bool not_newer(std::string_view update, std::string_view list) {
  const auto a = parse_resource_version(update);
  const auto b = parse_resource_version(list);
  return a && b && *a <= *b;
}

}  // namespace

result<void> KubeList::set(std::string list_json) {
  auto page = parse_list_page(std::move(list_json));
  if (!page) return page.error();
  order_ = {};
  by_uid_.clear();
  without_uid_.clear();
  by_uid_.reserve(page->items.size());
  for (auto& item : page->items) upsert(std::move(item));
  head_ = KubeListSnapshot{.kind = std::move(page->list_kind),
                           .api_version = std::move(page->api_version),
                           .resource_version = std::move(page->resource_version),
                           .continue_token = std::move(page->continue_token),
                           .remaining_item_count = page->remaining_item_count};
  changed();
  return {};
}

KubeList::Outcome KubeList::apply_update(std::string event_json) {
  auto event = parse_watch_event(SharedBytes(padded_for_parser(std::move(event_json))));
  if (!event) {
    ++ignored_;
    return Outcome::ignored;
  }
  return apply_update(*std::move(event));
}

KubeList::Outcome KubeList::apply_update(WatchEvent event) {
  if (!head_) {
    ++ignored_;
    return Outcome::ignored;
  }
  if (event.type == WatchEvent::Type::error) return report(error_of_status(event.object_view()));
  if (!event.changes_an_object()) {
    return report({Errc::protocol, "a watch event of a type other than ADDED, MODIFIED and DELETED"});
  }
  if (event.uid.empty()) {  // nothing to know it by
    ++ignored_;
    return Outcome::ignored;
  }
  if (not_newer(event.resource_version, head_->resource_version)) return Outcome::stale;

  head_->resource_version = event.resource_version;
  if (event.type == WatchEvent::Type::deleted) {
    remove(event.uid);
  } else {
    upsert(std::move(event));
  }
  changed();
  return Outcome::applied;
}

void KubeList::upsert(WatchEvent event) {
  const auto known = by_uid_.find(event.uid);
  if (known != by_uid_.end()) {
    known->second->object = make_object(std::move(event), cluster_);
    return;
  }
  const std::string uid(event.uid);
  auto entry = std::make_unique<Entry>();
  entry->object = make_object(std::move(event), cluster_);
  order_.append(*entry);
  if (uid.empty()) {
    without_uid_.push_back(std::move(entry));
  } else {
    by_uid_.emplace(uid, std::move(entry));
  }
}

void KubeList::remove(std::string_view uid) {
  const auto at = by_uid_.find(uid);
  if (at == by_uid_.end()) return;
  order_.remove(*at->second);
  by_uid_.erase(at);
}

const KubeList::Snapshot& KubeList::snapshot() const {
  if (!snapshot_ && head_) {
    KubeListSnapshot next = *head_;
    next.items.reserve(order_.size());
    order_.for_each([&next](const Entry& entry) { next.items.push_back(entry.object); });
    snapshot_ = std::make_shared<const KubeListSnapshot>(std::move(next));
  }
  return snapshot_;
}

void KubeList::changed() {
  snapshot_.reset();
  if (changed_) changed_(*this);
}

KubeList::Outcome KubeList::report(const Error& error) {
  if (failed_) failed_(error);
  return Outcome::error;
}

}  // namespace fresnel::kube

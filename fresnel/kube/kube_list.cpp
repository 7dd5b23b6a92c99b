#include "fresnel/kube/kube_list.hpp"

#include <simdjson.h>

#include <algorithm>
#include <utility>

#include "fresnel/kube/api_client.hpp"
#include "fresnel/kube/list_page.hpp"

namespace fresnel::kube {
namespace {

namespace ondemand = simdjson::ondemand;

// What a list says of itself, beside its items. simdjson throws on malformed text.
KubeListSnapshot read_header(const std::string& list_json) {
  KubeListSnapshot header;
  ondemand::parser parser;
  const simdjson::padded_string text(list_json);
  auto document = parser.iterate(text);
  for (auto field : document.get_object()) {
    const std::string_view key = field.unescaped_key();
    if (key == "kind") {
      header.kind = std::string_view(field.value().get_string());
    } else if (key == "apiVersion") {
      header.api_version = std::string_view(field.value().get_string());
    } else if (key == "metadata") {
      for (auto entry : field.value().get_object()) {
        const std::string_view name = entry.unescaped_key();
        if (name == "remainingItemCount") header.remaining_item_count = entry.value().get_int64();
      }
    }
  }
  return header;
}

std::shared_ptr<const KubeObject> make_object(const WatchEvent& event, const std::string& cluster) {
  return std::make_shared<const KubeObject>(
      KubeObject{event.uid, event.resource_version, cluster, SharedBytes(event.object_view())});
}

// Only numbers can be compared; anything else never counts as old.
bool not_newer(std::string_view update, std::string_view list) {
  const auto a = parse_resource_version(update);
  const auto b = parse_resource_version(list);
  return a && b && *a <= *b;
}

}  // namespace

result<void> KubeList::set(std::string_view list_json) {
  std::string body(list_json);
  KubeListSnapshot next;
  try {
    next = read_header(body);
  } catch (const simdjson::simdjson_error& error) {
    return Error{Errc::protocol, std::string("a list is no JSON object: ") + error.what()};
  }
  auto page = parse_list_page(std::move(body));
  if (!page) return page.error();
  next.resource_version = std::move(page->resource_version);
  next.continue_token = std::move(page->continue_token);
  next.items.reserve(page->items.size());
  for (const auto& item : page->items) next.items.push_back(make_object(item, cluster_));
  publish(std::move(next));
  return {};
}

KubeList::Outcome KubeList::apply_update(std::string_view event_json) {
  const auto event = parse_watch_event(SharedBytes(event_json));
  if (!event) {
    ++ignored_;
    return Outcome::ignored;
  }
  return apply_update(*event);
}

KubeList::Outcome KubeList::apply_update(const WatchEvent& event) {
  if (!snapshot_) {
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
  if (not_newer(event.resource_version, snapshot_->resource_version)) return Outcome::stale;

  KubeListSnapshot next = *snapshot_;
  const auto known =
      std::find_if(next.items.begin(), next.items.end(), [&](const auto& object) { return object->uid == event.uid; });
  if (event.type == WatchEvent::Type::deleted) {
    if (known != next.items.end()) next.items.erase(known);
  } else if (known != next.items.end()) {
    *known = make_object(event, cluster_);
  } else {
    next.items.push_back(make_object(event, cluster_));
  }
  next.resource_version = event.resource_version;
  publish(std::move(next));
  return Outcome::applied;
}

void KubeList::publish(KubeListSnapshot next) {
  snapshot_ = std::make_shared<const KubeListSnapshot>(std::move(next));
  if (changed_) changed_(snapshot_);
}

KubeList::Outcome KubeList::report(const Error& error) {
  if (failed_) failed_(error);
  return Outcome::error;
}

}  // namespace fresnel::kube

#include "fresnel/sim/patch.hpp"

#include <algorithm>

namespace fresnel::sim {
namespace {

struct MergeKey {
  std::string_view list;
  std::string_view key;
};

// A list's name says its merge key; only "ports" has two (a Service's are keyed by port).
constexpr MergeKey kMergeKeys[] = {
    {"containers", "name"},
    {"initContainers", "name"},
    {"ephemeralContainers", "name"},
    {"env", "name"},
    {"volumes", "name"},
    {"volumeMounts", "mountPath"},
    {"imagePullSecrets", "name"},
    {"conditions", "type"},
    {"containerStatuses", "name"},
    {"ownerReferences", "uid"},
    {"addresses", "type"},
    {"hostAliases", "ip"},
    {"volumeDevices", "devicePath"},
    {"secrets", "name"},
};

std::string_view merge_key(std::string_view list, const json::array& elements) {
  if (list == "ports") {
    const bool of_containers = std::any_of(elements.begin(), elements.end(), [](const json::value& element) {
      return find(element, {"containerPort"}) != nullptr;
    });
    return of_containers ? "containerPort" : "port";
  }
  for (const auto& known : kMergeKeys) {
    if (known.list == list) return known.key;
  }
  return {};
}

bool is_directive(std::string_view name) { return name.substr(0, 1) == "$"; }

// An element is merged with the one that has the same key, deleted when it says so, or added at the end.
void merge_list(json::array& target, const json::array& patch, std::string_view key) {
  for (const auto& change : patch) {
    const auto* changed = change.if_object();
    if (changed == nullptr) continue;
    if (string_at(change, {"$patch"}) == "replace") {
      target.clear();
      continue;
    }
    const auto* id = changed->if_contains(key);
    const auto place = std::find_if(target.begin(), target.end(), [&](const json::value& element) {
      const auto* other = find(element, {key});
      return id != nullptr && other != nullptr && *other == *id;
    });
    if (string_at(change, {"$patch"}) == "delete") {
      if (place != target.end()) target.erase(place);
    } else if (place != target.end() && place->is_object()) {
      apply_strategic_merge_patch(place->get_object(), *changed);
    } else {
      json::object added;
      apply_strategic_merge_patch(added, *changed);
      target.push_back(std::move(added));
    }
  }
}

void merge_member(json::object& target, std::string_view name, const json::value& change) {
  if (const auto* changed = change.if_object()) {
    apply_strategic_merge_patch(ensure_object(target, name), *changed);
    return;
  }
  if (const auto* changed = change.if_array()) {
    const auto key = merge_key(name, *changed);
    if (!key.empty()) {
      auto& list = target[name];
      if (!list.is_array()) list.emplace_array();
      merge_list(list.get_array(), *changed, key);
      return;
    }
  }
  target[name] = change;
}

}  // namespace

void apply_merge_patch(json::object& target, const json::object& patch) {
  for (const auto& [name, change] : patch) {
    if (change.is_null()) {
      erase_member(target, name);
    } else if (const auto* changed = change.if_object()) {
      apply_merge_patch(ensure_object(target, name), *changed);
    } else {
      target[name] = change;
    }
  }
}

void apply_strategic_merge_patch(json::object& target, const json::object& patch) {
  if (string_at(patch, {"$patch"}) == "replace") target.clear();
  for (const auto& [name, change] : patch) {
    if (is_directive(name)) continue;
    if (change.is_null() || string_at(change, {"$patch"}) == "delete") {
      erase_member(target, name);
    } else {
      merge_member(target, name, change);
    }
  }
}

}  // namespace fresnel::sim

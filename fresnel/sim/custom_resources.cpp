#include "fresnel/sim/custom_resources.hpp"

#include <algorithm>

namespace fresnel::sim {
namespace {

const json::value& storage_version(const json::object& definition) {
  const auto& versions = array_at(definition, {"spec", "versions"});
  return *std::find_if(versions.begin(), versions.end(),
                       [](const json::value& version) { return bool_at(version, {"storage"}); });
}

std::vector<std::string> strings_of(const json::array& values) {
  std::vector<std::string> strings;
  for (const auto& value : values) {
    if (value.is_string()) strings.emplace_back(view(value.get_string()));
  }
  return strings;
}

CustomColumn column_of(const json::value& column) {
  const std::string path(string_at(column, {"jsonPath"}));
  std::string description(string_at(column, {"description"}));
  if (description.empty()) description = "Custom resource definition column (in JSONPath format): " + path;
  return {.name = std::string(string_at(column, {"name"})),
          .type = std::string(string_at(column, {"type"})),
          .description = std::move(description),
          .json_path = path,
          .priority = static_cast<int>(int_at(column, {"priority"}))};
}

json::object condition(std::string_view type, std::string_view now, std::string_view reason, std::string_view message) {
  return {{"type", type}, {"status", "True"}, {"lastTransitionTime", now}, {"reason", reason}, {"message", message}};
}

}  // namespace

ResourceTypePtr type_of(const json::object& definition) {
  const auto& version = storage_version(definition);
  ResourceType type{.group = std::string(string_at(definition, {"spec", "group"})),
                    .version = std::string(string_at(version, {"name"})),
                    .plural = std::string(string_at(definition, {"spec", "names", "plural"})),
                    .kind = std::string(string_at(definition, {"spec", "names", "kind"}))};
  type.namespaced = string_at(definition, {"spec", "scope"}) != "Cluster";
  type.short_names = strings_of(array_at(definition, {"spec", "names", "shortNames"}));
  type.categories = strings_of(array_at(definition, {"spec", "names", "categories"}));
  type.has_status = find(version, {"subresources", "status"}) != nullptr;
  type.has_generation = true;
  type.custom = true;
  type.singular = string_at(definition, {"spec", "names", "singular"});
  type.list_kind = string_at(definition, {"spec", "names", "listKind"});
  for (const auto& column : array_at(version, {"additionalPrinterColumns"})) type.columns.push_back(column_of(column));
  return std::make_shared<const ResourceType>(std::move(type));
}

json::object established_status(const json::object& definition, std::string_view now) {
  json::array conditions;
  conditions.push_back(condition("NamesAccepted", now, "NoConflicts", "no conflicts found"));
  conditions.push_back(condition("Established", now, "InitialNamesAccepted", "the initial names have been accepted"));
  json::object status;
  status["conditions"] = std::move(conditions);
  status["acceptedNames"] = object_at(definition, {"spec", "names"});
  status["storedVersions"] = json::array{storage_version(definition).at("name")};
  return status;
}

json::object terminating_status(const json::object& definition, std::string_view now) {
  auto status = established_status(definition, now);
  status["conditions"].get_array().push_back(
      condition("Terminating", now, "InstanceDeletionPending",
                "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon"));
  return status;
}

}  // namespace fresnel::sim

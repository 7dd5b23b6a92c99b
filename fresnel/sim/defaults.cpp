#include "fresnel/sim/defaults.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "fresnel/sim/names.hpp"

namespace fresnel::sim {
namespace {

void set_default(json::object& object, std::string_view name, json::value value) {
  if (!object.contains(name)) object[name] = std::move(value);
}

void set_event_defaults(json::object& event) {
  set_default(event, "involvedObject", json::object());
  set_default(event, "source", json::object());
  for (const auto* name : {"firstTimestamp", "lastTimestamp", "eventTime"}) set_default(event, name, nullptr);
  for (const auto* name : {"reportingComponent", "reportingInstance"}) set_default(event, name, "");
}

void set_definition_defaults(json::object& definition) {
  auto& spec = ensure_object(definition, "spec");
  auto& names = ensure_object(spec, "names");
  const std::string kind(string_at(names, {"kind"}));
  std::string singular = kind;
  std::transform(singular.begin(), singular.end(), singular.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  set_default(names, "singular", json::string(singular));
  set_default(names, "listKind", json::string(kind + "List"));
  set_default(spec, "conversion", json::object{{"strategy", "None"}});
}

// Kubernetes documentation, "Pod Quality of Service Classes".
std::string_view quality_of_service(const json::object& pod) {
  bool any = false, all = true;
  for (const auto& container : array_at(pod, {"spec", "containers"})) {
    const auto& limits = object_at(container, {"resources", "limits"});
    const auto& requests = object_at(container, {"resources", "requests"});
    any = any || !limits.empty() || !requests.empty();
    for (const auto* resource : {"cpu", "memory"}) {
      const auto* limit = limits.if_contains(resource);
      const auto* request = requests.if_contains(resource);
      all = all && limit != nullptr && (request == nullptr || *request == *limit);
    }
  }
  if (!any) return "BestEffort";
  return all ? "Guaranteed" : "Burstable";
}

using Causes = std::vector<Status::Cause>;

void add_required(Causes& causes, std::string field, std::string_view why = {}) {
  causes.push_back({"FieldValueRequired", why.empty() ? "Required value" : fmt::format("Required value: {}", why),
                    std::move(field)});
}

void validate_labels(Causes& causes, const json::object& object) {
  for (const auto& [key, value] : object_at(object, {"metadata", "labels"})) {
    if (const auto wrong = check_label_key(key)) {
      causes.push_back({"FieldValueInvalid", fmt::format("Invalid value: \"{}\": {}", std::string_view(key), *wrong),
                        "metadata.labels"});
    }
    const auto text = value.is_string() ? view(value.get_string()) : std::string_view();
    if (const auto wrong = check_label_value(text)) {
      causes.push_back(
          {"FieldValueInvalid", fmt::format("Invalid value: \"{}\": {}", text, *wrong), "metadata.labels"});
    }
  }
}

void validate_definition(Causes& causes, const json::object& definition) {
  const auto group = string_at(definition, {"spec", "group"});
  const auto plural = string_at(definition, {"spec", "names", "plural"});
  if (group.empty()) add_required(causes, "spec.group");
  if (plural.empty()) add_required(causes, "spec.names.plural");
  if (string_at(definition, {"spec", "names", "kind"}).empty()) add_required(causes, "spec.names.kind");
  const auto expected = fmt::format("{}.{}", plural, group);
  const auto name = string_at(definition, {"metadata", "name"});
  if (name != expected) {
    causes.push_back({"FieldValueInvalid",
                      fmt::format("Invalid value: \"{}\": must be spec.names.plural+\".\"+spec.group", name),
                      "metadata.name"});
  }
  const auto& versions = array_at(definition, {"spec", "versions"});
  const auto stored = std::count_if(versions.begin(), versions.end(),
                                    [](const json::value& version) { return bool_at(version, {"storage"}); });
  if (stored != 1) {
    causes.push_back({"FieldValueInvalid", "Invalid value: must have exactly one version marked as storage version",
                      "spec.versions"});
  }
}

void validate_spec(Causes& causes, const ResourceType& type, const json::object& object) {
  if (type.is("", "pods") && array_at(object, {"spec", "containers"}).empty()) {
    add_required(causes, "spec.containers");
  } else if (type.group == "apps") {
    if (find(object, {"spec", "selector"}) == nullptr) add_required(causes, "spec.selector");
    if (array_at(object, {"spec", "template", "spec", "containers"}).empty()) {
      add_required(causes, "spec.template.spec.containers");
    }
  } else if (type.is("apiextensions.k8s.io", "customresourcedefinitions")) {
    validate_definition(causes, object);
  }
}

}  // namespace

void set_defaults(const ResourceType& type, json::object& object) {
  if (type.is("", "namespaces")) {
    set_default(ensure_object(object, "spec"), "finalizers", json::array{"kubernetes"});
  } else if (type.is("", "events")) {
    set_event_defaults(object);
  } else if (type.is("apiextensions.k8s.io", "customresourcedefinitions")) {
    set_definition_defaults(object);
  }
}

json::value initial_status(const ResourceType& type, const json::object& object) {
  if (type.custom) return nullptr;
  if (type.is("", "pods")) return json::object{{"phase", "Pending"}, {"qosClass", quality_of_service(object)}};
  if (type.is("", "namespaces")) return json::object{{"phase", "Active"}};
  if (type.is("", "services") || type.plural == "ingresses") return json::object{{"loadBalancer", json::object()}};
  if (type.plural == "replicasets" || type.plural == "statefulsets") return json::object{{"replicas", 0}};
  if (type.plural == "persistentvolumes" || type.plural == "persistentvolumeclaims")
    return json::object{{"phase", "Pending"}};
  return json::object();
}

outcome<> validate(const ResourceType& type, const json::object& object) {
  Causes causes;
  const auto name = string_at(object, {"metadata", "name"});
  if (name.empty()) {
    add_required(causes, "metadata.name", "name or generateName is required");
  } else if (const auto wrong = type.is("", "namespaces") ? check_dns_label(name) : check_dns_subdomain(name)) {
    causes.push_back({"FieldValueInvalid", fmt::format("Invalid value: \"{}\": {}", name, *wrong), "metadata.name"});
  }
  validate_labels(causes, object);
  validate_spec(causes, type, object);
  if (causes.empty()) return {};
  return invalid(type.group, type.kind, name, std::move(causes));
}

}  // namespace fresnel::sim

#include "fresnel/sim/discovery.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <vector>

namespace fresnel::sim {
namespace {

constexpr std::string_view kVersion = "v1.20.2-fresnel-sim";

json::array strings(const std::vector<std::string>& values) {
  json::array array;
  for (const auto& value : values) array.push_back(json::string(value));
  return array;
}

json::array verbs_of(const ResourceType& type) {
  if (type.custom) {
    return {"delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"};
  }
  if (!type.deletes_collection) return {"create", "delete", "get", "list", "patch", "update", "watch"};
  return {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"};
}

json::object subresource(const ResourceType& type, std::string_view name, std::string_view kind, json::array verbs) {
  return {{"name", fmt::format("{}/{}", type.plural, name)},
          {"singularName", ""},
          {"namespaced", type.namespaced},
          {"kind", kind},
          {"verbs", std::move(verbs)}};
}

void add_resource(json::array& resources, const ResourceType& type) {
  json::object resource{{"name", type.plural},
                        {"singularName", type.singular},
                        {"namespaced", type.namespaced},
                        {"kind", type.kind},
                        {"verbs", verbs_of(type)}};
  if (!type.short_names.empty()) resource["shortNames"] = strings(type.short_names);
  if (!type.categories.empty()) resource["categories"] = strings(type.categories);
  resources.push_back(std::move(resource));
  if (type.is("", "namespaces")) {
    resources.push_back(subresource(type, "finalize", type.kind, {"update"}));
  } else if (type.is("", "pods")) {
    resources.push_back(subresource(type, "attach", "PodAttachOptions", {"create", "get"}));
    resources.push_back(subresource(type, "exec", "PodExecOptions", {"create", "get"}));
    resources.push_back(subresource(type, "portforward", "PodPortForwardOptions", {"create", "get"}));
  }
  if (type.has_status) resources.push_back(subresource(type, "status", type.kind, {"get", "patch", "update"}));
}

void add_review(json::array& resources, std::string_view name, std::string_view kind) {
  resources.push_back(json::object{
      {"name", name}, {"singularName", ""}, {"namespaced", false}, {"kind", kind}, {"verbs", json::array{"create"}}});
}

// Groups that have no stored resources, only reviews.
constexpr std::string_view kReviewGroups[] = {"authentication.k8s.io", "authorization.k8s.io"};

std::set<std::string> groups_of(const ResourceTypes& types) {
  std::set<std::string> groups(std::begin(kReviewGroups), std::end(kReviewGroups));
  for (const auto& type : types.all()) {
    if (!type->group.empty()) groups.insert(type->group);
  }
  return groups;
}

std::vector<std::string> versions_of(const ResourceTypes& types, std::string_view group) {
  std::vector<std::string> versions;
  if (std::find(std::begin(kReviewGroups), std::end(kReviewGroups), group) != std::end(kReviewGroups)) {
    versions.emplace_back("v1");
  }
  for (const auto& type : types.all()) {
    const bool known = std::find(versions.begin(), versions.end(), type->version) != versions.end();
    if (type->group == group && !known) versions.push_back(type->version);
  }
  return versions;
}

json::object group_version(std::string_view group, std::string_view version) {
  return {{"groupVersion", fmt::format("{}/{}", group, version)}, {"version", version}};
}

json::object group_document(const ResourceTypes& types, std::string_view group) {
  const auto versions = versions_of(types, group);
  json::array all;
  for (const auto& version : versions) all.push_back(group_version(group, version));
  return {{"name", group}, {"versions", std::move(all)}, {"preferredVersion", group_version(group, versions.front())}};
}

json::object resource_list(const ResourceTypes& types, std::string_view group, std::string_view version) {
  json::array resources;
  for (const auto& type : types.all()) {
    if (type->group == group && type->version == version) add_resource(resources, *type);
  }
  if (group == "authorization.k8s.io") {
    add_review(resources, "selfsubjectaccessreviews", "SelfSubjectAccessReview");
    add_review(resources, "selfsubjectrulesreviews", "SelfSubjectRulesReview");
  } else if (group == "authentication.k8s.io") {
    add_review(resources, "selfsubjectreviews", "SelfSubjectReview");
  }
  json::object list{{"kind", "APIResourceList"}};
  if (!group.empty()) list["apiVersion"] = "v1";
  list["groupVersion"] = group.empty() ? std::string(version) : fmt::format("{}/{}", group, version);
  list["resources"] = std::move(resources);
  return list;
}

json::object group_list(const ResourceTypes& types) {
  json::array groups;
  for (const auto& group : groups_of(types)) groups.push_back(group_document(types, group));
  return {{"kind", "APIGroupList"}, {"apiVersion", "v1"}, {"groups", std::move(groups)}};
}

json::object version_document() {
  return {{"major", "1"},        {"minor", "20"},      {"gitVersion", kVersion},
          {"gitCommit", ""},     {"gitTreeState", ""}, {"buildDate", "1970-01-01T00:00:00Z"},
          {"goVersion", "none"}, {"compiler", "g++"},  {"platform", "linux/amd64"}};
}

}  // namespace

std::optional<json::object> discovery_document(const ResourceTypes& types, std::string_view path,
                                               std::string_view address) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  if (path == "/version") return version_document();
  if (path == "/api") {
    return json::object{{"kind", "APIVersions"},
                        {"versions", json::array{"v1"}},
                        {"serverAddressByClientCIDRs",
                         json::array{json::object{{"clientCIDR", "0.0.0.0/0"}, {"serverAddress", address}}}}};
  }
  if (path == "/api/v1") return resource_list(types, "", "v1");
  if (path == "/apis") return group_list(types);
  if (path.substr(0, 6) != "/apis/") return std::nullopt;
  const auto rest = path.substr(6);
  const auto slash = rest.find('/');
  const auto group = rest.substr(0, slash);
  const auto versions = versions_of(types, group);
  if (versions.empty() || group.empty()) return std::nullopt;
  if (slash == std::string_view::npos) {
    json::object document{{"kind", "APIGroup"}, {"apiVersion", "v1"}};
    for (auto& [name, member] : group_document(types, group)) document[name] = std::move(member);
    return document;
  }
  const auto version = rest.substr(slash + 1);
  if (std::find(versions.begin(), versions.end(), version) == versions.end()) return std::nullopt;
  return resource_list(types, group, version);
}

std::optional<json::object> openapi_v3(const ResourceTypes& types, std::string_view path) {
  constexpr std::string_view kRoot = "/openapi/v3";
  const auto place = [](const ResourceType& type) {
    return type.group.empty() ? "api/" + type.version : "apis/" + type.group_version();
  };
  json::object paths;
  if (path == kRoot) {
    for (const auto& type : types.all()) {
      // The hash makes the address change with the content, which clients cache.
      const auto address = fmt::format("{}/{}?hash={}", kRoot, place(*type), types.all().size());
      paths[place(*type)] = json::object{{"serverRelativeURL", address}};
    }
    return json::object{{"paths", std::move(paths)}};
  }
  for (const auto& type : types.all()) {
    if (path != fmt::format("{}/{}", kRoot, place(*type))) continue;
    const auto address =
        fmt::format("/{}/{}{}/{{name}}", place(*type), type->namespaced ? "namespaces/{namespace}/" : "", type->plural);
    json::object parameter{{"name", "fieldValidation"}, {"in", "query"}, {"schema", json::object{{"type", "string"}}}};
    json::object kind{{"group", type->group}, {"version", type->version}, {"kind", type->kind}};
    paths[address] = json::object{{"patch", json::object{{"operationId", "patch" + type->kind},
                                                         {"parameters", json::array{json::value(std::move(parameter))}},
                                                         {"responses", json::object()},
                                                         {"x-kubernetes-group-version-kind", std::move(kind)}}}};
  }
  if (paths.empty()) return std::nullopt;
  return json::object{{"openapi", "3.0.0"},
                      {"info", json::object{{"title", "Fresnel sim"}, {"version", kVersion}}},
                      {"paths", std::move(paths)}};
}

std::string openapi_v2_protobuf() {
  // Field numbers of openapi.v2.Document: swagger 1, info 2 (title 1, version 2), paths 8.
  const auto field = [](int number, std::string_view value) {
    std::string bytes(1, static_cast<char>(number << 3 | 2));
    bytes += static_cast<char>(value.size());
    return bytes.append(value);
  };
  const auto info = field(1, "Fresnel sim") + field(2, kVersion);
  return field(1, "2.0") + field(2, info) + field(8, "");
}

json::object openapi_v2_json() {
  return {{"swagger", "2.0"},
          {"info", json::object{{"title", "Fresnel sim"}, {"version", kVersion}}},
          {"paths", json::object()}};
}

}  // namespace fresnel::sim

// The resources an API server has: names, verbs, what is special about each. The built-in ones, and those that
// CustomResourceDefinitions add while it runs.
//
// Thread safety: a ResourceType is immutable once registered; ResourceTypes belongs to one thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace fresnel::sim {

// A column of a custom resource's table (CRD additionalPrinterColumns).
struct CustomColumn {
  std::string name;
  std::string type;  // integer, number, string, boolean or date
  std::string description;
  std::string json_path;
  int priority = 0;
};

struct ResourceType {
  std::string group;  // empty: the core group
  std::string version;
  std::string plural;
  std::string kind;
  bool namespaced = true;
  std::vector<std::string> short_names = {};
  std::vector<std::string> categories = {};
  bool has_status = false;      // the status subresource; plain writes then leave status alone, status writes the rest
  bool has_generation = false;  // metadata.generation counts the changes of spec
  bool deletes_collection = true;
  // Field selectors beyond metadata.name and metadata.namespace: dotted paths of strings.
  std::vector<std::string> field_labels = {};
  // kube-apiserver has two ways to say that it does not know a field label; this is the terse one.
  bool terse_field_errors = false;
  // What a bookmark's object has besides kind, apiVersion and metadata, as the real server's typed encoder leaves it.
  std::string bookmark_rest = {};
  bool custom = false;
  std::string singular = {};  // custom resources: the lower-case kind when empty; built-in ones of 1.20 have none
  std::string list_kind = {};
  std::vector<CustomColumn> columns = {};

  [[nodiscard]] std::string group_version() const;   // "v1", "apps/v1"
  [[nodiscard]] std::string qualified_name() const;  // "pods", "deployments.apps"
  [[nodiscard]] bool is(std::string_view in_group, std::string_view in_plural) const noexcept;
};

using ResourceTypePtr = std::shared_ptr<const ResourceType>;

class ResourceTypes {
 public:
  ResourceTypes();  // with the built-in ones

  // Null when there is none.
  [[nodiscard]] ResourceTypePtr find(std::string_view group, std::string_view version, std::string_view plural) const;
  [[nodiscard]] ResourceTypePtr find_kind(std::string_view group_version, std::string_view kind) const;
  // By plural and group, in whatever version: "pods", "deployments.apps". Throws std::out_of_range: for the program's
  // own use of built-in names.
  [[nodiscard]] ResourceTypePtr named(std::string_view qualified_name) const;

  void add(ResourceTypePtr type);
  void remove(const ResourceType& type);

  // Every type, by group, version and plural name.
  [[nodiscard]] const std::vector<ResourceTypePtr>& all() const noexcept { return types_; }

 private:
  std::vector<ResourceTypePtr> types_;
};

// The built-in types; called once by ResourceTypes.
[[nodiscard]] std::vector<ResourceTypePtr> builtin_types();

}  // namespace fresnel::sim

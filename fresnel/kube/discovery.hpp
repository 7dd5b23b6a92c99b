// Which resources an API server has, and what people call them: pods, pod, po, deploy.apps, deployments.v1.apps, Pod.
// Source: Kubernetes API concepts, "API discovery"; names resolve as kubectl resolves them.
//
// Thread safety: ResourceCatalog is a plain value.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "fresnel/base/asio.hpp"
#include "fresnel/base/error.hpp"
#include "fresnel/kube/api_client.hpp"

namespace fresnel::kube {

struct ApiResource {
  std::string group;  // empty: the core group
  std::string version;
  std::string name;  // plural: "pods"
  std::string singular;
  std::string kind;
  bool namespaced = false;
  std::vector<std::string> verbs;
  std::vector<std::string> short_names;

  [[nodiscard]] bool can(std::string_view verb) const noexcept;
  // "v1", "apps/v1"
  [[nodiscard]] std::string group_version() const;
  // "pods", "deployments.apps": what kubectl prints before a name
  [[nodiscard]] std::string qualified_name() const;
  // All namespaces when `ns` is empty; `ns` is ignored for a cluster-scoped resource.
  [[nodiscard]] std::string list_path(std::string_view ns) const;
  [[nodiscard]] std::string object_path(std::string_view ns, std::string_view object_name) const;
};

class ResourceCatalog {
 public:
  struct GroupError {
    std::string group_version;
    Error error;
  };

  ResourceCatalog() = default;
  // `resources` in kubectl's precedence: the core group, then groups in the order of /apis; in a group the preferred
  // version, then the others as listed.
  explicit ResourceCatalog(std::vector<ApiResource> resources, std::vector<GroupError> errors = {})
      : resources_(std::move(resources)), errors_(std::move(errors)) {}

  // Case does not matter. Plural and singular names come before short names, those before kinds; the first in
  // precedence wins. Error not_found: `the server doesn't have a resource type "x"`.
  [[nodiscard]] result<ApiResource> find(std::string_view name) const;

  [[nodiscard]] const std::vector<ApiResource>& resources() const noexcept { return resources_; }
  // Groups that could not be read, such as those of an aggregated API that is down. Their resources are missing.
  [[nodiscard]] const std::vector<GroupError>& errors() const noexcept { return errors_; }

 private:
  std::vector<ApiResource> resources_;
  std::vector<GroupError> errors_;
};

// Reads /api, /apis and then every group version, up to twelve at once. A group that fails is left out and named in
// errors().
[[nodiscard]] awaitable<result<ResourceCatalog>> discover(ApiClient& client);

}  // namespace fresnel::kube

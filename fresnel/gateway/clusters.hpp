// The clusters that a gateway serves, by name. The name is a kubeconfig context's.
//
// Thread safety: immutable after construction; shared by all threads.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "fresnel/base/error.hpp"
#include "fresnel/kube/cluster_context.hpp"
#include "fresnel/kube/kubeconfig.hpp"

namespace fresnel::gateway {

class Clusters {
 public:
  // The first of several entries with one name wins.
  explicit Clusters(std::vector<kube::KubeconfigEntry> entries);
  [[nodiscard]] static Clusters of(const std::vector<kube::ClusterContext>& contexts);

  [[nodiscard]] bool contains(std::string_view name) const { return by_name_.contains(name); }
  // Errors: not_found; unavailable clusters (Error::status 503) say what is wrong in the kubeconfig.
  [[nodiscard]] result<kube::ClusterContext> find(std::string_view name) const;
  [[nodiscard]] const std::vector<kube::KubeconfigEntry>& entries() const noexcept { return entries_; }

  // GET /config: {"clusters":[{"name","server","auth_type","meta_data","error"?}],...} as Headlamp's frontend reads it.
  // `dynamic`: clients may bring clusters of their own.
  [[nodiscard]] std::string config_json(bool dynamic = false) const;

 private:
  std::vector<kube::KubeconfigEntry> entries_;
  std::map<std::string, std::size_t, std::less<>> by_name_;  // index in entries_
};

}  // namespace fresnel::gateway

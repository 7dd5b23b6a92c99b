// Where the gateway's clusters come from, and whether that has changed: kubeconfig files and what they name, a pod's
// service account.
//
// Thread safety: one thread at a time.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fresnel/base/error.hpp"
#include "fresnel/base/file.hpp"
#include "fresnel/gateway/clusters.hpp"
#include "fresnel/kube/in_cluster.hpp"
#include "fresnel/kube/kubeconfig.hpp"

namespace fresnel::gateway {

// The name of the cluster that the gateway runs in, as Headlamp calls it.
inline constexpr std::string_view kInClusterName = "main";

class ClusterFiles {
 public:
  // `in_cluster`: the pod's own cluster too. Without a kubeconfig it is tried of itself, as kubectl does.
  ClusterFiles(kube::KubeconfigOptions kubeconfig, bool in_cluster,
               kube::InCluster pod = kube::InCluster::from_environment());

  // Reads everything. Errors: a kubeconfig that cannot be parsed; not_found says where it looked when there is nothing.
  [[nodiscard]] result<Clusters> load();
  // Whether something that the last load() read, or looked for, is another file now.
  [[nodiscard]] bool changed() const;

 private:
  [[nodiscard]] Error nothing_found(const kube::Kubeconfig& config) const;
  void remember(std::vector<std::string> files);

  kube::KubeconfigOptions kubeconfig_;
  const bool in_cluster_;
  const kube::InCluster pod_;
  std::vector<std::pair<std::string, FileStamp>> stamps_;
};

}  // namespace fresnel::gateway

// Two simulated clusters with a believable life, on a thread of their own: what `fresnel demo` shows.
//
// Thread safety: one thread, which is not the clusters'.
#pragma once

#include <memory>
#include <vector>

#include "fresnel/base/error.hpp"
#include "fresnel/kube/cluster_context.hpp"

namespace fresnel::cli {

struct DemoOptions {
  int pods = 40;      // a cluster, about
  double rate = 4.0;  // changes a second and cluster, about
};

class DemoClusters {
 public:
  explicit DemoClusters(DemoOptions options);
  ~DemoClusters();
  DemoClusters(const DemoClusters&) = delete;
  DemoClusters& operator=(const DemoClusters&) = delete;

  // Listens on free ports of 127.0.0.1 and lets life begin; returns how to reach the clusters.
  [[nodiscard]] result<std::vector<kube::ClusterContext>> start();
  // A kubeconfig file's text with both contexts, for kubectl.
  [[nodiscard]] std::string kubeconfig() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fresnel::cli

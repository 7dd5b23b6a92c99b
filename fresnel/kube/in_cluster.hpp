// The cluster that this program runs in, as its pod's service account.
// Source: https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/
//
// Thread safety: functions without state.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "fresnel/base/error.hpp"
#include "fresnel/kube/cluster_context.hpp"

namespace fresnel::kube {

struct InCluster {
  std::string host;  // $KUBERNETES_SERVICE_HOST
  std::string port;  // $KUBERNETES_SERVICE_PORT
  std::string folder = "/var/run/secrets/kubernetes.io/serviceaccount";

  [[nodiscard]] static InCluster from_environment();
  // Whether this looks like a pod with a service account.
  [[nodiscard]] bool available() const;
  // What a context depends on besides the token, which is read again when it changes.
  [[nodiscard]] std::vector<std::string> depends_on() const { return {folder + "/ca.crt", folder + "/namespace"}; }
  // A context of that name. Errors: invalid_argument, with the variable or the file.
  [[nodiscard]] result<ClusterContext> context(std::string_view name) const;
};

}  // namespace fresnel::kube

// Which clusters a command asks, and how to reach them: straight from the kubeconfig, or through a gateway, where
// `<gateway>/clusters/<name>` stands for each API server.
//
// Thread safety: values; find_targets() runs on the transport's thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "fresnel/base/asio.hpp"
#include "fresnel/cli/resource_args.hpp"
#include "fresnel/kube/cluster_context.hpp"
#include "fresnel/kube/discovery.hpp"
#include "fresnel/kube/kubeconfig.hpp"
#include "fresnel/net/http.hpp"

namespace boost::asio {
class io_context;
}

namespace fresnel::cli {

// The clusters in the order of --context, each once. Without --context: the current context; through a gateway the
// cluster of that name if the gateway has one, else the gateway's first. Errors: not_found, the kubeconfig's, the
// gateway's.
[[nodiscard]] awaitable<result<std::vector<kube::ClusterContext>>> find_targets(ResourceArgs args,
                                                                                kube::KubeconfigOptions kubeconfig,
                                                                                net::HttpTransport& transport);

// The same, with flags and environment of this process, run on `io` until done.
[[nodiscard]] result<std::vector<kube::ClusterContext>> find_targets(const ResourceArgs& args, asio::io_context& io,
                                                                     net::HttpTransport& transport);

// The cluster names in a gateway's /config.
[[nodiscard]] result<std::vector<std::string>> parse_gateway_config(std::string_view json);

// What to ask one cluster for.
struct ResourceTarget {
  kube::ApiResource resource;
  std::string namespace_;  // empty: all, or cluster-scoped
};

// Resolves RESOURCE with the cluster's discovery. Errors: discovery's; unknown resources are kubectl's error.
[[nodiscard]] awaitable<result<ResourceTarget>> find_resource(const ResourceArgs& args, kube::ApiClient& client);

}  // namespace fresnel::cli

#include "fresnel/gateway/clusters.hpp"

#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <utility>

namespace fresnel::gateway {

Clusters::Clusters(std::vector<kube::KubeconfigEntry> entries) {
  for (auto& entry : entries) {
    if (by_name_.emplace(entry.name, entries_.size()).second) entries_.push_back(std::move(entry));
  }
}

Clusters Clusters::of(const std::vector<kube::ClusterContext>& contexts) {
  std::vector<kube::KubeconfigEntry> entries;
  entries.reserve(contexts.size());
  for (const auto& context : contexts) entries.push_back({context.name, context.cluster, context.server, context});
  return Clusters(std::move(entries));
}

result<kube::ClusterContext> Clusters::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) {
    return Error{.code = Errc::not_found, .message = fmt::format("cluster \"{}\" not found", name), .status = 404};
  }
  const auto& context = entries_[found->second].context;
  if (context) return context;
  Error error = context.error();
  error.status = 503;
  return error;
}

std::string Clusters::config_json(bool dynamic) const {
  boost::json::array clusters;
  for (const auto& entry : entries_) {
    boost::json::object cluster;
    cluster["name"] = entry.name;
    cluster["server"] = entry.context ? entry.context->server : entry.server;
    cluster["auth_type"] = "";
    cluster["meta_data"] = boost::json::object{{"source", "kubeconfig"}};
    if (!entry.context) cluster["error"] = entry.context.error().message;
    clusters.push_back(std::move(cluster));
  }
  boost::json::object config;
  config["clusters"] = std::move(clusters);
  config["isDynamicClusterEnabled"] = dynamic;
  config["allowKubeconfigChanges"] = false;
  return boost::json::serialize(config);
}

}  // namespace fresnel::gateway

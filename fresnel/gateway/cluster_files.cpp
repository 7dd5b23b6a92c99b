#include "fresnel/gateway/cluster_files.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace fresnel::gateway {

ClusterFiles::ClusterFiles(kube::KubeconfigOptions kubeconfig, bool in_cluster, kube::InCluster pod)
    : kubeconfig_(std::move(kubeconfig)), in_cluster_(in_cluster), pod_(std::move(pod)) {
  if (!kubeconfig_.sources) kubeconfig_.sources = std::make_shared<kube::CredentialSources>();
}

result<Clusters> ClusterFiles::load() {
  // Stamps before texts: what changes in between is seen as a change the next time.
  for (auto& [file, stamp] : stamps_) stamp = FileStamp::of(file);
  remember(kube::kubeconfig_candidates(kubeconfig_));
  auto config = kube::load_kubeconfig(kubeconfig_);
  if (!config) return config.error();
  remember(config->depends_on);
  auto entries = std::move(config->contexts);
  if (in_cluster_ || (entries.empty() && pod_.available())) {
    auto pod = pod_.context(kInClusterName);
    if (pod && kubeconfig_.sources) pod->source = kubeconfig_.sources->shared(pod->source);
    if (!pod) remember({pod_.folder + "/token"});  // it may come
    const auto server = pod ? pod->server : std::string();
    entries.insert(entries.begin(), {std::string(kInClusterName), std::string(kInClusterName), server, std::move(pod)});
    remember(pod_.depends_on());
  }
  if (entries.empty()) return nothing_found(*config);
  return Clusters(std::move(entries));
}

Error ClusterFiles::nothing_found(const kube::Kubeconfig& config) const {
  if (!config.files.empty()) {
    return Error{.code = Errc::not_found,
                 .message = fmt::format("no contexts in the kubeconfig {}", fmt::join(config.files, ", "))};
  }
  const std::string looked_at = kubeconfig_.env_list.empty()
                                    ? fmt::format("at {}/.kube/config (KUBECONFIG is not set)", kubeconfig_.home)
                                    : fmt::format("at KUBECONFIG={}", kubeconfig_.env_list);
  return Error{.code = Errc::not_found,
               .message = fmt::format("no kubeconfig: looked {}; --kubeconfig FILE names one", looked_at)};
}

void ClusterFiles::remember(std::vector<std::string> files) {
  for (auto& file : files) {
    const auto known = std::find_if(stamps_.begin(), stamps_.end(), [&](const auto& s) { return s.first == file; });
    const auto stamp = FileStamp::of(file);
    if (known != stamps_.end()) continue;
    stamps_.emplace_back(std::move(file), stamp);
  }
}

bool ClusterFiles::changed() const {
  return std::any_of(stamps_.begin(), stamps_.end(), [](const auto& s) { return FileStamp::of(s.first) != s.second; });
}

}  // namespace fresnel::gateway

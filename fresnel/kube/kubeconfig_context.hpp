// From a context's name in kubeconfig files to a ClusterContext: files are read, data is decoded, what makes no sense
// is refused. Internal to kube.
//
// Thread safety: as CredentialSources.
#pragma once

#include <set>
#include <string>

#include "fresnel/base/error.hpp"
#include "fresnel/kube/cluster_context.hpp"
#include "fresnel/kube/credential_sources.hpp"
#include "fresnel/kube/kubeconfig_sections.hpp"

namespace fresnel::kube {

struct ContextRules {
  // The text came from a client: nothing that it names is opened, run or connected through.
  bool inline_only = false;
  CredentialSources* sources = nullptr;         // null: nothing is shared with other contexts
  std::set<std::string>* read_files = nullptr;  // where to note the files whose text the context depends on
};

[[nodiscard]] result<ClusterContext> resolve_context(const Sections& sections, const Section& context,
                                                     const ContextRules& rules);

}  // namespace fresnel::kube

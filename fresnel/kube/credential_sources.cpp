#include "fresnel/kube/credential_sources.hpp"

namespace fresnel::kube {

std::shared_ptr<CredentialSource> CredentialSources::shared(std::shared_ptr<CredentialSource> made) {
  const std::lock_guard lock(mutex_);
  std::erase_if(sources_, [](const auto& known) { return known.second.expired(); });
  auto& known = sources_[made->identity()];
  if (auto in_use = known.lock()) return in_use;
  known = made;
  return made;
}

}  // namespace fresnel::kube

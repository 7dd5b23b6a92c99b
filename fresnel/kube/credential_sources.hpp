// The credential sources of a program, so that contexts of one user share one: its plugin runs once for all of them,
// and a kubeconfig that is read again goes on with what is cached.
//
// Thread safety: any thread.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "fresnel/kube/credential_source.hpp"

namespace fresnel::kube {

class CredentialSources {
 public:
  // The source with the identity of `made` that is in use already, else `made`.
  [[nodiscard]] std::shared_ptr<CredentialSource> shared(std::shared_ptr<CredentialSource> made);

 private:
  std::mutex mutex_;
  std::map<std::string, std::weak_ptr<CredentialSource>> sources_;
};

}  // namespace fresnel::kube

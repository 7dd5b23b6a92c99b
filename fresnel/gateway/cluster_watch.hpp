// Looks once a second whether the gateway's clusters have changed: other kubeconfig files, another token in a token's
// file, a credential that a plugin has renewed. What is open moves there without a gap. Internal to gateway.
//
// Thread safety: the executor's thread, but for the constructor and stop().
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "fresnel/base/asio.hpp"
#include "fresnel/base/clock.hpp"
#include "fresnel/gateway/cluster_files.hpp"
#include "fresnel/gateway/worker.hpp"

namespace fresnel::gateway {

class ClusterWatch {
 public:
  // `shared` must outlive the executor's work; `files` may be null.
  ClusterWatch(Shared& shared, const Executor& executor, std::shared_ptr<ClusterFiles> files);
  // From any thread. Nothing is looked at afterwards.
  void stop();

 private:
  class Loop;
  std::shared_ptr<Loop> loop_;
};

}  // namespace fresnel::gateway

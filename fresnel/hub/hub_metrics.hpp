// Counters of the data path, one set a cluster.
//
// Thread safety: any thread. for_cluster() locks and is for joins, never for an event; the counters are atomics.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace fresnel::hub {

struct ClusterMetrics {
  std::atomic<std::int64_t> upstream_watches{0};  // streams that follow an API server
  std::atomic<std::int64_t> subscriptions{0};     // joined to them
  std::atomic<std::uint64_t> events_in{0};        // from API servers, BOOKMARKs included
  std::atomic<std::uint64_t> events_out{0};       // handed to subscribers
  // Once for all subscribers that follow, and for all joiners that come close together. Not counted: an ADDED made of a
  // MODIFIED for those who lag.
  std::atomic<std::uint64_t> escaped{0};     // events escaped for multiplexers
  std::atomic<std::uint64_t> compressed{0};  // texts compressed
  std::atomic<std::uint64_t> relists{0};     // after a 410
  std::atomic<std::uint64_t> expired{0};     // subscribers that returned with a version too old to serve
};

class HubMetrics {
 public:
  [[nodiscard]] std::shared_ptr<ClusterMetrics> for_cluster(const std::string& cluster) {
    const std::lock_guard lock(mutex_);
    auto& metrics = clusters_[cluster];
    if (!metrics) metrics = std::make_shared<ClusterMetrics>();
    return metrics;
  }

  void visit(const std::function<void(const std::string& cluster, const ClusterMetrics&)>& visitor) const {
    const std::lock_guard lock(mutex_);
    for (const auto& [cluster, metrics] : clusters_) visitor(cluster, *metrics);
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<ClusterMetrics>> clusters_;
};

}  // namespace fresnel::hub

// Clusters that clients bring themselves: a kubeconfig in each HTTP request, which a browser's WebSocket cannot carry.
// The last one that a user sent for a cluster is kept for a while under the user's id, for sockets that name it.
//
// A user's id is what a browser made up for itself. Whoever knows it may use the clusters kept under it: so it has to
// be long, is never logged, and is kept as a digest only. It selects nothing but what was sent with it.
// What such a kubeconfig names is never opened or run (kube::parse_untrusted_kubeconfig).
//
// Bounds: max_contexts of all, max_contexts_a_user; beyond, the one that was used least recently goes.
//
// Thread safety: any thread.
#pragma once

#include <cstddef>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "fresnel/base/clock.hpp"
#include "fresnel/base/error.hpp"
#include "fresnel/kube/cluster_context.hpp"
#include "fresnel/net/http.hpp"

namespace fresnel::gateway {

struct DynamicClusterLimits {
  Duration lifetime = seconds(600);  // since it was used last
  std::size_t max_contexts = 10'000;
  std::size_t max_contexts_a_user = 100;
  std::size_t max_kubeconfig = 45u << 10;  // bytes, decoded; a request's header has 64 KiB at most
  std::size_t min_user_id = 16;            // characters
};

inline constexpr std::string_view kKubeconfigField = "KUBECONFIG";
inline constexpr std::string_view kUserIdField = "X-HEADLAMP-USER-ID";
// What a WebSocket's subprotocol begins with that carries a user's id.
inline constexpr std::string_view kUserIdProtocol = "base64url.headlamp.authorization.k8s.io.";

// The id in the header field or the subprotocol, empty when there is none.
[[nodiscard]] std::string user_id_of(const net::Headers& headers);

class DynamicClusters {
 public:
  explicit DynamicClusters(Clock& clock, DynamicClusterLimits limits = {}) : clock_(clock), limits_(limits) {}

  // The context `cluster` of the request's KUBECONFIG (base64). Errors: invalid_argument when it cannot be read,
  // not_found when it has no such context.
  [[nodiscard]] result<kube::ClusterContext> read(const net::Headers& headers, std::string_view cluster) const;
  // Keeps the context, with the credential that it has now: no other goes to its server later.
  void keep(std::string_view user_id, const kube::ClusterContext& context);
  [[nodiscard]] std::optional<kube::ClusterContext> find(std::string_view cluster, std::string_view user_id);
  [[nodiscard]] std::size_t size() const;

 private:
  struct Entry {
    std::string user;  // a digest
    kube::ClusterContext context;
    TimePoint used;
  };
  using Entries = std::list<Entry>;                 // the one used last in front
  using Key = std::pair<std::string, std::string>;  // user's digest, cluster

  void drop(Entries::iterator entry);
  void drop_expired(TimePoint now);
  void make_room(const std::string& user);

  Clock& clock_;
  const DynamicClusterLimits limits_;
  mutable std::mutex mutex_;
  Entries entries_;
  std::map<Key, Entries::iterator> by_key_;
  std::map<std::string, std::size_t> of_user_;
};

}  // namespace fresnel::gateway

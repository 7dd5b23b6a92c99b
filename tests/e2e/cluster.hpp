// A cluster for the end-to-end tests: the simulation and the real kube-apiserver behind one face.
//
// Thread safety: one thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/http.hpp"

namespace fresnel::test {

class Cluster {
 public:
  virtual ~Cluster() = default;

  [[nodiscard]] virtual std::uint16_t port() const = 0;
  // A kubeconfig whose one context `name` reaches this cluster through `port`, as its administrator.
  [[nodiscard]] virtual std::string kubeconfig(std::string_view name, std::uint16_t port) const = 0;
  // The same as another user: `entry` is what stands behind `user:`, in one line. admin-token and second-token are
  // administrators'; alice-token's user may do nothing.
  [[nodiscard]] virtual std::string kubeconfig_of(std::string_view name, std::uint16_t port,
                                                  std::string_view entry) const = 0;
  // One blocking request as the administrator, past any Link.
  [[nodiscard]] virtual HttpReply request(std::string_view method, std::string_view path, std::string body = {},
                                          std::string_view content_type = "application/json") = 0;

  virtual void kill() = 0;
  virtual void restart() = 0;  // on the same port with the same objects
  virtual void pause() = 0;    // its connections stay open, and nothing comes
  virtual void resume() = 0;
  // restore() brings back the state of the last back_up(), its revisions included, and restarts the server.
  virtual void back_up() = 0;
  virtual void restore() = 0;
  // As kubeconfig(), for a user who may follow the configmaps of these namespaces only.
  [[nodiscard]] virtual std::string limited_kubeconfig(std::string_view name, std::uint16_t port,
                                                       const std::vector<std::string>& namespaces) = 0;
  // Makes every version up to now too old to watch from, for a server that is running or not.
  virtual void compact() = 0;
  // Clients' watches of configmaps that are open now.
  [[nodiscard]] virtual int open_watches() = 0;

  // (uid, resourceVersion) of everything that a fresh LIST holds.
  [[nodiscard]] std::set<std::pair<std::string, std::string>> truth(std::string_view list_path);
  // The list's own resourceVersion.
  [[nodiscard]] std::string list_version(std::string_view list_path);

  void create_namespace(std::string_view name);
  // Each throws std::runtime_error with the server's answer when it is refused.
  void put(std::string_view ns, std::string_view name, std::string_view value, std::string_view label = "");
  void change(std::string_view ns, std::string_view name, std::string_view value);
  void remove(std::string_view ns, std::string_view name);
};

// The parameters of the tests: "sim" always, "real" when KUBEBUILDER_ASSETS or CI is set.
[[nodiscard]] std::vector<std::string> cluster_kinds();
[[nodiscard]] Cluster& sim_cluster();
[[nodiscard]] Cluster& real_cluster();
// The one cluster of that kind in this program.
[[nodiscard]] Cluster& cluster(std::string_view kind);

[[nodiscard]] inline std::string configmaps(std::string_view ns) {
  return "/api/v1/namespaces/" + std::string(ns) + "/configmaps";
}

}  // namespace fresnel::test

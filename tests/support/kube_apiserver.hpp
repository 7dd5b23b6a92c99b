// A real kube-apiserver on a real etcd, started for a test and gone with it.
//
// The programs come from the folder that KUBEBUILDER_ASSETS names (the ecosystem's convention: kube-apiserver and etcd
// in one folder, as setup-envtest leaves them). A start takes about 8 s and 320 MB, so a test program shares one:
//
//   auto& server = KubeApiServer::shared();
//   ApiClient client(... server.kubeconfig_file() ...);
//
// There is no kubelet, scheduler or controller manager: pods stay Pending, deployments make no pods, and tests change
// objects through the API.
//
// Thread safety: one thread, which must outlive the server (see process.hpp).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/http.hpp"

namespace fresnel::test {

struct KubeUser {
  std::string name;
  std::string token;
  std::string group = {};  // system:masters may do everything; without a group a user may do nothing until granted
};

class KubeApiServer {
 public:
  // True when KUBEBUILDER_ASSETS names a folder with both programs, or when CI is set: there a missing server must
  // fail the tests (start throws), not skip them. Programs instantiate their real-server cases when this is true.
  [[nodiscard]] static bool wanted();
  // The one server of this test program: started at the first call, ended with the program.
  [[nodiscard]] static KubeApiServer& shared();

  // Starts both and waits until /readyz answers. Throws std::runtime_error, with the end of the log, when it does not.
  explicit KubeApiServer(std::vector<std::string> extra_arguments = {});
  ~KubeApiServer();
  KubeApiServer(const KubeApiServer&) = delete;
  KubeApiServer& operator=(const KubeApiServer&) = delete;

  [[nodiscard]] std::string url() const;  // https://127.0.0.1:PORT
  [[nodiscard]] std::uint16_t port() const noexcept;
  [[nodiscard]] std::filesystem::path ca_file() const;
  [[nodiscard]] std::string ca_pem() const;

  // admin and second (system:masters), and alice, bob and mallory, who may do nothing until grant().
  [[nodiscard]] const KubeUser& user(std::string_view name) const;
  [[nodiscard]] const std::string& admin_token() const { return user("admin").token; }
  // Another user. kube-apiserver reads its token file at start only, so this restarts it.
  void add_user(KubeUser user);
  // Allows `verbs` on `resources` of the core and apps groups in every namespace, through a ClusterRole and its
  // binding; waits until the server acts on it. revoke() takes all of a user's grants back.
  void grant(std::string_view user, std::vector<std::string> verbs, std::vector<std::string> resources);
  void revoke(std::string_view user);

  // A kubeconfig file with one context (also the cluster's and the user's name) for a user of this server.
  [[nodiscard]] std::filesystem::path kubeconfig_file(std::string_view context = "real",
                                                      std::string_view user = "admin") const;

  // The API server's own ends and starts; etcd and its data stay. start_server() comes back on the same port.
  void stop_server();  // SIGTERM, waits for the end; kube-apiserver ends its watches first
  void kill_server();  // SIGKILL
  void start_server(std::vector<std::string> extra_arguments = {});
  void pause_server();   // SIGSTOP: connections stay open and silent
  void resume_server();  // SIGCONT

  // Compacts etcd's history up to now, so that a watch from before gets 410. The API server's watch cache still covers
  // recent changes: it answers such a watch until a restart, unless the server was started with --watch-cache=false.
  // Returns the revision.
  std::int64_t compact();

  // Keeps a copy of etcd's data as it is now; restore() puts it back, with both programs restarted on the same ports:
  // the revisions since then are used again.
  void back_up();
  void restore();

  // One blocking request as a user. `path` begins with '/'; an object in `body` is JSON unless `content_type` says so.
  [[nodiscard]] HttpReply request(std::string_view method, std::string_view path, std::string body = {},
                                  std::string_view content_type = "application/json",
                                  std::string_view user = "admin") const;

  [[nodiscard]] std::filesystem::path log_file() const;
  // The last lines of the API server's log, for a failure's message.
  [[nodiscard]] std::string log_tail(std::size_t lines = 40) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fresnel::test

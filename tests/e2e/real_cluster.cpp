#include <sstream>
#include <stdexcept>

#include "tests/e2e/cluster.hpp"
#include "tests/support/kube_apiserver.hpp"
#include "tests/support/wait.hpp"

namespace fresnel::test {
namespace {

class RealCluster final : public Cluster {
 public:
  std::uint16_t port() const override { return server_.port(); }

  std::string kubeconfig(std::string_view name, std::uint16_t port) const override {
    return kubeconfig_of(name, port, "{token: " + server_.admin_token() + "}");
  }

  std::string limited_kubeconfig(std::string_view name, std::uint16_t port,
                                 const std::vector<std::string>& namespaces) override {
    for (const auto& ns : namespaces) grant_configmaps(ns);
    return kubeconfig_of(name, port, "{token: " + server_.user("alice").token + "}");
  }

  HttpReply request(std::string_view method, std::string_view path, std::string body,
                    std::string_view content_type) override {
    return server_.request(method, path, std::move(body), content_type);
  }

  void kill() override { server_.kill_server(); }
  void restart() override { server_.start_server(); }
  void pause() override { server_.pause_server(); }
  void resume() override { server_.resume_server(); }
  void back_up() override { server_.back_up(); }
  void restore() override { server_.restore(); }

  // The API server answers old versions from its watch cache until it starts anew.
  void compact() override {
    server_.compact();
    server_.kill_server();
    server_.start_server();
  }

  int open_watches() override {
    std::istringstream lines(server_.request("GET", "/metrics").body);
    int open = 0;
    for (std::string line; std::getline(lines, line);) {
      const bool counts = line.starts_with("apiserver_longrunning_gauge") &&
                          line.find("resource=\"configmaps\"") != std::string::npos &&
                          line.find("verb=\"WATCH\"") != std::string::npos;
      if (counts) open += std::stoi(line.substr(line.rfind(' ') + 1));
    }
    return open;
  }

  std::string kubeconfig_of(std::string_view name, std::uint16_t port, std::string_view entry) const override {
    const std::string id(name);
    return "apiVersion: v1\nkind: Config\ncurrent-context: " + id + "\ncontexts:\n- name: " + id +
           "\n  context: {cluster: c, user: u}\nclusters:\n- name: c\n  cluster:\n    server: https://127.0.0.1:" +
           std::to_string(port) + "\n    certificate-authority: " + server_.ca_file().string() +
           "\nusers:\n- name: u\n  user: " + std::string(entry) + "\n";
  }

 private:
  void grant_configmaps(const std::string& ns) {
    const std::string rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/" + ns;
    const std::string name = R"({"metadata":{"name":"limited"},)";
    (void)server_.request("POST", rbac + "/roles",
                          name + R"("rules":[{"apiGroups":[""],"resources":["configmaps"],)"
                                 R"("verbs":["get","list","watch"]}]})");
    (void)server_.request("POST", rbac + "/rolebindings",
                          name +
                              R"("roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"limited"},)"
                              R"("subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"alice"}]})");
    const auto allowed = [&] { return server_.request("GET", configmaps(ns), {}, {}, "alice").status == 200; };
    if (!ask_until(allowed, 10s)) throw std::runtime_error("the server does not act on a RoleBinding");
  }

  KubeApiServer& server_ = KubeApiServer::shared();
};

}  // namespace

Cluster& real_cluster() {
  static RealCluster cluster;
  return cluster;
}

}  // namespace fresnel::test

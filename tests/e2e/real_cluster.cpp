#include <sstream>

#include "tests/e2e/cluster.hpp"
#include "tests/support/kube_apiserver.hpp"

namespace fresnel::test {
namespace {

class RealCluster final : public Cluster {
 public:
  std::uint16_t port() const override { return server_.port(); }

  std::string kubeconfig(std::string_view name, std::uint16_t port) const override {
    const std::string id(name);
    return "apiVersion: v1\nkind: Config\ncurrent-context: " + id + "\ncontexts:\n- name: " + id +
           "\n  context: {cluster: c, user: u}\nclusters:\n- name: c\n  cluster:\n    server: https://127.0.0.1:" +
           std::to_string(port) + "\n    certificate-authority: " + server_.ca_file().string() +
           "\nusers:\n- name: u\n  user: {token: " + server_.admin_token() + "}\n";
  }

  HttpReply request(std::string_view method, std::string_view path, std::string body,
                    std::string_view content_type) override {
    return server_.request(method, path, std::move(body), content_type);
  }

  void kill() override { server_.kill_server(); }
  void restart() override { server_.start_server(); }

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

 private:
  KubeApiServer& server_ = KubeApiServer::shared();
};

}  // namespace

Cluster& real_cluster() {
  static RealCluster cluster;
  return cluster;
}

}  // namespace fresnel::test

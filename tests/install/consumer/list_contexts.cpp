// Prints the contexts of the kubeconfig, and proves that the library's compiled parts are there.
#include <cstdio>
#include <string>

#include "fresnel/kube/kubeconfig.hpp"
#include "fresnel/kube/watch_event.hpp"

int main() {
  const auto config = fresnel::kube::load_kubeconfig(fresnel::kube::KubeconfigOptions::from_environment());
  if (!config) {
    std::fprintf(stderr, "%s\n", config.error().message.c_str());
    return 1;
  }
  for (const auto& entry : config->contexts) std::printf("%s %s\n", entry.name.c_str(), entry.server.c_str());

  const auto event = fresnel::kube::parse_watch_event(fresnel::SharedBytes(
      std::string(R"({"type":"ADDED","object":{"metadata":{"name":"web","uid":"u1","resourceVersion":"7"}}})")));
  if (!event) return 2;
  std::printf("event of %s at %s\n", std::string(event->name).c_str(), std::string(event->resource_version).c_str());
}

#include "fresnel/kube/in_cluster.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <memory>

#include "fresnel/base/file.hpp"
#include "fresnel/kube/token_file.hpp"

namespace fresnel::kube {
namespace {

constexpr std::size_t kMaxFile = 4u << 20;  // bytes

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

std::string trimmed(std::string text) {
  text.erase(text.find_last_not_of(" \t\r\n") + 1);
  return text;
}

}  // namespace

InCluster InCluster::from_environment() {
  InCluster in_cluster;
  in_cluster.host = environment("KUBERNETES_SERVICE_HOST");
  in_cluster.port = environment("KUBERNETES_SERVICE_PORT");
  return in_cluster;
}

bool InCluster::available() const { return !host.empty() && !port.empty() && FileStamp::of(folder + "/token").exists; }

result<ClusterContext> InCluster::context(std::string_view name) const {
  if (host.empty() || port.empty()) {
    return Error{
        Errc::invalid_argument,
        "in-cluster: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set; expected to run in a pod"};
  }
  ClusterContext context;
  context.name = std::string(name);
  context.cluster = context.name;
  context.user = "service account";
  context.server = fmt::format("https://{}:{}", host.find(':') == std::string::npos ? host : "[" + host + "]", port);
  auto ca = read_file(folder + "/ca.crt", kMaxFile);
  if (!ca) return Error{Errc::invalid_argument, "in-cluster: certificate authority: " + ca.error().message};
  if (auto ns = read_file(folder + "/namespace", kMaxFile); ns && !trimmed(*ns).empty()) {
    context.default_namespace = trimmed(*std::move(ns));
  }
  net::TlsOptions tls;
  tls.ca_pem = *std::move(ca);
  context.tls = std::make_shared<const net::TlsOptions>(std::move(tls));
  auto token = std::make_shared<TokenFile>(folder + "/token", "in-cluster: token");
  if (const auto readable = token->read(); !readable) {
    return Error{Errc::invalid_argument, readable.error().message};
  }
  context.source = std::move(token);
  return context;
}

}  // namespace fresnel::kube

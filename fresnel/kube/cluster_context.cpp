#include "fresnel/kube/cluster_context.hpp"

#include <utility>

#include "fresnel/net/digest.hpp"

namespace fresnel::kube {
namespace {

std::shared_ptr<const net::TlsOptions> with_certificate(const std::shared_ptr<const net::TlsOptions>& tls,
                                                        const Credential& credential) {
  net::TlsOptions options = tls ? *tls : net::TlsOptions{};
  options.client_cert_pem = credential.client_cert_pem;
  options.client_key_pem = credential.client_key_pem;
  if (tls && options == *tls) return tls;
  return std::make_shared<const net::TlsOptions>(std::move(options));
}

}  // namespace

std::string ClusterContext::identity() const {
  const auto digest = [](const std::string& text) { return net::sha256_hex(text); };
  std::string parts = digest(server) + digest(proxy_url);
  if (tls) {
    parts += digest(tls->ca_pem) + digest(tls->server_name) + (tls->insecure_skip_verify ? "insecure" : "verified");
  }
  // What the source does not give, impersonation, stays the context's.
  if (source) parts += "source " + source->identity();
  return digest(parts + credential.identity());
}

ClusterContext ClusterContext::with_credential(Credential other) const {
  ClusterContext context = *this;
  context.tls = with_certificate(tls, other);
  context.user.clear();
  context.credential = std::move(other);
  context.source = nullptr;
  return context;
}

awaitable<result<ClusterContext>> ClusterContext::current(ClusterContext context) {
  if (!context.source) co_return context;
  auto asking = context.source->get();
  auto given = co_await std::move(asking);
  if (!given) co_return given.error();
  given->impersonate = std::move(context.credential.impersonate);
  context.credential = *std::move(given);
  context.tls = with_certificate(context.tls, context.credential);
  co_return context;
}

}  // namespace fresnel::kube

// How to reach one cluster, and as whom.
//
// Thread safety: plain values; TlsOptions and sources are shared.
#pragma once

#include <memory>
#include <string>

#include "fresnel/kube/credential.hpp"
#include "fresnel/kube/credential_source.hpp"
#include "fresnel/net/tls.hpp"

namespace fresnel::kube {

// One context of a kubeconfig, resolved: files are read, data is decoded, paths are absolute.
struct ClusterContext {
  std::string name;  // the context's
  std::string cluster;
  std::string user;    // empty: none
  std::string server;  // http or https URL, with an optional path prefix, without a trailing slash
  std::string default_namespace = "default";
  std::string proxy_url;                       // http, https or socks5; empty: as the environment says (net/proxy.hpp)
  std::shared_ptr<const net::TlsOptions> tls;  // carries the client certificate too; null: system roots
  Credential credential;
  std::shared_ptr<CredentialSource> source = nullptr;  // null: the credential stays as it is
  // From a kubeconfig that a client sent. Its server may be anything, this program's own listener too: requests say by
  // `Via` (RFC 9110 section 7.6.3) that they were passed on, so that nothing is lent to them.
  bool brought_by_client = false;

  // Stands in keys for how the cluster is reached and as whom: equal only when answers would be. With a source it stays
  // while the source's tokens come and go.
  [[nodiscard]] std::string identity() const;
  // The same cluster asked as somebody else: this context's own token, certificate and source are gone.
  [[nodiscard]] ClusterContext with_credential(Credential other) const;
  // The same, with the credential that its source gives now. Impersonation stays. Errors: the source's.
  [[nodiscard]] static awaitable<result<ClusterContext>> current(ClusterContext context);
};

}  // namespace fresnel::kube

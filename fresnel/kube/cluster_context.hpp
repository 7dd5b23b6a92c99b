// How to reach one cluster, and as whom.
//
// Thread safety: plain values; TlsOptions is shared read-only.
#pragma once

#include <memory>
#include <string>

#include "fresnel/net/tls.hpp"

namespace fresnel::kube {

// What proves to an API server who is asking. A default one is anonymous.
struct Credential {
  std::string bearer_token;
  std::string client_cert_pem;
  std::string client_key_pem;

  // SHA-256 in hex: equal exactly when the credentials are equal, so that it can stand for them in a key.
  // The secret cannot be read from it. Still keep it out of logs: it would tie a user's requests together.
  [[nodiscard]] std::string identity() const;
  [[nodiscard]] bool anonymous() const noexcept { return bearer_token.empty() && client_cert_pem.empty(); }

  friend bool operator==(const Credential&, const Credential&) = default;
};

// One context of a kubeconfig, resolved: files are read, data is decoded, paths are absolute.
struct ClusterContext {
  std::string name;  // the context's
  std::string cluster;
  std::string user;    // empty: none
  std::string server;  // http or https URL, with an optional path prefix, without a trailing slash
  std::string default_namespace = "default";
  std::shared_ptr<const net::TlsOptions> tls;  // carries the client certificate too; null: system roots
  Credential credential;

  // The same cluster asked as somebody else: this context's own token and certificate are gone.
  [[nodiscard]] ClusterContext with_credential(Credential other) const;
};

}  // namespace fresnel::kube

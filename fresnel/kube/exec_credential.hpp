// What is said between a Kubernetes client and an exec credential plugin: the ExecCredential of
// client.authentication.k8s.io/v1 and /v1beta1. The plugin gets one in KUBERNETES_EXEC_INFO and prints one:
//
//   {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
//    "status": {"expirationTimestamp": RFC 3339,
//               "token": TOKEN, "clientCertificateData": PEM, "clientKeyData": PEM}}
//
// status holds a token, or a certificate with its key, or all three. Fields not named here are passed over.
//
// Thread safety: pure functions.
// Source: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#input-and-output-formats
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "fresnel/base/clock.hpp"
#include "fresnel/base/error.hpp"
#include "fresnel/kube/credential.hpp"

namespace fresnel::kube {

// The cluster a credential is for, as a plugin with provideClusterInfo is told. Empty fields are left out.
struct ExecCluster {
  std::string server;
  std::string tls_server_name;
  bool insecure_skip_tls_verify = false;
  std::string certificate_authority_pem;
  std::string proxy_url;

  friend bool operator==(const ExecCluster&, const ExecCluster&) = default;
};

struct ExecCredential {
  Credential credential;
  std::optional<WallTime> expires;  // none: it is good until it is refused

  friend bool operator==(const ExecCredential&, const ExecCredential&) = default;
};

// Errors: invalid_argument, which names the versions there are.
[[nodiscard]] result<void> check_exec_api_version(std::string_view api_version);

// The value of KUBERNETES_EXEC_INFO. `cluster` is null without provideClusterInfo.
[[nodiscard]] std::string exec_info(std::string_view api_version, const ExecCluster* cluster);

// What a plugin printed; `api_version` is the configured one. Errors: protocol, with the field and what was expected of
// it, and nothing of what the plugin printed other than a wrong apiVersion or kind.
[[nodiscard]] result<ExecCredential> parse_exec_credential(std::string_view api_version, std::string_view printed);

}  // namespace fresnel::kube

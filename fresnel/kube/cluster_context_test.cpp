#include "fresnel/kube/cluster_context.hpp"

#include <gtest/gtest.h>

#include <set>

namespace fresnel::kube {
namespace {

TEST(Credential, IdentitiesAreEqualExactlyWhenCredentialsAre) {
  const std::vector<Credential> all = {{},
                                       {.bearer_token = "ab"},
                                       {.bearer_token = "a", .client_cert_pem = "b"},
                                       {.client_cert_pem = "ab"},
                                       {.client_cert_pem = "a", .client_key_pem = "b"},
                                       {.client_key_pem = "ab"}};
  std::set<std::string> identities;
  for (const auto& credential : all) {
    EXPECT_EQ(credential.identity(), Credential(credential).identity());
    identities.insert(credential.identity());
  }
  EXPECT_EQ(identities.size(), all.size());
}

TEST(Credential, TheIdentityIsADigestWithoutTheSecret) {
  const Credential credential{.bearer_token = "c0ffee"};
  EXPECT_EQ(credential.identity().size(), 64u);
  EXPECT_EQ(credential.identity().find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_EQ(credential.identity().find("c0ffee"), std::string::npos);
}

TEST(ClusterContext, AnotherCredentialReplacesTokenAndCertificateButKeepsTheTrust) {
  ClusterContext context{.name = "prod", .user = "admin", .server = "https://k8s"};
  context.tls = std::make_shared<const net::TlsOptions>(
      net::TlsOptions{.ca_pem = "CA", .client_cert_pem = "CERT", .client_key_pem = "KEY", .server_name = "k8s.local"});
  context.credential = {.bearer_token = "admin-token", .client_cert_pem = "CERT", .client_key_pem = "KEY"};

  const auto other = context.with_credential({.bearer_token = "user-token"});
  EXPECT_EQ(other.credential, (Credential{.bearer_token = "user-token"}));
  EXPECT_EQ(other.tls->ca_pem, "CA");
  EXPECT_EQ(other.tls->server_name, "k8s.local");
  EXPECT_EQ(other.tls->client_cert_pem, "");
  EXPECT_EQ(other.tls->client_key_pem, "");
  EXPECT_EQ(other.user, "");
  EXPECT_EQ(other.server, "https://k8s");
  EXPECT_EQ(context.tls->client_cert_pem, "CERT");
}

}  // namespace
}  // namespace fresnel::kube

// What proves to an API server who is asking.
//
// Thread safety: plain values.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "fresnel/net/http.hpp"

namespace fresnel::kube {

// As whom the holder of a credential wants to be seen.
// Source: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation
struct Impersonation {
  std::string user;
  std::string uid;
  std::vector<std::string> groups;
  std::map<std::string, std::vector<std::string>> extra;

  [[nodiscard]] bool empty() const noexcept { return user.empty() && uid.empty() && groups.empty() && extra.empty(); }
  friend bool operator==(const Impersonation&, const Impersonation&) = default;
};

// A default one is anonymous.
struct Credential {
  std::string bearer_token;
  std::string client_cert_pem;
  std::string client_key_pem;
  std::string username;  // HTTP Basic, together with the password; a bearer token goes before it
  std::string password;
  Impersonation impersonate = {};

  // SHA-256 in hex: equal exactly when the credentials are equal, so that it can stand for them in a key.
  // The secret cannot be read from it. Still keep it out of logs: it would tie a user's requests together.
  [[nodiscard]] std::string identity() const;
  [[nodiscard]] bool anonymous() const noexcept {
    return bearer_token.empty() && client_cert_pem.empty() && username.empty();
  }
  // Sets Authorization and the Impersonate- fields. Fields of those names that are there already are replaced.
  void authorize(net::Headers& headers) const;

  friend bool operator==(const Credential&, const Credential&) = default;
};

}  // namespace fresnel::kube

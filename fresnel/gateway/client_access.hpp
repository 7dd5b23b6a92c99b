// What one client may ask for, and as whom: the tokens that it has brought, by cluster.
//
// Of several for one cluster the strongest is: the one that came last over the open connection (a REQUEST's token, or
// set-token by the same browser); the connection's Authorization or bearer subprotocol; a cookie. A connection's bearer
// token belongs to the first cluster that it is used for and goes to no other.
//
// Impersonate- fields of the client's request count where the cluster's own credential impersonates nobody: the API
// server decides whether the client may.
//
// Thread safety: the connection's thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "fresnel/base/error.hpp"
#include "fresnel/gateway/token_cookies.hpp"
#include "fresnel/kube/cluster_context.hpp"
#include "fresnel/net/http.hpp"
#include "fresnel/session/live_sessions.hpp"

namespace fresnel::gateway {

class ClientAccess {
 public:
  // Of a request. Error unauthorized: what is there as a credential cannot be read.
  [[nodiscard]] static result<ClientAccess> of(const net::Headers& headers, bool anonymous_allowed);

  // `cluster` as the client may use it. Error unauthorized when it has no token for it and may not do without.
  [[nodiscard]] result<kube::ClusterContext> as_client(const kube::ClusterContext& cluster);
  // The same for a cluster of the client's own, from a kubeconfig that came with this request: with that one's
  // credential if it has one.
  [[nodiscard]] result<kube::ClusterContext> as_owner(const kube::ClusterContext& cluster);
  // From now on; empty: none any more. False when it was that already. What is open is told by sessions().refresh().
  bool take_token(std::string_view cluster, std::string_view token);
  // The same for a token that the client's browser has stored, in the place of `old`: not where the connection asks
  // with another one, of its own.
  bool take_stored_token(const std::string& cluster, std::string_view old, std::string_view token);
  // Whether the client has any token, or needs none.
  [[nodiscard]] bool may_use_some_cluster() const noexcept {
    return anonymous_allowed_ || !bearer_.empty() || has_token(cookies_);
  }

  [[nodiscard]] const Cookies& cookies() const noexcept { return cookies_; }
  // Of the browser, empty: none yet.
  [[nodiscard]] std::string session_id() const;
  // Those on this client's connection.
  [[nodiscard]] session::LiveSessions& sessions() noexcept { return sessions_; }

 private:
  [[nodiscard]] result<std::string> token_for(const std::string& cluster);
  [[nodiscard]] result<kube::ClusterContext> impersonated(result<kube::ClusterContext> context) const;

  bool anonymous_allowed_ = false;
  std::string bearer_;
  std::string bearer_cluster_;  // the only one that it is for; empty: not used yet
  Cookies cookies_;
  std::map<std::string, std::string, std::less<>> taken_;
  kube::Impersonation impersonate_;
  session::LiveSessions sessions_;
};

// The Impersonate- fields of a request (Kubernetes' "User impersonation").
[[nodiscard]] kube::Impersonation client_impersonation(const net::Headers& headers);

}  // namespace fresnel::gateway

#include "fresnel/gateway/client_access.hpp"

#include <fmt/format.h>

#include <utility>

#include "fresnel/gateway/cluster_routes.hpp"
#include "fresnel/gateway/credentials.hpp"

namespace fresnel::gateway {
namespace {

Error unauthorized(std::string message) {
  return Error{.code = Errc::unauthorized, .message = std::move(message), .status = 401, .reason = "Unauthorized"};
}

}  // namespace

kube::Impersonation client_impersonation(const net::Headers& headers) {
  constexpr std::string_view kExtra = "impersonate-extra-";
  kube::Impersonation as;
  for (const auto& [name, value] : headers) {
    if (net::equal_ignoring_case(name, "impersonate-user")) as.user = value;
    if (net::equal_ignoring_case(name, "impersonate-uid")) as.uid = value;
    if (net::equal_ignoring_case(name, "impersonate-group")) as.groups.push_back(value);
    if (name.size() > kExtra.size() && net::equal_ignoring_case(name.substr(0, kExtra.size()), kExtra)) {
      const auto key = name.substr(kExtra.size());
      as.extra[percent_decode(key).value_or(key)].push_back(value);
    }
  }
  return as;
}

result<ClientAccess> ClientAccess::of(const net::Headers& headers, bool anonymous_allowed) {
  auto bearer = client_token(headers);
  if (!bearer) return bearer.error();
  ClientAccess access;
  access.anonymous_allowed_ = anonymous_allowed;
  access.bearer_ = *std::move(bearer);
  access.cookies_ = own_cookies(headers);
  access.impersonate_ = client_impersonation(headers);
  return access;
}

std::string ClientAccess::session_id() const { return session_id_in(cookies_); }

bool ClientAccess::take_token(std::string_view cluster, std::string_view token) {
  const auto known = taken_.find(cluster);
  if (known != taken_.end() && known->second == token) return false;
  taken_.insert_or_assign(std::string(cluster), std::string(token));
  return true;
}

bool ClientAccess::take_stored_token(const std::string& cluster, std::string_view old, std::string_view token) {
  const auto now = token_for(cluster);
  if (now && !now->empty() && *now != old) return false;
  return take_token(cluster, token);
}

// Empty: the client has none for this cluster.
result<std::string> ClientAccess::token_for(const std::string& cluster) {
  if (const auto taken = taken_.find(cluster); taken != taken_.end()) return taken->second;
  if (!bearer_.empty() && (bearer_cluster_.empty() || bearer_cluster_ == cluster)) {
    bearer_cluster_ = cluster;
    return bearer_;
  }
  auto token = token_in_cookies(cookies_, cluster);
  if (!token.empty() && !is_token(token))
    return unauthorized("the cookie's token is malformed; expected visible ASCII");
  if (token.empty() && !bearer_.empty()) {
    return unauthorized(
        fmt::format("this connection's token is for cluster \"{}\"; expected one for \"{}\" in the REQUEST's token",
                    bearer_cluster_, cluster));
  }
  return token;
}

result<kube::ClusterContext> ClientAccess::impersonated(result<kube::ClusterContext> context) const {
  if (context && context->credential.impersonate.empty()) context->credential.impersonate = impersonate_;
  return context;
}

result<kube::ClusterContext> ClientAccess::as_client(const kube::ClusterContext& cluster) {
  const auto token = token_for(cluster.name);
  if (!token) return token.error();
  return impersonated(context_for_client(cluster, *token, anonymous_allowed_));
}

result<kube::ClusterContext> ClientAccess::as_owner(const kube::ClusterContext& cluster) {
  if (!cluster.credential.anonymous()) return impersonated(cluster);
  const auto token = token_for(cluster.name);
  if (!token) return token.error();
  return impersonated(context_for_client(cluster, *token, true));
}

}  // namespace fresnel::gateway

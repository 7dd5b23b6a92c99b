#include "fresnel/gateway/credentials.hpp"

#include <algorithm>
#include <limits>

#include "fresnel/base/base64url.hpp"
#include "fresnel/gateway/origin.hpp"
#include "fresnel/websocket/handshake.hpp"

namespace fresnel::gateway {
namespace {

// Users and tokens of Headlamp's own backend: base64url.headlamp.authorization.k8s.io.<user> and
// base64url.headlamp.backend.authorization.k8s.io.<token>.
constexpr std::string_view kHeadlampProtocols = "base64url.headlamp.";
constexpr std::string_view kWatchProtocol = "base64.binary.k8s.io";

Error unauthorized(std::string message) {
  return Error{.code = Errc::unauthorized, .message = std::move(message), .status = 401};
}

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

result<std::string> bearer_of(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer";
  const auto space = std::min(authorization.find(' '), authorization.size());
  const auto token = trim(authorization.substr(space));
  if (!net::equal_ignoring_case(authorization.substr(0, space), kScheme) || !is_token(token)) {
    return unauthorized("expected Authorization: Bearer with a token");
  }
  return std::string(token);
}

}  // namespace

bool is_token(std::string_view text) noexcept {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

std::vector<std::string> offered_protocols(const net::Headers& headers) {
  const auto elements = websocket::list_elements(headers, "sec-websocket-protocol");
  return {elements.begin(), elements.end()};
}

bool is_credential_protocol(std::string_view protocol) noexcept {
  return protocol.starts_with(kBearerProtocol) || protocol.starts_with(kHeadlampProtocols);
}

std::string watch_protocol(const std::vector<std::string>& offered) {
  std::string first;
  for (const auto& protocol : offered) {
    if (is_credential_protocol(protocol)) continue;
    if (protocol == kWatchProtocol) return protocol;
    if (first.empty()) first = protocol;
  }
  return first;
}

result<std::string> client_token(const net::Headers& headers) {
  std::string token;
  const auto take = [&](const result<std::string>& found) -> std::optional<Error> {
    if (!found) return found.error();
    if (!token.empty() && token != *found) return unauthorized("two different tokens; expected one");
    token = *found;
    return std::nullopt;
  };
  for (const auto& [name, value] : headers) {
    if (!net::equal_ignoring_case(name, "authorization")) continue;
    if (auto error = take(bearer_of(trim(value)))) return *std::move(error);
  }
  for (const auto& protocol : offered_protocols(headers)) {
    if (!protocol.starts_with(kBearerProtocol)) continue;
    const auto decoded = from_base64url(std::string_view(protocol).substr(kBearerProtocol.size()));
    if (!decoded || !is_token(*decoded)) return unauthorized("the subprotocol's token is not base64url");
    if (auto error = take(*decoded)) return *std::move(error);
  }
  return token;
}

bool passed_on_for_client(const net::Headers& headers) noexcept {
  return std::any_of(headers.begin(), headers.end(), [](const auto& field) {
    return net::equal_ignoring_case(field.first, "via") && field.second.find("fresnel") != std::string::npos;
  });
}

bool anonymous_client_allowed(bool allow_anonymous_clients, bool loopback_listener, std::string_view host_header) {
  return allow_anonymous_clients || (loopback_listener && is_loopback_host(host_header));
}

result<kube::ClusterContext> context_for_client(const kube::ClusterContext& cluster, const std::string& token,
                                                bool anonymous_allowed) {
  if (!token.empty()) {
    kube::Credential credential;
    credential.bearer_token = token;
    return cluster.with_credential(std::move(credential));
  }
  if (!anonymous_allowed) {
    return unauthorized("expected a token of your own: this gateway does not lend its credential to this client");
  }
  return cluster;
}

}  // namespace fresnel::gateway

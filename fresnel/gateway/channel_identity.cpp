#include "fresnel/gateway/channel_identity.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <sstream>

#include "fresnel/gateway/credentials.hpp"
#include "fresnel/gateway/option_values.hpp"

namespace fresnel::gateway {
namespace {

Error invalid(std::string_view option, std::string_view file, std::string_view problem) {
  return {Errc::invalid_argument, fmt::format("--{}: {}: {}", option, file, problem)};
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  return text.substr(0, text.find_last_not_of(kSpace) + 1);
}

result<std::string> read_file(std::string_view option, const std::string& file) {
  auto text = read_option_file(file);
  if (text) return text;
  return Error{Errc::invalid_argument, fmt::format("--{}: {}", option, text.error().message)};
}

// Token -> user, of the lines that are neither empty nor begin with '#'.
using Tokens = std::map<std::string, std::string>;
using Line = std::pair<std::string_view, std::string_view>;
result<Tokens> read_tokens(std::string_view option, const std::string& file, std::string_view expected,
                           const std::function<Line(std::string_view)>& split) {
  const auto text = read_file(option, file);
  if (!text) return text.error();
  Tokens tokens;
  std::istringstream in(*text);
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    const auto content = trim(line);
    if (content.empty() || content.front() == '#') continue;
    const auto [token, user] = split(content);
    if (token.empty() || user.empty()) return invalid(option, fmt::format("{}:{}", file, number), expected);
    if (!tokens.emplace(token, user).second) {
      return invalid(option, fmt::format("{}:{}", file, number), "this token stands there twice");
    }
  }
  if (tokens.empty()) return invalid(option, file, "there is no token in it");
  return tokens;
}

result<void> add_key(const GatewayOptions& options, websocket::JwtAuthentication& jwt) {
  constexpr std::string_view kOption = "channel-jwt-key";
  const auto text = read_file(kOption, options.channel_jwt_key);
  if (!text) return text.error();
  const auto content = trim(*text);
  // A public key with something in front of it must not become a secret that everybody knows.
  const bool pem = content.find("-----BEGIN") != std::string_view::npos;
  const auto printable = [](char c) { return c >= ' ' && c <= '~'; };
  if (!pem && !std::all_of(content.begin(), content.end(), printable)) {
    return invalid(kOption, options.channel_jwt_key, "expected a key in PEM, or a secret of printable characters");
  }
  const auto key = pem ? websocket::JwtKey::from_pem(content) : websocket::JwtKey::from_secret(std::string(content));
  if (!key) return invalid(kOption, options.channel_jwt_key, key.error().message);
  (pem ? jwt.pem : jwt.secret) = std::string(content);
  return {};
}

}  // namespace

result<websocket::Authentication> channel_authentication(const GatewayOptions& options) {
  websocket::Authentication authentication;
  if (!options.channel_tokens.empty()) {
    const auto split = [](std::string_view line) {
      const auto comma = line.find(',');
      if (comma == std::string_view::npos) return Line();
      return Line(trim(line.substr(0, comma)), trim(line.substr(comma + 1)));
    };
    auto tokens = read_tokens("channel-tokens", options.channel_tokens, "expected token,user", split);
    if (!tokens) return tokens.error();
    authentication.tokens = *std::move(tokens);
  }
  if (!options.channel_jwks.empty() && !options.channel_jwt_key.empty()) {
    return Error{Errc::invalid_argument, "expected one of --channel-jwks and --channel-jwt-key, got both"};
  }
  if (!options.channel_jwks.empty() || !options.channel_jwt_key.empty()) {
    auto& jwt = authentication.jwt.emplace();
    jwt.rules.issuer = options.channel_jwt_issuer;
    jwt.rules.audience = options.channel_jwt_audience;
    jwt.rules.attribute_claims = options.channel_jwt_attributes;
    if (!options.channel_jwks.empty()) {
      jwt.jwks.emplace().url = options.channel_jwks;
    } else if (const auto added = add_key(options, jwt); !added) {
      return added.error();
    }
  }
  authentication.client_certificate = !options.client_ca_file.empty();
  authentication.cookie = options.channel_cookie;
  authentication.token_protocol = kBearerProtocol;
  return authentication;
}

result<std::shared_ptr<const net::TlsServer>> tls_server(const GatewayOptions& options) {
  const bool wanted = !options.tls_cert_file.empty();
  if (wanted != !options.tls_private_key_file.empty() || (!wanted && !options.client_ca_file.empty())) {
    return Error{Errc::invalid_argument,
                 "expected --tls-cert-file and --tls-private-key-file together, and --client-ca-file only with them"};
  }
  if (!wanted) return std::shared_ptr<const net::TlsServer>();
  net::TlsServerOptions tls;
  auto certificate = read_file("tls-cert-file", options.tls_cert_file);
  if (!certificate) return certificate.error();
  tls.certificate_pem = *std::move(certificate);
  auto key = read_file("tls-private-key-file", options.tls_private_key_file);
  if (!key) return key.error();
  tls.key_pem = *std::move(key);
  if (!options.client_ca_file.empty()) {
    auto authorities = read_file("client-ca-file", options.client_ca_file);
    if (!authorities) return authorities.error();
    tls.client_ca_pem = *std::move(authorities);
  }
  auto made = net::TlsServer::make(tls);
  if (made) return made;
  return Error{Errc::invalid_argument,
               fmt::format("--tls-cert-file: {}: {}", options.tls_cert_file, made.error().message)};
}

result<websocket::Authentication> api_authentication(const GatewayOptions& options) {
  websocket::Authentication authentication;
  if (options.api_tokens.empty()) return authentication;
  auto tokens = read_tokens("api-tokens", options.api_tokens, "expected a token",
                            [](std::string_view line) { return Line(line, "api"); });
  if (!tokens) return tokens.error();
  authentication.tokens = *std::move(tokens);
  return authentication;
}

}  // namespace fresnel::gateway

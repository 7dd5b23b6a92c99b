#include "fresnel/gateway/token_cookies.hpp"

#include <fmt/format.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "fresnel/net/digest.hpp"

namespace fresnel::gateway {
namespace {

constexpr std::string_view kTokenPrefix = "headlamp-auth-";
constexpr std::size_t kMaxName = 50;
constexpr std::size_t kPiece = 3800;        // bytes: a cookie with its name and attributes has less than 4,096
constexpr std::size_t kMaxPieces = 32;      // read, so that a token has a bound
constexpr std::size_t kClearedPieces = 5;   // at least, though the browser shows only those of this path
constexpr std::string_view kDay = "86400";  // Max-Age in seconds

std::string cut_name(std::string_view cluster) {
  std::string name;
  for (const char c : cluster) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    if (plain && name.size() < kMaxName) name.push_back(c);
  }
  return name;
}

std::string name_with_digest(std::string_view cluster) {
  return cut_name(cluster) + "-" + net::sha256_hex(cluster).substr(0, 32);
}

std::string piece_name(std::string_view name, std::size_t number) {
  return fmt::format("{}{}.{}", kTokenPrefix, name, number);
}

std::string joined_pieces(const Cookies& cookies, std::string_view name) {
  std::string token;
  for (std::size_t i = 0; i < kMaxPieces; ++i) {
    const auto piece = cookies.find(piece_name(name, i));
    if (piece == cookies.end()) break;
    token += piece->second;
  }
  return token;
}

// `path`: below the base URL.
std::string set_cookie(std::string_view name, std::string_view value, std::string_view max_age,
                       const CookieScope& scope, std::string_view path = "/") {
  return fmt::format("{}={}; Path={}{}; Max-Age={}; HttpOnly; SameSite=Strict{}", name, value, scope.base_url, path,
                     max_age, scope.secure ? "; Secure" : "");
}

}  // namespace

Cookies own_cookies(const net::Headers& headers) {
  Cookies cookies;
  for (const auto& [field, text] : headers) {
    if (!net::equal_ignoring_case(field, "cookie")) continue;
    for (std::string_view rest(text); !rest.empty();) {
      const auto end = std::min(rest.find(';'), rest.size());
      auto pair = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      while (pair.starts_with(' ')) pair.remove_prefix(1);
      const auto equals = pair.find('=');
      if (equals == std::string_view::npos) continue;
      const auto name = pair.substr(0, equals);
      const bool own = name.starts_with(kTokenPrefix) || name == kSessionCookie || name == kHostSessionCookie;
      if (own) cookies.emplace(name, pair.substr(equals + 1));
    }
  }
  return cookies;
}

bool has_token(const Cookies& cookies) noexcept {
  return std::any_of(cookies.begin(), cookies.end(), [](const auto& c) { return c.first.starts_with(kTokenPrefix); });
}

std::string token_in_cookies(const Cookies& cookies, std::string_view cluster) {
  auto token = joined_pieces(cookies, name_with_digest(cluster));
  if (token.empty() && cut_name(cluster) == cluster) token = joined_pieces(cookies, cluster);
  return token;
}

std::vector<std::string> token_set_cookies(std::string_view cluster, std::string_view token, const Cookies& present,
                                           const CookieScope& scope) {
  std::vector<std::string> fields;
  const bool plain = cut_name(cluster) == cluster;
  const std::string used = plain ? std::string(cluster) : name_with_digest(cluster);
  std::size_t pieces = 0;
  for (; pieces * kPiece < token.size(); ++pieces) {
    fields.push_back(set_cookie(piece_name(used, pieces), token.substr(pieces * kPiece, kPiece), kDay, scope));
  }
  const auto clear = [&](const std::string& name, std::size_t first) {
    for (std::size_t i = first; i < kMaxPieces; ++i) {
      if (i >= kClearedPieces && !present.contains(piece_name(name, i))) break;
      fields.push_back(set_cookie(piece_name(name, i), "", "0", scope));
    }
  };
  clear(used, pieces);
  // What a headlamp-server stored under its longer name or its longer path would go before ours.
  if (plain && present.contains(piece_name(name_with_digest(cluster), 0))) clear(name_with_digest(cluster), 0);
  if (plain) {
    const std::string path = fmt::format("/clusters/{}", cluster);
    for (const auto& name : {std::string(cluster), name_with_digest(cluster)}) {
      for (std::size_t i = 0; i < kMaxPieces && present.contains(piece_name(name, i)); ++i) {
        fields.push_back(set_cookie(piece_name(name, i), "", "0", scope, path));
      }
    }
  }
  return fields;
}

std::string new_session_id() {
  std::array<unsigned char, 16> random{};
  if (RAND_bytes(random.data(), static_cast<int>(random.size())) != 1) {
    throw std::runtime_error("OpenSSL gives no random bytes");
  }
  std::string id;
  for (const auto byte : random) id += fmt::format("{:02x}", byte);
  return id;
}

std::string session_id_in(const Cookies& cookies) {
  for (const auto name : {kHostSessionCookie, kSessionCookie}) {
    const auto cookie = cookies.find(name);
    if (cookie == cookies.end()) continue;
    const auto& id = cookie->second;
    const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
    return id.size() == 32 && std::all_of(id.begin(), id.end(), is_hex) ? id : std::string();
  }
  return {};
}

std::string session_set_cookie(std::string_view id, const CookieScope& scope) {
  const bool host = scope.secure && scope.base_url.empty();
  return set_cookie(host ? kHostSessionCookie : kSessionCookie, id, kDay, scope);
}

bool is_secure(const net::Headers& headers, bool tls_listener) {
  return tls_listener || net::equal_ignoring_case(headers.get("x-forwarded-proto"), "https");
}

}  // namespace fresnel::gateway

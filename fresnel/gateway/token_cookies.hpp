// Browsers' tokens in cookies, as headlamp-server writes them: headlamp-auth-<cluster>.<n>, the token's pieces in
// order, n from 0 on.
//
// <cluster> is the name without what is no letter, digit, '-' or '_', at most 50 characters. Where that is not the name
// itself, 32 hex digits of the name's SHA-256 follow a '-', so that no two clusters share a cookie. Newer
// headlamp-servers add them always: both forms are read, the one with the digits first. The short form of a name that
// was cut is not: it may be another cluster's token.
//
// HttpOnly, SameSite=Strict, Path=<base-url>/ (the multiplexer's socket needs them too), Secure with HTTPS. A
// headlamp-server stores them with Path=<base-url>/clusters/<cluster>, which browsers send first: such ones are
// removed.
//
// Thread safety: pure functions.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "fresnel/net/http.hpp"

namespace fresnel::gateway {

using Cookies = std::map<std::string, std::string, std::less<>>;

// Those of all Cookie fields (RFC 6265 section 5.4) whose names begin with one of the gateway's; of one name the first.
[[nodiscard]] Cookies own_cookies(const net::Headers& headers);

// Whether there is a token for some cluster.
[[nodiscard]] bool has_token(const Cookies& cookies) noexcept;
// The cluster's token as far as its pieces follow each other from 0 on, empty when there is none.
[[nodiscard]] std::string token_in_cookies(const Cookies& cookies, std::string_view cluster);

struct CookieScope {
  std::string_view base_url;  // "" or "/path"
  bool secure = false;
};

// Values of Set-Cookie fields that store the token, or remove it when it is empty; pieces of a longer token that the
// browser has (`present`) are removed.
[[nodiscard]] std::vector<std::string> token_set_cookies(std::string_view cluster, std::string_view token,
                                                         const Cookies& present, const CookieScope& scope);

// The cookie that tells one browser from another, so that a new token reaches the sockets of the browser that brought
// it, and no other's. Behind HTTPS, without a base URL, with the prefix that keeps other hosts from setting it (RFC
// 6265bis section 4.1.3.2).
inline constexpr std::string_view kSessionCookie = "fresnel-session";
inline constexpr std::string_view kHostSessionCookie = "__Host-fresnel-session";

[[nodiscard]] std::string new_session_id();  // 128 random bits in hex
// The browser's id among its cookies, empty when there is none that new_session_id() could have made.
[[nodiscard]] std::string session_id_in(const Cookies& cookies);
[[nodiscard]] std::string session_set_cookie(std::string_view id, const CookieScope& scope);

// Whether the client reached us, or a proxy before us, by HTTPS.
[[nodiscard]] bool is_secure(const net::Headers& headers, bool tls_listener);

}  // namespace fresnel::gateway

// Which proxy leads to a server: proxy URLs and the environment's variables, for HTTP and WebSockets alike.
//
//   auto proxy = ProxyEnvironment::of_process().proxy_for(request.proxy_url, true, "example.com", 443);
//   if (!proxy) ...          // invalid_argument: the URL, or the variable that applies here, is no proxy's
//   if (!*proxy) ...         // no proxy: straight to the server
//
// A proxy's URL:  ("http" | "https" | "socks5" | "socks5h") "://" [user [":" password] "@"] host [":" port]
// User and password are percent-decoded; without a port it is 80, 443 or 1080. What follows the port is ignored. Both
// names of SOCKS mean the same: the proxy resolves the server's name.
//
// The environment is read as Go's golang.org/x/net/http/httpproxy reads it, which kubectl uses: HTTP_PROXY for http and
// ws, HTTPS_PROXY for https and wss, each also in lower case, the upper case first; a value without a scheme means
// http. localhost and loopback addresses are never proxied, nor is what NO_PROXY lists, separated by commas: `*`, names
// with their subdomains ("example.com"), subdomains alone (".example.com", "*.example.com"), addresses, CIDRs; names
// and addresses may have a port (an IPv6 address is then in brackets). HTTP_PROXY is ignored where REQUEST_METHOD is
// set: there a client's Proxy header can set it (https://httpoxy.org). Unlike Go, a value that is no proxy's URL is an
// error where it applies, and names beyond ASCII match only as they are written.
//
// Thread safety: values and a const object. Errors never repeat a URL: it may hold a password.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fresnel/base/error.hpp"

namespace fresnel::net {

struct Proxy {
  enum class Kind { http, https, socks5 };

  Kind kind = Kind::http;  // https: TLS to the proxy; socks5: RFC 1928
  std::string host;        // a name or a numeric address, an IPv6 one without brackets
  std::uint16_t port = 0;
  std::string username;  // both empty: none
  std::string password;

  [[nodiscard]] bool has_credentials() const noexcept { return !username.empty() || !password.empty(); }
  [[nodiscard]] std::string name() const;  // "http://host:port": for messages, without credentials

  friend bool operator==(const Proxy&, const Proxy&) = default;
};

// Error invalid_argument says what was expected.
[[nodiscard]] result<Proxy> parse_proxy_url(std::string_view url);

// What to say of a proxy that answers with a status that is no success: "it refused with HTTP 407, ...".
[[nodiscard]] std::string describe_refusal(int status);

// "host:port", an IPv6 address in brackets (RFC 9110 section 7.2).
[[nodiscard]] std::string authority_of(std::string_view host, std::uint16_t port);

class ProxyEnvironment {
 public:
  // The value of a variable, empty when it is not set.
  using Getter = std::function<std::string(const char*)>;

  explicit ProxyEnvironment(const Getter& get);
  // Of this process, as it was when somebody asked first.
  [[nodiscard]] static const ProxyEnvironment& of_process();

  // The proxy for a connection to `host` (IPv6 without brackets); nullopt: none. A `proxy_url` goes before the
  // environment and is used for every host, as client-go does with a kubeconfig's proxy-url.
  [[nodiscard]] result<std::optional<Proxy>> proxy_for(std::string_view proxy_url, bool tls, std::string_view host,
                                                       std::uint16_t port) const;

 private:
  using Address = std::array<std::uint8_t, 16>;  // an IPv4 one as ::ffff:a.b.c.d

  struct AddressRule {
    Address network;
    unsigned prefix = 128;  // bits that must be equal
    std::string port;       // empty: any
  };
  struct NameRule {
    std::string suffix;  // starts with a dot
    bool apex = false;   // the name without the dot matches too
    std::string port;
  };

  static std::optional<Address> parse_address(std::string_view text);
  static std::optional<AddressRule> parse_network(std::string_view text);
  void add_rule(std::string_view entry);
  [[nodiscard]] bool is_direct(std::string_view host, std::uint16_t port) const;

  std::optional<result<Proxy>> http_;  // nullopt: not set
  std::optional<result<Proxy>> https_;
  bool never_ = false;  // NO_PROXY has a `*`
  std::vector<AddressRule> addresses_;
  std::vector<NameRule> names_;
};

}  // namespace fresnel::net

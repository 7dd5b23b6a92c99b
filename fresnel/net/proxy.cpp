#include "fresnel/net/proxy.hpp"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <charconv>
#include <cstdlib>

#include "fresnel/base/asio.hpp"
#include "fresnel/net/http.hpp"

namespace fresnel::net {
namespace {

constexpr std::string_view kExpected = "expected http, https or socks5://[user:password@]host[:port]";
constexpr std::size_t kMaxSocksText = 255;  // RFC 1929 section 2

struct Scheme {
  std::string_view name;
  Proxy::Kind kind;
  std::uint16_t port;
};
constexpr std::array<Scheme, 4> kSchemes{{{"http", Proxy::Kind::http, 80},
                                          {"https", Proxy::Kind::https, 443},
                                          {"socks5", Proxy::Kind::socks5, 1080},
                                          {"socks5h", Proxy::Kind::socks5, 1080}}};

Error bad_url(std::string_view what) {
  return {Errc::invalid_argument,
          "the proxy's URL cannot be used: " + std::string(what) + (what.empty() ? "" : "; ") + std::string(kExpected)};
}

template <class Number>
bool parse_number(std::string_view digits, Number& number) {
  const auto* last = digits.data() + digits.size();
  const auto [end, failed] = std::from_chars(digits.data(), last, number);
  return failed == std::errc() && end == last;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }

// nullopt for a broken escape, or a control character, which no credential may have (RFC 7617 section 2).
std::optional<std::string> decode(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
      const int low = high < 0 ? -1 : hex_digit(text[i + 2]);
      if (low < 0) return std::nullopt;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    }
    if (is_control(c)) return std::nullopt;
    decoded.push_back(c);
  }
  return decoded;
}

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

result<void> set_credentials(Proxy& proxy, std::string_view userinfo) {
  const auto colon = std::min(userinfo.find(':'), userinfo.size());
  auto username = decode(userinfo.substr(0, colon));
  auto password = decode(userinfo.substr(std::min(colon + 1, userinfo.size())));
  if (!username || !password) return bad_url("user or password has a broken % escape or a control character");
  if (proxy.kind == Proxy::Kind::socks5 && (username->size() > kMaxSocksText || password->size() > kMaxSocksText)) {
    return bad_url("user or password has more than 255 bytes, which SOCKS5 cannot carry");
  }
  if (proxy.kind == Proxy::Kind::socks5 && username->empty() && !password->empty()) {
    return bad_url("SOCKS5 has no password without a user");
  }
  proxy.username = std::move(*username);
  proxy.password = std::move(*password);
  return {};
}

result<void> set_address(Proxy& proxy, std::string_view authority) {
  std::string_view host;
  std::string_view rest;
  if (authority.starts_with('[')) {
    const auto bracket = authority.find(']');
    if (bracket == std::string_view::npos) return bad_url("");
    host = authority.substr(1, bracket - 1);
    rest = authority.substr(bracket + 1);
    error_code failed;
    asio::ip::make_address_v6(std::string(host), failed);
    if (failed) return bad_url("the text in brackets is no IPv6 address");
  } else {
    const auto colon = std::min(authority.find(':'), authority.size());
    host = authority.substr(0, colon);
    rest = authority.substr(colon);
    if (host.empty() || !std::all_of(host.begin(), host.end(), is_name_character)) return bad_url("");
  }
  proxy.host = std::string(host);
  if (rest.empty() || rest == ":") return {};
  if (rest[0] != ':' || !parse_number(rest.substr(1), proxy.port) || proxy.port == 0) {
    return bad_url("the port is no number from 1 to 65535");
  }
  return {};
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (auto& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  return lower;
}

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

struct HostPort {
  std::string_view host;
  std::string_view port;  // empty: none
};

// As Go's net.SplitHostPort: what it cannot split is a host alone.
HostPort split_host_port(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return {text, {}};
  const auto port = text.substr(colon + 1);
  if (text.starts_with('[')) {
    if (text.find(']') + 1 != colon) return {text, {}};
    return {text.substr(1, colon - 2), port};
  }
  if (text.find_first_of(":[]") != colon) return {text, {}};
  return {text.substr(0, colon), port};
}

}  // namespace

std::string Proxy::name() const {
  const auto scheme = std::find_if(kSchemes.begin(), kSchemes.end(), [&](const auto& s) { return s.kind == kind; });
  return std::string(scheme->name) + "://" + authority_of(host, port);
}

std::string describe_refusal(int status) {
  const std::string text = "it refused with HTTP " + std::to_string(status);
  return status == 407 ? text + ", it wants a user and password of its own or other ones" : text;
}

std::string authority_of(std::string_view host, std::uint16_t port) {
  const bool brackets = host.find(':') != std::string_view::npos;
  return (brackets ? "[" : "") + std::string(host) + (brackets ? "]:" : ":") + std::to_string(port);
}

result<Proxy> parse_proxy_url(std::string_view url) {
  const auto colon = url.find("://");
  if (colon == std::string_view::npos) return bad_url("");
  const auto name = url.substr(0, colon);
  const auto scheme = std::find_if(kSchemes.begin(), kSchemes.end(),
                                   [&](const auto& known) { return equal_ignoring_case(known.name, name); });
  if (scheme == kSchemes.end()) return bad_url("");
  Proxy proxy;
  proxy.kind = scheme->kind;
  proxy.port = scheme->port;
  auto authority = url.substr(colon + 3);
  authority = authority.substr(0, authority.find_first_of("/?#"));
  if (const auto at = authority.rfind('@'); at != std::string_view::npos) {
    if (auto valid = set_credentials(proxy, authority.substr(0, at)); !valid) return valid.error();
    authority.remove_prefix(at + 1);
  }
  if (auto valid = set_address(proxy, authority); !valid) return valid.error();
  return proxy;
}

ProxyEnvironment::ProxyEnvironment(const Getter& get) {
  const auto read = [&](const char* name, const char* lower) -> std::optional<result<Proxy>> {
    auto value = get(name);
    if (value.empty()) value = get(lower);
    if (value.empty()) return std::nullopt;
    auto proxy = parse_proxy_url(value.find("://") == std::string::npos ? "http://" + value : value);
    if (!proxy) proxy = Error{proxy.error().code, std::string(name) + " of the environment: " + proxy.error().message};
    return proxy;
  };
  if (get("REQUEST_METHOD").empty()) http_ = read("HTTP_PROXY", "http_proxy");
  https_ = read("HTTPS_PROXY", "https_proxy");
  auto list = get("NO_PROXY");
  if (list.empty()) list = get("no_proxy");
  for (std::string_view rest(list); !rest.empty();) {
    const auto comma = std::min(rest.find(','), rest.size());
    add_rule(trim(rest.substr(0, comma)));
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
}

const ProxyEnvironment& ProxyEnvironment::of_process() {
  static const ProxyEnvironment environment([](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  });
  return environment;
}

std::optional<ProxyEnvironment::Address> ProxyEnvironment::parse_address(std::string_view text) {
  error_code failed;
  const auto address = asio::ip::make_address(std::string(text), failed);
  if (failed || text.find('%') != std::string_view::npos) return std::nullopt;
  return address.is_v6() ? address.to_v6().to_bytes()
                         : asio::ip::make_address_v6(asio::ip::v4_mapped, address.to_v4()).to_bytes();
}

std::optional<ProxyEnvironment::AddressRule> ProxyEnvironment::parse_network(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto network = parse_address(text.substr(0, slash));
  const bool v6 = text.substr(0, slash).find(':') != std::string_view::npos;
  unsigned bits = 0;
  if (!network || !parse_number(text.substr(slash + 1), bits) || bits > (v6 ? 128u : 32u)) return std::nullopt;
  return AddressRule{*network, v6 ? bits : bits + 96, {}};
}

void ProxyEnvironment::add_rule(std::string_view entry) {
  const auto text = lower_case(entry);
  if (text.empty()) return;
  if (text == "*") {
    never_ = true;
    return;
  }
  if (auto network = parse_network(text)) {
    addresses_.push_back(std::move(*network));
    return;
  }
  const auto [host, port] = split_host_port(text);
  if (host.empty()) return;
  if (const auto address = parse_address(host)) {
    addresses_.push_back({*address, 128, std::string(port)});
    return;
  }
  const auto name = host.starts_with("*.") ? host.substr(1) : host;
  const bool apex = !name.starts_with('.');
  names_.push_back({(apex ? "." : "") + std::string(name), apex, std::string(port)});
}

bool ProxyEnvironment::is_direct(std::string_view host, std::uint16_t port) const {
  static constexpr Address kLoopback{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  static constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
  const auto is_v4 = [](const Address& address) { return std::equal(kMapped.begin(), kMapped.end(), address.begin()); };
  if (never_ || host == "localhost") return true;
  const auto right_port = [&, digits = std::to_string(port)](const std::string& wanted) {
    return wanted.empty() || wanted == digits;
  };
  // An IPv6 zone says which link, not which host.
  if (const auto address = parse_address(host.substr(0, host.find('%')))) {
    if (*address == kLoopback || (is_v4(*address) && (*address)[12] == 127)) return true;
    return std::any_of(addresses_.begin(), addresses_.end(), [&](const AddressRule& rule) {
      const auto whole = rule.prefix / 8;
      const auto mask = static_cast<std::uint8_t>(0xFF00u >> rule.prefix % 8);
      const bool within = std::equal(address->begin(), address->begin() + whole, rule.network.begin()) &&
                          (whole == address->size() || ((*address)[whole] & mask) == (rule.network[whole] & mask));
      // ::/0 means IPv6 alone.
      return within && (!is_v4(*address) || rule.prefix >= 96) && right_port(rule.port);
    });
  }
  const auto name = lower_case(host);
  return std::any_of(names_.begin(), names_.end(), [&](const NameRule& rule) {
    const bool matches = name.ends_with(rule.suffix) || (rule.apex && name == std::string_view(rule.suffix).substr(1));
    return matches && right_port(rule.port);
  });
}

result<std::optional<Proxy>> ProxyEnvironment::proxy_for(std::string_view proxy_url, bool tls, std::string_view host,
                                                         std::uint16_t port) const {
  if (!proxy_url.empty()) {
    auto proxy = parse_proxy_url(proxy_url);
    if (!proxy) return proxy.error();
    return std::optional<Proxy>(std::move(*proxy));
  }
  const auto& proxy = tls ? https_ : http_;
  if (!proxy || is_direct(host, port)) return std::optional<Proxy>();
  if (!*proxy) return proxy->error();
  return std::optional<Proxy>(**proxy);
}

}  // namespace fresnel::net

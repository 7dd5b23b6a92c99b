#include "fresnel/gateway/origin.hpp"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <string>

#include "fresnel/base/asio.hpp"

namespace fresnel::gateway {
namespace {

std::ptrdiff_t count_origins(const net::Headers& headers) {
  return std::count_if(headers.begin(), headers.end(),
                       [](const auto& field) { return net::equal_ignoring_case(field.first, "origin"); });
}

}  // namespace

bool origin_allowed(const net::Headers& headers, const websocket::OriginPolicy& policy) {
  return count_origins(headers) <= 1 && policy.allows(headers.get("origin"), headers.get("host"));
}

bool cross_origin_allowed(const net::Headers& headers, const websocket::OriginPolicy& policy) {
  static const websocket::OriginPolicy kOwnHostOnly;
  return headers.has("origin") && origin_allowed(headers, policy) && !origin_allowed(headers, kOwnHostOnly);
}

bool is_loopback_host(std::string_view host) {
  if (host.starts_with('[')) {
    const auto end = host.find(']');
    if (end == std::string_view::npos) return false;
    host = host.substr(1, end - 1);
  } else if (std::count(host.begin(), host.end(), ':') == 1) {
    host = host.substr(0, host.find(':'));
  }
  if (net::equal_ignoring_case(host, "localhost")) return true;
  error_code failed;
  const auto address = asio::ip::make_address(std::string(host), failed);
  return !failed && address.is_loopback();
}

}  // namespace fresnel::gateway

#include "fresnel/gateway/proxy.hpp"

#include <algorithm>
#include <array>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "fresnel/base/log.hpp"
#include "fresnel/gateway/responses.hpp"

namespace fresnel::gateway {
namespace {

// Of one connection only: RFC 9110 section 7.6.1, and the older names for it.
constexpr std::array<std::string_view, 9> kHopByHop = {
    "connection", "keep-alive",         "proxy-connection",   "te", "trailer", "transfer-encoding",
    "upgrade",    "proxy-authenticate", "proxy-authorization"};
constexpr std::array<std::string_view, 9> kOwnOfRequest = {
    "host", "origin", "referer", "cookie", "authorization", "content-length", "expect", "http2-settings", "kubeconfig"};
constexpr std::array<std::string_view, 4> kOwnOfResponse = {"set-cookie", "set-cookie2", "alt-svc",
                                                            "strict-transport-security"};
// An API server answers within its own 60 s; what it proxies to may take longer.
constexpr Duration kResponseTimeout = seconds(150);
constexpr int kClientClosed = 499;  // counted, never sent: the client went away first (the number is nginx's)

bool is_one_of(std::string_view name, std::span<const std::string_view> names) {
  return std::any_of(names.begin(), names.end(), [&](std::string_view n) { return net::equal_ignoring_case(name, n); });
}

bool has_prefix(std::string_view name, std::string_view prefix) {
  return name.size() >= prefix.size() && net::equal_ignoring_case(name.substr(0, prefix.size()), prefix);
}

// The names that Connection fields list.
std::vector<std::string_view> connection_options(const net::Headers& headers) {
  std::vector<std::string_view> options;
  for (const auto& [name, value] : headers) {
    if (!net::equal_ignoring_case(name, "connection")) continue;
    for (std::string_view rest(value); !rest.empty();) {
      const auto comma = std::min(rest.find(','), rest.size());
      auto option = rest.substr(0, comma);
      while (option.starts_with(' ') || option.starts_with('\t')) option.remove_prefix(1);
      while (option.ends_with(' ') || option.ends_with('\t')) option.remove_suffix(1);
      if (!option.empty()) options.push_back(option);
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
  }
  return options;
}

awaitable<int> stream(net::HttpExchange& exchange, kube::ApiClient& client, net::HttpRequest upstream,
                      std::string path_and_query, net::Headers extra) {
  auto forwarding = client.forward(std::move(upstream), std::move(path_and_query));
  auto opened = co_await std::move(forwarding);
  if (!opened) {
    if (opened.error().code == Errc::cancelled) co_return kClientClosed;
    const int status = http_status_of(opened.error());
    log::warn("{} {}: {}", exchange.request().method, exchange.request().path(), opened.error().message);
    std::string message = opened.error().message;  // of a credential: it says all
    if (opened.error().code != Errc::unauthorized) {
      message = "the cluster's API server cannot be reached: " + message;
    }
    co_return co_await respond_status(exchange, status, std::move(message), std::move(extra));
  }
  const std::unique_ptr<net::HttpResponse> response = *std::move(opened);
  const int status = response->status();
  net::Headers headers = forwarded_response_headers(response->headers());
  for (const auto& [name, value] : extra) headers.add(name, value);
  if (const auto begun = co_await exchange.begin(status, std::move(headers)); !begun) co_return status;
  for (;;) {
    const auto part = co_await response->read();
    if (!part) {
      if (part.error().code == Errc::cancelled) co_return kClientClosed;
      // The client must see that the body broke off: no last chunk, the connection just ends.
      log::info("{} {}: the response broke off: {}", exchange.request().method, exchange.request().path(),
                part.error().message);
      (void)exchange.take_socket();
      co_return status;
    }
    if (part->empty()) break;
    if (const auto written = co_await exchange.write(*part); !written) co_return status;
  }
  (void)co_await exchange.finish();
  co_return status;
}

}  // namespace

net::Headers forwarded_request_headers(const net::Headers& headers) {
  const auto options = connection_options(headers);
  net::Headers forwarded;
  for (const auto& [name, value] : headers) {
    if (is_one_of(name, kHopByHop) || is_one_of(name, kOwnOfRequest) || is_one_of(name, options) ||
        has_prefix(name, "x-headlamp") || has_prefix(name, "sec-websocket-")) {
      continue;
    }
    forwarded.add(name, value);
  }
  return forwarded;
}

net::Headers forwarded_response_headers(const net::Headers& headers) {
  const auto options = connection_options(headers);
  net::Headers forwarded;
  for (const auto& [name, value] : headers) {
    if (is_one_of(name, kHopByHop) || is_one_of(name, kOwnOfResponse) || is_one_of(name, options) ||
        has_prefix(name, "access-control-")) {
      continue;
    }
    forwarded.add(name, value);
  }
  return forwarded;
}

std::string upstream_target(const ClusterRoute& route, std::string_view query) {
  std::string target = route.path;
  if (!query.empty()) target.append("?").append(query);
  return target;
}

net::HttpRequest make_upstream_request(const net::ServerRequest& request) {
  net::HttpRequest upstream;
  upstream.method = request.method;
  upstream.headers = forwarded_request_headers(request.headers);
  upstream.body = request.body;
  upstream.response_timeout = kResponseTimeout;
  return upstream;
}

awaitable<int> proxy(net::HttpExchange& exchange, kube::ApiClient& client, std::string path_and_query,
                     net::Headers extra) {
  using namespace asio::experimental::awaitable_operators;
  auto streaming =
      stream(exchange, client, make_upstream_request(exchange.request()), std::move(path_and_query), std::move(extra));
  auto gone = exchange.wait_for_disconnect();
  const auto first = co_await (std::move(streaming) || std::move(gone));
  if (const int* status = std::get_if<0>(&first)) co_return *status;
  (void)exchange.take_socket();  // nobody is left to answer
  co_return kClientClosed;
}

}  // namespace fresnel::gateway

#include "fresnel/gateway/tunnel_route.hpp"

#include <fmt/format.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <cstdint>
#include <utility>

#include "fresnel/base/log.hpp"
#include "fresnel/gateway/credentials.hpp"
#include "fresnel/gateway/proxy.hpp"
#include "fresnel/gateway/responses.hpp"
#include "fresnel/kube/api_client.hpp"
#include "fresnel/net/dial.hpp"
#include "fresnel/net/tunnel.hpp"

namespace fresnel::gateway {
namespace {

namespace http = boost::beast::http;

constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);
constexpr Duration kDialTimeout = seconds(10);
constexpr Duration kHandshakeTimeout = seconds(60);
constexpr std::size_t kMaxRefusal = 1u << 20;  // bytes of a response that is no 101
constexpr int kClientClosed = 499;             // counted, never sent

bool has_prefix(std::string_view name, std::string_view prefix) {
  return name.size() >= prefix.size() && net::equal_ignoring_case(name.substr(0, prefix.size()), prefix);
}

// What a handshake needs beyond the fields that every proxied message keeps.
bool is_handshake_field(std::string_view name) {
  return net::equal_ignoring_case(name, "connection") || net::equal_ignoring_case(name, "upgrade") ||
         has_prefix(name, "sec-websocket-");
}

struct Address {
  std::string host;       // without brackets
  std::string authority;  // as it stands in the URL
  std::uint16_t port = 0;
  std::string target;
  bool tls = false;
};

result<Address> parse_url(const std::string& url) {
  const auto parsed = boost::urls::parse_uri(url);
  if (!parsed || parsed->encoded_host().empty()) {
    return Error{.code = Errc::invalid_argument, .message = "the cluster's server is no URL", .status = 503};
  }
  Address address;
  address.tls = parsed->scheme() == "https";
  address.host = parsed->host_address();
  address.authority = std::string(std::string_view(parsed->encoded_host_and_port()));
  address.port = parsed->has_port() && parsed->port_number() != 0 ? parsed->port_number() : (address.tls ? 443 : 80);
  address.target = std::string(std::string_view(parsed->encoded_resource()));
  return address;
}

}  // namespace

net::Headers upgrade_headers(const net::ServerRequest& request, const kube::ClusterContext& cluster,
                             std::string_view host) {
  net::Headers headers;
  headers.add("Host", std::string(host));
  headers.add("Connection", "Upgrade");
  headers.add("Upgrade", std::string(request.headers.get("upgrade")));
  for (const auto& [name, value] : forwarded_request_headers(request.headers)) headers.add(name, value);
  for (const auto& [name, value] : request.headers) {
    const bool protocols = net::equal_ignoring_case(name, "sec-websocket-protocol");
    if (has_prefix(name, "sec-websocket-") && !protocols) headers.add(name, value);
  }
  std::string protocols;
  for (const auto& protocol : offered_protocols(request.headers)) {
    if (!is_credential_protocol(protocol)) protocols += (protocols.empty() ? "" : ", ") + protocol;
  }
  if (!protocols.empty()) headers.add("Sec-WebSocket-Protocol", std::move(protocols));
  cluster.credential.authorize(headers);
  if (cluster.brought_by_client) headers.set("Via", std::string(kube::kVia));
  if (!request.body.empty()) headers.add("Content-Length", std::to_string(request.body.size()));
  return headers;
}

// A connection to an API server until its answer to the upgrade is known.
class Tunnels::Handshake {
 public:
  explicit Handshake(std::unique_ptr<net::ClientStream> server) : server_(std::move(server)) {
    response_.body_limit(kMaxRefusal);
  }

  // Sends the request and reads the response's header.
  awaitable<result<void>> shake(std::string request) {
    const auto [unsent, sent] = co_await asio::async_write(*server_, asio::buffer(request), kNoThrow);
    if (unsent) co_return Error{.code = Errc::closed, .message = "the upgrade was not sent: " + unsent.message()};
    const auto [unread, size] = co_await http::async_read_header(*server_, buffer_, response_, kNoThrow);
    if (unread) co_return Error{.code = Errc::protocol, .message = "no answer to the upgrade: " + unread.message()};
    co_return result<void>();
  }

  [[nodiscard]] int status() const noexcept { return static_cast<int>(response_.get().result_int()); }
  [[nodiscard]] net::Headers headers() const {
    net::Headers headers;
    for (const auto& field : response_.get()) {
      headers.add(std::string(std::string_view(field.name_string())), std::string(std::string_view(field.value())));
    }
    return headers;
  }
  // The body of an answer that is no 101, as much as there is of it.
  awaitable<std::string> read_body() {
    if (!response_.is_done()) (void)co_await http::async_read(*server_, buffer_, response_, kNoThrow);
    co_return std::move(response_.get().body());
  }
  // The header of a 101 for the client, and what the API server sent behind it.
  [[nodiscard]] std::string answer() const {
    std::string answer = "HTTP/1.1 101 Switching Protocols\r\n";
    const auto all = headers();
    const auto append = [&](const auto& field) { answer += field.first + ": " + field.second + "\r\n"; };
    for (const auto& field : all) {
      if (is_handshake_field(field.first)) append(field);
    }
    for (const auto& field : forwarded_response_headers(all)) {
      if (!is_handshake_field(field.first)) append(field);
    }
    answer += "\r\n";
    return answer.append(static_cast<const char*>(buffer_.data().data()), buffer_.size());
  }
  [[nodiscard]] std::unique_ptr<net::ClientStream> release() { return std::move(server_); }

 private:
  std::unique_ptr<net::ClientStream> server_;
  boost::beast::flat_buffer buffer_;
  http::response_parser<http::string_body> response_;
};

awaitable<result<std::unique_ptr<Tunnels::Handshake>>> Tunnels::shake(net::HttpExchange& exchange,
                                                                      kube::ClusterContext cluster,
                                                                      std::string target) {
  const auto address = parse_url(cluster.server + target);
  if (!address) co_return address.error();
  auto head = net::upgrade_request_head(exchange.request().method, address->target,
                                        upgrade_headers(exchange.request(), cluster, address->authority));
  if (!head) co_return head.error();
  auto tls = address->tls && !cluster.tls ? std::make_shared<const net::TlsOptions>() : cluster.tls;
  if (!address->tls) tls = nullptr;
  auto dialling = net::dial(executor_, address->host, address->port, std::move(tls), kDialTimeout, cluster.proxy_url);
  auto dialled = co_await std::move(dialling);
  if (!dialled) {
    Error error = dialled.error();
    error.message = "the cluster's API server cannot be reached: " + error.message;
    co_return error;
  }
  auto handshake = std::make_unique<Handshake>(*std::move(dialled));
  auto shaking = handshake->shake(*std::move(head) + exchange.request().body);
  if (const auto shaken = co_await std::move(shaking); !shaken) {
    Error error = shaken.error();
    error.message = "the cluster's API server did not answer the upgrade: " + error.message;
    co_return error;
  }
  co_return handshake;
}

awaitable<result<std::unique_ptr<Tunnels::Handshake>>> Tunnels::open(net::HttpExchange& exchange,
                                                                     kube::ClusterContext cluster, std::string target) {
  const auto first = co_await kube::ClusterContext::current(cluster);
  if (!first) co_return first.error();
  auto shaking = shake(exchange, *first, target);
  auto handshake = co_await std::move(shaking);
  if (!handshake || (*handshake)->status() != 401 || !cluster.source) co_return std::move(handshake);
  cluster.source->refused(first->credential);
  const auto second = co_await kube::ClusterContext::current(cluster);
  if (!second || second->credential == first->credential) co_return std::move(handshake);
  auto again = shake(exchange, *second, target);
  co_return co_await std::move(again);
}

awaitable<int> Tunnels::serve(net::HttpExchange& exchange, kube::ClusterContext cluster, std::string target) {
  using namespace asio::experimental::awaitable_operators;
  Timer deadline(executor_, clock_);
  auto opening = open(exchange, std::move(cluster), std::move(target));
  auto late = deadline.wait_for(kHandshakeTimeout);
  auto gone = exchange.wait_for_disconnect();
  auto first = co_await (std::move(opening) || std::move(late) || std::move(gone));
  if (first.index() == 2) {
    (void)exchange.take_socket();  // nobody is left to answer
    co_return kClientClosed;
  }
  if (first.index() == 1) {
    std::string message = "the cluster's API server did not answer the upgrade";
    co_return co_await respond_status(exchange, 504, std::move(message));
  }
  auto& opened = std::get<0>(first);
  if (!opened) {
    log::warn("{}: {}", exchange.request().path(), opened.error().message);
    std::string message = opened.error().message;
    co_return co_await respond_status(exchange, http_status_of(opened.error()), std::move(message));
  }
  const std::unique_ptr<Handshake> handshake = *std::move(opened);
  co_return co_await carry(exchange, *handshake);
}

awaitable<int> Tunnels::carry(net::HttpExchange& exchange, Handshake& handshake) {
  using namespace asio::experimental::awaitable_operators;
  const int status = handshake.status();
  if (status != 101) {
    auto body = co_await handshake.read_body();
    auto headers = forwarded_response_headers(handshake.headers());
    (void)co_await exchange.respond(status, std::move(headers), std::move(body));
    co_return status;
  }
  struct Entry {  // so that cut() finds it
    Entry(std::unordered_set<Timer*>& all, Timer& mine) : set(all), timer(mine) { set.insert(&timer); }
    ~Entry() { set.erase(&timer); }
    std::unordered_set<Timer*>& set;
    Timer& timer;
  };
  Timer end(executor_, clock_);
  const Entry entry(open_, end);
  const auto open = metrics_.open(ConnectionKind::tunnel);
  auto client = exchange.take_socket();
  const auto answer = handshake.answer();
  const auto [failed, sent] = co_await asio::async_write(client.socket, asio::buffer(answer), kNoThrow);
  if (failed || cut_) co_return status;  // cut() may have come while nobody waited for `end` yet
  std::string nothing;                   // the request has been sent
  auto carrying = net::tunnel(std::move(client), handshake.release(), std::move(nothing), clock_);
  auto cut = end.wait();
  (void)co_await (std::move(carrying) || std::move(cut));
  co_return status;
}

void Tunnels::cut() {
  cut_ = true;
  for (auto* end : open_) end->cancel();
}

}  // namespace fresnel::gateway

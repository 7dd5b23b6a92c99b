// Upgrades that are no watch (exec, attach, port-forward, whatever comes): the handshake goes to the API server with
// the right credential, and after its 101 bytes pass both ways as they are, subprotocol and close codes included.
//
// Any other answer is read and passed on as an HTTP response: only a connection that has been upgraded is handed to
// the API server, else what the client sends next would reach it past the gateway's routes and checks.
//
// Thread safety: one thread, that of the executor.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>

#include "fresnel/base/asio.hpp"
#include "fresnel/base/clock.hpp"
#include "fresnel/gateway/metrics.hpp"
#include "fresnel/kube/cluster_context.hpp"
#include "fresnel/net/http_server.hpp"

namespace fresnel::gateway {

// The fields of the handshake that the API server at `host` gets: the client's own, without credentials, cookies and
// subprotocols that carry a credential, with the credential of `cluster`.
[[nodiscard]] net::Headers upgrade_headers(const net::ServerRequest& request, const kube::ClusterContext& cluster,
                                           std::string_view host);

class Tunnels {
 public:
  Tunnels(const Executor& executor, Clock& clock, Metrics& metrics)
      : executor_(executor), clock_(clock), metrics_(metrics) {}

  // Serves the exchange until one side ends the connection; `target` is the API path and query. A credential that the
  // API server refuses is renewed once, where that is possible. Returns the status that the client was sent.
  [[nodiscard]] awaitable<int> serve(net::HttpExchange& exchange, kube::ClusterContext cluster, std::string target);
  // Ends all tunnels at once; those that are being opened end as soon as they are open.
  void cut();

 private:
  class Handshake;

  [[nodiscard]] awaitable<result<std::unique_ptr<Handshake>>> open(net::HttpExchange& exchange,
                                                                   kube::ClusterContext cluster, std::string target);
  [[nodiscard]] awaitable<result<std::unique_ptr<Handshake>>> shake(net::HttpExchange& exchange,
                                                                    kube::ClusterContext cluster, std::string target);
  [[nodiscard]] awaitable<int> carry(net::HttpExchange& exchange, Handshake& handshake);

  Executor executor_;
  Clock& clock_;
  Metrics& metrics_;
  std::unordered_set<Timer*> open_;  // cancel() ends the tunnel that waits for it
  bool cut_ = false;
};

}  // namespace fresnel::gateway

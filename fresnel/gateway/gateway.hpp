// The gateway: `fresnel serve` in a class, for the command, the demo and the tests.
//
//   Gateway gateway(options, Clusters::of(contexts));
//   const auto bound = gateway.start();     // error: the address is taken, the static folder is none, ...
//   ...
//   gateway.stop();
//
// Routes, all below the base URL:
//   /wsMultiplexer                  many watches over one WebSocket (session::serve_multiplexer)
//   /clusters/<name>/set-token, me  a browser's login (token_routes.hpp)
//   /clusters/<name>/...            a watch with an Upgrade: a direct watch socket; any other Upgrade: a tunnel;
//                                   else the proxy to the API server
//   /channels                       channels for browsers; /api/... for back ends (channel_routes.hpp)
//   /config  /plugins               what Headlamp's frontend asks first
//   /healthz /readyz /metrics       for operators
//   anything else                   static files of --html-static-dir
//
// Threads: one io_context a thread, each with its own listener on the same port (SO_REUSEPORT), HTTP client and
// sockets; one Hub over all of them. A request and what becomes of it stay on one thread.
//
// Thread safety: start() and stop() from one thread that is none of the gateway's. No outside input ends the process.
#pragma once

#include <memory>

#include "fresnel/base/error.hpp"
#include "fresnel/gateway/cluster_files.hpp"
#include "fresnel/gateway/clusters.hpp"
#include "fresnel/gateway/options.hpp"
#include "fresnel/net/http_server.hpp"

namespace fresnel::gateway {

class Gateway {
 public:
  // `files`: where the clusters came from, which is looked at every second; null: they stay as they are.
  Gateway(GatewayOptions options, Clusters clusters, std::shared_ptr<ClusterFiles> files = nullptr);
  ~Gateway();  // stop()
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  // Listens and serves from now on; returns the address in use. Once only.
  [[nodiscard]] result<net::Endpoint> start();
  // Drains: accepts nothing more, closes WebSockets with 1001, ends tunnels, proxied requests and upstream watches,
  // and joins the threads, all within the drain timeout and a little more. Does nothing when not started.
  void stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fresnel::gateway

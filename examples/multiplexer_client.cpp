// Follows one list of several clusters through a gateway, all over one WebSocket.
//
//   fresnel serve &
//   example_multiplexer_client http://127.0.0.1:4466 /api/v1/pods CLUSTER...        ends with Ctrl-C
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <cstdio>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "fresnel/base/clock.hpp"
#include "fresnel/client/multiplexer.hpp"
#include "fresnel/net/websocket_client.hpp"

namespace client = fresnel::client;
namespace kube = fresnel::kube;

namespace {

client::SubscriptionHandlers printing(const std::string& cluster) {
  client::SubscriptionHandlers handlers;
  handlers.on_message = [cluster](const kube::WatchEvent& event) {
    const auto type = std::string(kube::to_string(event.type));
    std::printf("%-12s %-8s %s\n", cluster.c_str(), type.c_str(), kube::full_name(event).c_str());
  };
  handlers.on_complete = [cluster] { std::printf("%-12s that is all for now\n", cluster.c_str()); };
  handlers.on_error = [cluster](const fresnel::Error& error) {
    std::fprintf(stderr, "%s: %s\n", cluster.c_str(), error.message.c_str());
  };
  handlers.on_state = [cluster](const client::SubscriptionStatus& status) {
    std::fprintf(stderr, "%s: %s\n", cluster.c_str(), std::string(client::to_string(status.state)).c_str());
  };
  return handlers;
}

}  // namespace

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);  // whole lines at once, in a pipe too
  if (argc < 4) {
    std::fprintf(stderr, "usage: %s GATEWAY-URL PATH CLUSTER...\n", argv[0]);
    return 2;
  }
  fresnel::SteadyClock clock;  // outlives the io_context, whose coroutines use it to their last breath
  boost::asio::io_context io;
  const auto dialer = std::make_shared<fresnel::net::WebSocketDialer>(io.get_executor());
  client::Multiplexer multiplexer(io.get_executor(), clock, fresnel::Random(std::random_device{}()), dialer,
                                  {.url = argv[1]});

  // Each subscription lives as long as its object; it survives every reconnect and resumes where it was.
  std::vector<client::Subscription> subscriptions;
  for (int i = 3; i < argc; ++i) {
    const std::string cluster = argv[i];
    subscriptions.push_back(multiplexer.subscribe({.cluster_id = cluster, .path = argv[2]}, printing(cluster)));
  }

  boost::asio::signal_set signals(io, SIGINT, SIGTERM);
  signals.async_wait([&](const auto&, int) { io.stop(); });
  io.run();
}

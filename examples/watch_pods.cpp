// Follows all pods of the current kubeconfig context and prints each change, through every drop of the connection.
//
//   example_watch_pods [CONTEXT]        ends with Ctrl-C
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <cstdio>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "fresnel/base/clock.hpp"
#include "fresnel/kube/kubeconfig.hpp"
#include "fresnel/kube/watcher.hpp"
#include "fresnel/net/curl_client.hpp"

namespace kube = fresnel::kube;

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);  // whole lines at once, in a pipe too
  const auto config = kube::load_kubeconfig(kube::KubeconfigOptions::from_environment());
  if (!config) {
    std::fprintf(stderr, "%s\n", config.error().message.c_str());
    return 1;
  }
  auto context = config->find(argc > 1 ? argv[1] : "");
  if (!context) {
    std::fprintf(stderr, "%s\n", context.error().message.c_str());
    return 1;
  }

  // The clock and the random source outlive the io_context, whose coroutines use them to their last breath.
  fresnel::SteadyClock clock;
  fresnel::Random random(std::random_device{}());
  boost::asio::io_context io;
  fresnel::net::CurlClient transport(io.get_executor());

  kube::WatcherHandlers handlers;
  handlers.on_listed = [](const kube::ListedInfo& listed) {
    std::printf("%s at version %s\n", listed.relist ? "listed again" : "listed", listed.resource_version.c_str());
  };
  handlers.on_events = [](std::vector<kube::WatchEvent> events) {
    for (const auto& event : events) {
      if (!event.changes_an_object()) continue;  // bookmarks only move the version on
      const auto type = std::string(kube::to_string(event.type));
      std::printf("%-8s %s at version %s\n", type.c_str(), kube::full_name(event).c_str(),
                  std::string(event.resource_version).c_str());
    }
  };
  handlers.on_status = [](const kube::WatchStatus& status) {
    if (status.phase != kube::WatchStatus::Phase::failing) return;
    std::fprintf(stderr, "will try again: %s\n", status.error.message.c_str());
  };

  std::optional<kube::Watcher> watcher(std::in_place, io.get_executor(), clock, random,
                                       std::make_shared<kube::ApiClient>(transport, std::move(*context)),
                                       kube::WatchTarget{.path = "/api/v1/pods"}, std::move(handlers));
  watcher->start();

  boost::asio::signal_set signals(io, SIGINT, SIGTERM);
  signals.async_wait([&](const auto&, int) { watcher.reset(); });
  io.run();  // until the watcher's last coroutine has ended
}

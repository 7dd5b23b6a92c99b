#include <fmt/format.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "fresnel/base/log.hpp"
#include "fresnel/cli/age.hpp"
#include "fresnel/cli/commands.hpp"
#include "fresnel/cli/demo_clusters.hpp"
#include "fresnel/cli/event_printer.hpp"
#include "fresnel/cli/event_source.hpp"
#include "fresnel/cli/live_table.hpp"
#include "fresnel/cli/output.hpp"
#include "fresnel/gateway/gateway.hpp"
#include "fresnel/net/websocket_client.hpp"

namespace fresnel::cli {
namespace {

constexpr char kTableAccept[] = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
constexpr char kExamples[] = R"(
Two simulated clusters, the gateway in front of them, and a live table of all their pods over one WebSocket. While it
runs, other programs can use the same gateway and clusters; the demo says how.

Examples:
  fresnel demo
  # Bigger and busier
  fresnel demo --pods 400 --rate 200)";

struct DemoArgs {
  DemoOptions clusters;
  std::string listen = "127.0.0.1:4466";
};

// The clusters' kubeconfig as a file, for as long as the demo runs.
class KubeconfigFile {
 public:
  explicit KubeconfigFile(const std::string& text)
      : path_(std::filesystem::temp_directory_path() / fmt::format("fresnel-demo-{}.kubeconfig", ::getpid())) {
    std::ofstream(path_) << text;
  }
  ~KubeconfigFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  KubeconfigFile(const KubeconfigFile&) = delete;
  KubeconfigFile& operator=(const KubeconfigFile&) = delete;
  [[nodiscard]] std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

int fail(const Error& error) {
  (void)Output(STDERR_FILENO).write("error: " + error.message + "\n");
  return kExitError;
}

std::vector<std::string> hints(const std::string& url, const std::string& kubeconfig) {
  return {"Try in another terminal:", fmt::format("  fresnel watch deploy -A --gateway {} --context demo-east", url),
          fmt::format("  kubectl --kubeconfig {} delete pod -n shop --all", kubeconfig),
          fmt::format("  curl -s {}/metrics | grep fresnel_", url)};
}

awaitable<void> show(LiveTable& table, asio::io_context& io, result<void>& shown) {
  auto running = table.run();
  shown = co_await std::move(running);
  io.stop();
}

void follow(EventSource& source, const std::vector<kube::ClusterContext>& contexts) {
  for (const auto& context : contexts) source.follow(context, {.path = "/api/v1/pods", .accept = kTableAccept});
}

// On a terminal: the live table until the user quits.
result<void> show_table(asio::io_context& io, Clock& clock, const std::vector<kube::ClusterContext>& contexts,
                        const std::string& url, std::vector<std::string> lines) {
  LiveTableOptions options{.title = "pods -A over one WebSocket through " + url, .hints = std::move(lines)};
  for (const auto& context : contexts) options.clusters.push_back(context.name);
  options.show_cluster = true;
  options.show_namespace = true;
  options.colour = wants_colour(Output());
  LiveTable table(io.get_executor(), clock, std::move(options));
  GatewaySource source(io.get_executor(), clock, Random(std::random_device{}()),
                       std::make_shared<net::WebSocketDialer>(io.get_executor()), url, table.handlers());
  follow(source, contexts);
  result<void> shown;
  asio::co_spawn(io, show(table, io, shown), asio::detached);
  io.run();
  return shown;
}

// In a pipe: one line an event until a signal or the reader's end.
result<void> print_lines(asio::io_context& io, Clock& clock, const std::vector<kube::ClusterContext>& contexts,
                         const std::string& url) {
  EventPrinter printer({.several_clusters = true, .show_namespace = true});
  Output output;
  SourceHandlers handlers;
  handlers.on_event = [&](const std::string& cluster, const kube::WatchEvent& event) {
    if (!output.write(printer.event(cluster, event, wall_now()))) io.stop();
  };
  handlers.on_synced = [&](const std::string& cluster) {
    if (!output.write(printer.synced(cluster))) io.stop();
  };
  GatewaySource source(io.get_executor(), clock, Random(std::random_device{}()),
                       std::make_shared<net::WebSocketDialer>(io.get_executor()), url, std::move(handlers));
  follow(source, contexts);
  asio::signal_set signals(io, SIGINT, SIGTERM);
  signals.async_wait([&](const error_code&, int) { io.stop(); });
  io.run();
  return {};
}

int run_demo(const DemoArgs& args) {
  const auto listen = net::Endpoint::parse(args.listen);
  if (!listen) return fail(listen.error());
  (void)log::configure("off");  // the table has the terminal
  DemoClusters clusters(args.clusters);
  const auto contexts = clusters.start();
  if (!contexts) return fail(contexts.error());

  gateway::GatewayOptions options;
  options.listen = *listen;
  auto gateway = std::make_unique<gateway::Gateway>(options, gateway::Clusters::of(*contexts));
  auto bound = gateway->start();
  if (!bound) {
    options.listen.port = 0;  // somebody listens there: any port will do for a demo
    gateway = std::make_unique<gateway::Gateway>(options, gateway::Clusters::of(*contexts));
    bound = gateway->start();
    if (!bound) return fail(bound.error());
  }
  const std::string url = "http://" + bound->to_string();
  const KubeconfigFile kubeconfig(clusters.kubeconfig());
  auto lines = hints(url, kubeconfig.path());

  SteadyClock clock;
  asio::io_context io(1);
  const auto done =
      Output().is_terminal() ? show_table(io, clock, *contexts, url, lines) : print_lines(io, clock, *contexts, url);
  gateway->stop();
  return done ? kExitOk : fail(done.error());
}

}  // namespace

void add_demo_command(CLI::App& app, Action& chosen) {
  auto* command = app.add_subcommand("demo", "Show two simulated clusters live, through the gateway");
  command->footer(kExamples);
  auto args = std::make_shared<DemoArgs>();
  command->add_option("--pods", args->clusters.pods, "Pods a cluster, about")
      ->check(CLI::Range(10, 5000))
      ->capture_default_str();
  command->add_option("--rate", args->clusters.rate, "Changes a second and cluster, about")
      ->check(CLI::Range(0.1, 5000.0))
      ->capture_default_str();
  command->add_option("--listen", args->listen, "The gateway's address; when it is taken, any free port")
      ->type_name("HOST:PORT")
      ->capture_default_str();
  command->callback([args, &chosen] { chosen = [args] { return run_demo(*args); }; });
}

}  // namespace fresnel::cli

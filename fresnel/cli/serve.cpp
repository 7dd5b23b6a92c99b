#include "fresnel/cli/serve.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <signal.h>

#include <CLI/App.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fresnel/base/log.hpp"
#include "fresnel/cli/error_text.hpp"
#include "fresnel/cli/output.hpp"
#include "fresnel/gateway/gateway.hpp"

namespace fresnel::cli {
namespace {

constexpr char kExamples[] = R"(
Every option can also be given as an environment variable (FRESNEL_MAX_MESSAGE=128KiB) or in the YAML file of
--config (max-message: 128KiB); flags win over the environment, the environment over the file.

Examples:
  # Serve the clusters of the kubeconfig to this machine
  fresnel serve
  # Serve a dashboard too, below a path, with its users' own tokens
  fresnel serve --listen 0.0.0.0:8080 --base-url /clusters-live --html-static-dir /srv/dashboard)";

// What the command line gave: as texts, so that flags, environment and file are read by the same rules.
struct ServeArgs {
  std::string config_file;
  std::map<std::string, std::vector<std::string>> values;
  std::map<std::string, bool> switches;

  [[nodiscard]] gateway::OptionValues flags() const {
    gateway::OptionValues flags;
    for (const auto& [name, given] : values) {
      if (!given.empty()) flags[name] = fmt::format("{}", fmt::join(given, ","));
    }
    for (const auto& [name, given] : switches) {
      if (given) flags[name] = "true";
    }
    return flags;
  }
};

std::optional<std::string> environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

int fail(const Error& error, int exit_code) {
  (void)Output(STDERR_FILENO).write("error: " + error.message + "\n");
  return exit_code;
}

std::string greeting(const net::Endpoint& bound, const gateway::GatewayOptions& options,
                     const gateway::Clusters& clusters) {
  std::string names;
  for (const auto& entry : clusters.entries()) {
    names += fmt::format("{}{}{}", names.empty() ? "" : ", ", entry.name, entry.context ? "" : " (unusable)");
  }
  return fmt::format("Listening on {}://{}{}/ for {}\n", options.tls_cert_file.empty() ? "http" : "https",
                     bound.to_string(), options.base_url, names);
}

int run_serve(const ServeArgs& args) {
  const auto loaded = gateway::load_options(args.flags(), args.config_file, environment);
  if (!loaded) return fail(loaded.error(), kExitUsage);
  const auto& options = loaded->options;
  if (const auto configured = log::configure(options.log_level); !configured) {
    return fail(configured.error(), kExitUsage);
  }
  const auto files = std::make_shared<gateway::ClusterFiles>(
      kube::KubeconfigOptions::from_environment(options.kubeconfig), options.in_cluster);
  const auto clusters = files->load();
  if (!clusters) return fail(clusters.error(), kExitUsage);
  for (const auto& entry : clusters->entries()) {
    if (!entry.context) log::warn("cluster {} cannot be used: {}", entry.name, entry.context.error().message);
  }

  // Before the gateway starts: a signal from now on is not lost.
  asio::io_context io(1);
  asio::signal_set signals(io, SIGINT, SIGTERM);
  int received = 0;
  signals.async_wait([&](const error_code&, int number) { received = number; });

  gateway::Gateway gateway(options, *clusters, files);
  const auto bound = gateway.start();
  if (!bound) return fail(bound.error(), bound.error().code == Errc::internal ? kExitError : kExitUsage);
  (void)Output().write(greeting(*bound, options, *clusters));
  io.run();
  signals.clear();  // the next signal ends the process in the default way
  log::info("signal {}: shutting down", received);
  gateway.stop();
  return kExitOk;
}

}  // namespace

void add_serve_command(CLI::App& app, Action& chosen) {
  auto* command = app.add_subcommand("serve", "Run the gateway");
  command->footer(kExamples);
  auto args = std::make_shared<ServeArgs>();
  command->add_option("--config", args->config_file, "YAML file with options")->type_name("FILE");
  for (const auto& spec : gateway::option_specs()) {
    const std::string name(spec.name);
    const std::string help(spec.help);
    if (spec.placeholder.empty()) {
      command->add_flag("--" + name, args->switches[name], help);
      continue;
    }
    auto* option = command->add_option("--" + name, args->values[name], help);
    option->type_name(std::string(spec.placeholder))->expected(1)->allow_extra_args(false);
    option->multi_option_policy(spec.list ? CLI::MultiOptionPolicy::TakeAll : CLI::MultiOptionPolicy::TakeLast);
  }
  command->callback([args, &chosen] { chosen = [args] { return run_serve(*args); }; });
}

}  // namespace fresnel::cli

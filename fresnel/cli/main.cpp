// The `fresnel` program: parses the command line and runs the chosen subcommand.
#include <signal.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <exception>
#include <string>

#include "fresnel/base/version.hpp"
#include "fresnel/cli/commands.hpp"
#include "fresnel/cli/output.hpp"
#include "fresnel/cli/serve.hpp"

namespace {

constexpr char kExamples[] = R"(
Examples:
  # Follow the pods of all namespaces live
  fresnel watch pods -A
  # The same on two clusters at once
  fresnel watch pods -A --context prod-eu --context prod-us
  # One JSON line an event, for scripts
  fresnel watch events -o json | jq .object.message

"fresnel COMMAND --help" tells more about a command.)";

// The first argument that is neither a flag nor a subcommand, nullptr if there is none: CLI11 would only say that a
// subcommand is required.
const char* unknown_command(const CLI::App& app, int argc, char** argv) {
  const auto first = std::find_if(argv + 1, argv + argc, [](const char* argument) { return argument[0] != '-'; });
  if (first == argv + argc) return nullptr;
  const auto commands = app.get_subcommands([](const CLI::App*) { return true; });
  const auto known = [&](const CLI::App* command) { return command->get_name() == *first; };
  return std::any_of(commands.begin(), commands.end(), known) ? nullptr : *first;
}

int run(int argc, char** argv) {
  using namespace fresnel::cli;
  CLI::App app("Fresnel gathers many Kubernetes watches into one WebSocket.", "fresnel");
  app.set_version_flag("--version", "fresnel " + std::string(fresnel::kVersion));
  app.require_subcommand(1);
  app.footer(kExamples);
  Action chosen;
  add_get_command(app, chosen);
  add_watch_command(app, chosen);
  add_serve_command(app, chosen);
  add_demo_command(app, chosen);
  add_bench_command(app, chosen);
  if (const char* unknown = unknown_command(app, argc, argv)) {
    const auto text = std::string("error: unknown command \"") + unknown +
                      "\" for \"fresnel\"\nRun 'fresnel --help' for the commands.\n";
    (void)Output(STDERR_FILENO).write(text);
    return kExitUsage;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  return chosen();
}

}  // namespace

int main(int argc, char** argv) {
  // A reader that closes its pipe early is told to write(), not a reason to die.
  signal(SIGPIPE, SIG_IGN);
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    (void)fresnel::cli::Output(STDERR_FILENO).write(std::string("error: ") + error.what() + "\n");
    return fresnel::cli::kExitError;
  }
}

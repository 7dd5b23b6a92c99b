// `fresnel watch`: follows objects of one or more clusters, live.
#include <CLI/App.hpp>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <random>

#include "fresnel/base/log.hpp"
#include "fresnel/cli/commands.hpp"
#include "fresnel/cli/error_text.hpp"
#include "fresnel/cli/output.hpp"
#include "fresnel/cli/resource_args.hpp"
#include "fresnel/cli/targets.hpp"
#include "fresnel/cli/watch_run.hpp"
#include "fresnel/net/curl_client.hpp"

namespace fresnel::cli {
namespace {

constexpr char kHelp[] = R"(
On a terminal: a live table; arrows, j, k, PgUp and PgDn scroll, q quits. In a pipe: one line an event, first an ADDED
for each existing object. Every break of the link is healed; nothing that happened meanwhile is missing.

Examples:
  # A live table of all pods
  fresnel watch pods -A
  # Two clusters in one table, over one WebSocket to a gateway
  fresnel watch pods -A --context prod-eu --context prod-us --gateway http://127.0.0.1:4466
  # One JSON line an event: {"type","cluster","object"}
  fresnel watch pods -o json | jq -r '.type + " " + .object.metadata.name'
  # One object
  fresnel watch deploy web -n shop)";

int run(const ResourceArgs& args) {
  SteadyClock clock;
  Random random(std::random_device{}());
  asio::io_context io(1);
  net::CurlClient transport(io.get_executor());
  // What the layers below would log is on the screen already, in its place.
  (void)log::configure("off");
  const auto targets = find_targets(args, io, transport);
  if (!targets) {
    (void)Output(STDERR_FILENO).write(error_text(targets.error()) + "\n");
    return kExitError;
  }
  return run_watch(io, clock, random, transport, args, *targets);
}

}  // namespace

void add_watch_command(CLI::App& app, Action& chosen) {
  auto* command = app.add_subcommand("watch", "Follow objects of one or more clusters live");
  command->footer(kHelp);
  auto args = std::make_shared<ResourceArgs>();
  add_resource_options(*command, *args);
  command->callback([args, &chosen] {
    if (auto done = complete(*args); !done) throw CLI::ValidationError(done.error().message);
    chosen = [args] { return run(*args); };
  });
}

}  // namespace fresnel::cli

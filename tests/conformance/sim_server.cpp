// The simulated API server as a process of its own, for tests that kill, stop and restart their cluster. Prints its URL
// on a line of standard output once it accepts connections; ends on SIGINT and SIGTERM.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "fresnel/base/clock.hpp"
#include "fresnel/sim/cluster.hpp"

namespace {

using namespace fresnel;

struct Arguments {
  std::uint16_t port = 0;
  std::vector<std::string> tokens;  // TOKEN:USER[:GROUP]
  sim::ClusterOptions cluster;
  unsigned compaction_seconds = 0;
  unsigned bookmark_seconds = 60;
};

sim::Token token_of(const std::string& text) {
  const auto first = text.find(':');
  const auto second = text.find(':', first == std::string::npos ? first : first + 1);
  sim::Token token{.token = text.substr(0, first)};
  if (first != std::string::npos) token.user = text.substr(first + 1, second - first - 1);
  if (second != std::string::npos) token.groups = {text.substr(second + 1)};
  return token;
}

int serve(Arguments arguments) {
  for (const auto& text : arguments.tokens) arguments.cluster.auth.tokens.push_back(token_of(text));
  auto& server = arguments.cluster.server;
  server.compaction_interval = seconds(arguments.compaction_seconds);
  server.bookmark_interval = seconds(arguments.bookmark_seconds);
  SteadyClock clock;  // outlives every coroutine of the context
  asio::io_context io;
  sim::Cluster cluster(io.get_executor(), clock, std::move(arguments.cluster));
  (void)cluster.listen({"127.0.0.1", arguments.port}).value();
  fmt::print("{}\n", cluster.url());
  std::fflush(stdout);
  asio::signal_set signals(io, SIGINT, SIGTERM);
  signals.async_wait([&](const auto&, int) { cluster.server().stop(); });  // nothing is left to run then
  io.run();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("A simulated Kubernetes API server");
  app.add_option("--port", arguments.port, "Port on 127.0.0.1; 0: a free one");
  app.add_option("--token", arguments.tokens, "TOKEN:USER[:GROUP]; the group system:masters may do everything");
  app.add_flag_callback(
      "--no-anonymous", [&] { arguments.cluster.auth.anonymous = sim::Anonymous::nothing; },
      "A request without a token may do next to nothing");
  app.add_flag_callback(
      "--no-controllers", [&] { arguments.cluster.resources.finish_deletions = false; },
      "Leave deletions unfinished that a real cluster's controllers and kubelets would finish");
  app.add_flag("--expired-as-http-status", arguments.cluster.server.expired_as_http_status,
               "Answer a watch from a forgotten version with HTTP status 410");
  app.add_option("--compact-every", arguments.compaction_seconds, "Seconds between compactions; 0: none");
  app.add_option("--bookmark-every", arguments.bookmark_seconds, "Seconds between bookmarks");
  CLI11_PARSE(app, argc, argv);
  try {
    return serve(std::move(arguments));
  } catch (const std::exception& failure) {
    fmt::print(stderr, "sim_server: {}\n", failure.what());
    return 1;
  }
}

// `fresnel bench`: what a gateway delivers to many clients, measured from outside.
#include <fmt/format.h>
#include <signal.h>

#include <CLI/App.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "fresnel/base/log.hpp"
#include "fresnel/cli/bench_report.hpp"
#include "fresnel/cli/commands.hpp"
#include "fresnel/cli/error_text.hpp"
#include "fresnel/cli/output.hpp"
#include "fresnel/cli/resource_args.hpp"
#include "fresnel/cli/targets.hpp"
#include "fresnel/load/generator.hpp"
#include "fresnel/load/message_text.hpp"
#include "fresnel/net/curl_client.hpp"

namespace fresnel::cli {
namespace {

constexpr char kHelp[] = R"(
Opens that many WebSockets to the gateway's multiplexer, asks for each list on each of them, waits for the initial data,
then counts what comes. It changes nothing: something else must change objects meanwhile. Latency is known for objects
with the annotation bench.fresnel.dev/written-at, whose value is the time of writing in nanoseconds since 1970 by this
machine's clock (kubectl annotate pod web bench.fresnel.dev/written-at=$(date +%s%N) --overwrite).

The exit code is 1 when a connection was lost or a list was refused, and the report is printed all the same. ^C ends the
measurement early.

Examples:
  # 100 clients that follow all pods
  fresnel bench --gateway http://127.0.0.1:4466
  # 1,000 clients with two lists each for a minute, on a core of its own, as JSON
  fresnel bench --gateway http://127.0.0.1:4466 --clients 1000 --duration 60 --processor 1 -o json \
    --list /api/v1/pods --list '/apis/apps/v1/deployments?labelSelector=app%3Dweb')";

struct BenchArgs {
  std::string gateway;
  std::size_t clients = 100;
  std::vector<std::string> lists;
  std::vector<std::string> contexts;
  double seconds = 10;
  double ready_timeout = 60;
  bool deflate = false;
  std::string token_file;
  int processor = -1;
  std::string output = "table";
};

volatile sig_atomic_t interrupted = 0;

int fail(std::string_view text, int exit_code) {
  (void)Output(STDERR_FILENO).write(fmt::format("{}\n", text));
  return exit_code;
}

Duration duration_of(double seconds) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

result<std::string> read_token(const std::string& path) {
  if (path.empty()) return std::string();
  std::ifstream file(path);
  std::string token{std::istreambuf_iterator<char>(file), {}};
  while (!token.empty() && std::isspace(static_cast<unsigned char>(token.back()))) token.pop_back();
  if (token.empty() || token.find_first_of("\r\n") != std::string::npos) {
    return Error{Errc::invalid_argument, "--token-file " + path + ": expected a file with one line, the token"};
  }
  return "Bearer " + token;
}

// Names of the clusters to ask for, as the gateway knows them.
result<std::vector<std::string>> find_clusters(const BenchArgs& args) {
  asio::io_context io(1);
  net::CurlClient transport(io.get_executor());
  ResourceArgs wanted;
  wanted.gateway = args.gateway;
  wanted.contexts = args.contexts;
  const auto targets = find_targets(wanted, io, transport);
  if (!targets) return targets.error();
  std::vector<std::string> names;
  for (const auto& target : *targets) names.push_back(target.name);
  return names;
}

result<load::GeneratorOptions> generator_options(const BenchArgs& args, const std::vector<std::string>& clusters) {
  auto target = load::resolve_target(args.gateway + "/wsMultiplexer");
  if (!target) return target.error();
  auto authorization = read_token(args.token_file);
  if (!authorization) return authorization.error();
  load::GeneratorOptions options{.target = *target,
                                 .connections = args.clients,
                                 .authorization = *std::move(authorization),
                                 .deflate = args.deflate};
  for (const auto& cluster : clusters) {
    for (const auto& list : args.lists) options.messages.push_back(load::request_message(cluster, list));
  }
  return options;
}

double seconds_since(TimePoint start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Fills in what `report` says of the run; no clients are live when it could not even begin.
void measure(const BenchArgs& args, load::Generator& generator, BenchReport& report) {
  const auto begin = std::chrono::steady_clock::now();
  generator.connect_all();
  (void)generator.run_until(begin + duration_of(args.ready_timeout), [&] {
    const auto& totals = generator.totals();
    return interrupted != 0 || generator.live() + totals.failed + totals.closed >= args.clients;
  });
  report.ready_seconds = seconds_since(begin);
  report.live = generator.live();
  report.deflating = generator.deflating();
  report.initial = generator.totals();
  if (report.live == 0) return;
  generator.clear_totals();
  const auto start = std::chrono::steady_clock::now();
  (void)generator.run_until(start + duration_of(args.seconds),
                            [&] { return interrupted != 0 || generator.open() == 0; });
  report.seconds = seconds_since(start);
  report.steady = generator.totals();
  report.still_open = generator.open();
}

int run(const BenchArgs& args) {
  (void)log::configure("off");
  const auto clusters = find_clusters(args);
  if (!clusters) return fail(error_text(clusters.error()), kExitError);
  auto options = generator_options(args, *clusters);
  if (!options) {
    const bool usage = options.error().code == Errc::invalid_argument;
    return fail(error_text(options.error()), usage ? kExitUsage : kExitError);
  }
  if (args.processor >= 0 && !load::pin_to_processor(args.processor)) {
    return fail(fmt::format("error: --processor {}: there is no such processor for this program", args.processor),
                kExitUsage);
  }
  BenchReport report{
      .gateway = args.gateway, .clusters = *clusters, .clients = args.clients, .lists = options->messages.size()};
  load::Generator generator(*std::move(options));
  if (const auto started = generator.start(); !started) return fail(error_text(started.error()), kExitError);
  signal(SIGINT, [](int) { interrupted = 1; });
  measure(args, generator, report);
  if (report.live > 0) {
    (void)Output().write(args.output == "json" ? bench_json(report) : bench_table(report));
  }
  (void)Output(STDERR_FILENO).write(bench_faults(report));
  return report.clean() ? kExitOk : kExitError;
}

// Like complete() of the other commands: wrong usage is said before anything is opened.
void check(BenchArgs& args) {
  ResourceArgs like_watch;
  like_watch.resource = "pods";
  like_watch.gateway = args.gateway;
  if (auto done = complete(like_watch); !done) throw CLI::ValidationError(done.error().message);
  args.gateway = like_watch.gateway;
  if (args.gateway.starts_with("https:")) {
    throw CLI::ValidationError(
        "--gateway: expected an http URL; the load generator speaks no TLS, so measure behind the TLS proxy");
  }
  if (args.lists.empty()) args.lists.emplace_back("/api/v1/pods");
  for (const auto& list : args.lists) {
    if (!list.starts_with("/api/") && !list.starts_with("/apis/")) {
      throw CLI::ValidationError("--list: expected an API path such as /api/v1/pods, got \"" + list + "\"");
    }
  }
}

}  // namespace

void add_bench_command(CLI::App& app, Action& chosen) {
  auto* command = app.add_subcommand("bench", "Measure what a gateway delivers to many clients");
  command->footer(kHelp);
  auto args = std::make_shared<BenchArgs>();
  command->add_option("--gateway", args->gateway, "The gateway to measure")->type_name("URL")->required();
  command->add_option("--clients", args->clients, "WebSocket connections")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  command
      ->add_option("--list", args->lists, "Path of a list to follow, with selectors as its query; repeat it for more")
      ->type_name("PATH")
      ->allow_extra_args(false);
  command->add_option("--context", args->contexts, "Cluster of the gateway; repeat it for more (default: the first)")
      ->type_name("NAME")
      ->allow_extra_args(false);
  command->add_option("--duration", args->seconds, "Seconds to measure for")
      ->check(CLI::Range(0.1, 86'400.0))
      ->capture_default_str();
  command->add_option("--ready-timeout", args->ready_timeout, "Seconds to wait for connections and initial data")
      ->check(CLI::Range(0.1, 3'600.0))
      ->capture_default_str();
  command->add_flag("--deflate", args->deflate, "Offer permessage-deflate");
  command->add_option("--token-file", args->token_file, "File with the bearer token that the clients show")
      ->type_name("FILE")
      ->check(CLI::ExistingFile);
  command->add_option("--processor", args->processor, "Run on this processor only, away from what is measured")
      ->type_name("N")
      ->check(CLI::Range(0, 1023));
  command->add_option("-o,--output", args->output, "table or json")
      ->check(CLI::IsMember({"table", "json"}))
      ->capture_default_str();
  command->callback([args, &chosen] {
    check(*args);
    chosen = [args] { return run(*args); };
  });
}

}  // namespace fresnel::cli

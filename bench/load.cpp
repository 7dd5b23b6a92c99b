// The load generator as a process that the runner commands, one command a line of standard input, each answered by one
// line of JSON. It serves its connections while it waits for a command.
//
//   connect SECONDS   connect what is not connected; answers when all are live, or after SECONDS
//   measure SECONDS   forget what was counted, count for SECONDS
//   drop              drop every connection at once
//   stop COUNT        the first COUNT connections do not read any more, the others do
#include <poll.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <chrono>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>

#include "fresnel/base/clock.hpp"
#include "fresnel/load/generator.hpp"

namespace fresnel::bench {
namespace {

namespace json = boost::json;

struct LoadArgs {
  std::string url;
  std::string messages_file;
  load::GeneratorOptions options;
  int processor = -1;
};

// Exits on wrong usage.
LoadArgs parse(int argc, char** argv) {
  LoadArgs args;
  CLI::App app("The benchmarks' load generator, commanded through standard input");
  bool blind = false;
  app.add_option("--url", args.url, "WebSocket to connect to")->required();
  app.add_option("--clients", args.options.connections, "Connections");
  app.add_option("--messages", args.messages_file, "File of messages, one a line, that each connection sends at first");
  app.add_option("--receive-buffer", args.options.receive_buffer, "SO_RCVBUF, bytes");
  app.add_option("--processor", args.processor, "Processor to run on");
  app.add_flag("--deflate", args.options.deflate, "Offer permessage-deflate");
  app.add_flag("--spin", args.options.spin, "Never sleep");
  app.add_flag("--blind", blind, "Only count messages, do not look inside");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  args.options.look_inside = !blind;
  if (!args.messages_file.empty()) {
    std::ifstream file(args.messages_file);
    for (std::string line; std::getline(file, line);) args.options.messages.push_back(line);
  }
  return args;
}

json::value times(const load::Histogram& histogram) {
  const auto ms = [&](double fraction) { return static_cast<double>(histogram.quantile(fraction)) / 1e6; };
  return json::object{{"count", histogram.count()}, {"p50", ms(0.5)}, {"p90", ms(0.9)}, {"p99", ms(0.99)},
                      {"p999", ms(0.999)},          {"max", ms(1)}};
}

json::object account(const load::Generator& generator, double seconds) {
  const auto& totals = generator.totals();
  return {{"seconds", seconds},
          {"open", generator.open()},
          {"live", generator.live()},
          {"deflating", generator.deflating()},
          {"messages", totals.messages},
          {"bytes", totals.wire_bytes},
          {"compressed", totals.compressed},
          {"completes", totals.completes},
          {"errors", totals.errors},
          {"closed", totals.closed},
          {"failed", totals.failed},
          {"first_error", totals.first_error},
          {"first_fault", totals.first_fault},
          {"connect_ms", times(totals.connect)},
          {"ready_ms", times(totals.ready)},
          {"latency_ms", times(totals.latency)}};
}

bool input_waits() {
  pollfd polled{STDIN_FILENO, POLLIN, 0};
  return poll(&polled, 1, 0) > 0;
}

json::object obey(load::Generator& generator, std::size_t connections, const std::string& line) {
  std::istringstream words(line);
  std::string command;
  double number = 0;
  words >> command >> number;
  const auto begin = std::chrono::steady_clock::now();
  const auto end = begin + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(number));
  const auto elapsed = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); };
  if (command == "drop") {
    generator.drop_all();
  } else if (command == "stop") {
    generator.set_stopped(static_cast<std::size_t>(number));
  } else if (command == "connect") {
    generator.clear_totals();
    generator.connect_all();
    (void)generator.run_until(end, [&] {
      return generator.live() == connections || generator.totals().failed + generator.totals().closed > 0;
    });
  } else if (command == "measure") {
    generator.clear_totals();
    (void)generator.run_until(end, {});
  } else {
    return {{"fault", "unknown command: " + line}};
  }
  return account(generator, elapsed());
}

int run(LoadArgs args) {
  auto target = load::resolve_target(args.url);
  if (!target) throw std::runtime_error(target.error().message);
  args.options.target = *target;
  if (args.processor >= 0 && !load::pin_to_processor(args.processor)) throw std::runtime_error("no such processor");
  const auto connections = args.options.connections;
  load::Generator generator(std::move(args.options));
  if (auto started = generator.start(); !started) throw std::runtime_error(started.error().message);
  // Unbuffered: what std::cin has read ahead, poll() would not tell.
  std::string line;
  char letter = 0;
  while (true) {
    (void)generator.run_until(TimePoint::max(), input_waits);
    if (read(STDIN_FILENO, &letter, 1) != 1) return 0;
    if (letter != '\n') {
      line += letter;
      continue;
    }
    std::cout << json::serialize(obey(generator, connections, line)) << std::endl;
    line.clear();
  }
}

}  // namespace
}  // namespace fresnel::bench

int main(int argc, char** argv) {
  try {
    return fresnel::bench::run(fresnel::bench::parse(argc, argv));
  } catch (const std::exception& failure) {
    std::cerr << "bench_load: " << failure.what() << "\n";
    return 1;
  }
}

// What the fan-out servers have in common: the arguments, the messages, and the account of a run.
//
// A server listens on a free port of 127.0.0.1 and prints it on a line. When --clients have connected it publishes,
// turn by turn: --burst messages to every client in one turn of its event loop. The next turn begins when the kernel
// has taken the last one's bytes for every client. Warm-up, then --seconds are measured; the account is printed as one
// line of JSON and the server exits.
//
// Every server sends the same bytes: text frames of --size bytes of payload, shaped like a multiplexer's DATA message.
//
// Thread safety: one thread.
#pragma once

#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace fresnel::bench {

struct FanOutArgs {
  std::size_t clients = 100;
  std::size_t size = 3584;
  std::size_t burst = 1;
  double warm_up = 0.3;
  double seconds = 1;
  bool one_buffer = false;  // of the floor only, as is rate
  bool deflate = false;     // of fan_out only
  double rate = 0;          // turns a second; 0: as fast as the clients take them
};

// Exits on wrong usage.
inline FanOutArgs parse_fan_out_args(int argc, char** argv, const std::string& description) {
  FanOutArgs args;
  CLI::App app(description);
  app.add_option("--clients", args.clients, "Begin when so many have connected")->check(CLI::Range(1, 100'000));
  app.add_option("--size", args.size, "Bytes of payload a message")->check(CLI::Range(256, 1 << 20));
  app.add_option("--burst", args.burst, "Messages to each client a turn")->check(CLI::Range(1, 10'000));
  app.add_option("--warm-up", args.warm_up, "Seconds before the measurement");
  app.add_option("--seconds", args.seconds, "Seconds to measure for");
  auto* one_buffer = app.add_flag("--one-buffer", args.one_buffer,
                                  "The floor: a turn's bytes are one piece, the same for all clients");
  app.add_flag("--deflate", args.deflate, "Fan-out: permessage-deflate, each body compressed once a turn");
  app.add_option("--rate", args.rate, "The floor: turns a second, each saying when it was written; 0: no limit")
      ->excludes(one_buffer);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  return args;
}

inline std::string message_prefix() {
  return R"({"clusterId":"bench","path":"/api/v1/pods","query":"watch=1&resourceVersion=4711","userId":"f075623f9be8")";
}

// The part behind the prefix, `size` bytes with it; `number` makes it differ from others.
inline std::string message_body(std::size_t size, std::size_t number) {
  constexpr std::string_view kTail = R"("})";
  std::string body = R"(,"type":"DATA","data":"{\"type\":\"MODIFIED\",\"object\":{\"kind\":\"Pod\",\"metadata\":{)"
                     R"(\"bench.fresnel.dev/written-at\":\"0000000000000000000\",)";
  const auto wanted = size - message_prefix().size() - kTail.size();
  for (std::size_t i = 0; body.size() < wanted; ++i) {
    body += R"(\"app.kubernetes.io/part-)" + std::to_string(i * 31 + number) + R"(\":\"web-6f9c8d7b5\",)";
  }
  body.resize(wanted);
  if (body.back() == '\\') body.back() = ' ';
  return body.append(kTail);
}

// A server's frame header for a text message.
inline std::string frame_header(std::size_t size) {
  std::string header("\x81");
  const int bytes = size < 126 ? 0 : size <= 0xFFFF ? 2 : 8;
  header += static_cast<char>(bytes == 0 ? size : bytes == 2 ? 126 : 127);
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) header += static_cast<char>(size >> shift & 0xFF);
  return header;
}

inline void print_port(unsigned port) {
  std::printf("%u\n", port);
  std::fflush(stdout);
}

class Publication {
 public:
  explicit Publication(const FanOutArgs& args) : args_(args) {}

  // Before each turn: false when the run is over, and its account has been printed.
  [[nodiscard]] bool next_turn() {
    const auto now = Clock::now();
    if (turns_ == 0) begin_ = now;
    if (!measuring_ && now - begin_ >= std::chrono::duration<double>(args_.warm_up)) {
      measuring_ = true;
      begin_ = now;
      first_turn_ = turns_;
      first_cpu_ = cpu_microseconds();
    } else if (measuring_ && now - begin_ >= std::chrono::duration<double>(args_.seconds)) {
      print(std::chrono::duration<double>(now - begin_).count());
      return false;
    }
    ++turns_;
    return true;
  }

 private:
  using Clock = std::chrono::steady_clock;

  struct Cpu {
    double user = 0, system = 0;
  };
  static Cpu cpu_microseconds() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto of = [](const timeval& time) {
      return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_usec);
    };
    return {of(usage.ru_utime), of(usage.ru_stime)};
  }

  void print(double seconds) const {
    const auto cpu = cpu_microseconds();
    const auto messages = static_cast<double>((turns_ - first_turn_) * args_.burst * args_.clients);
    std::printf("{\"messages\":%.0f,\"turns\":%llu,\"seconds\":%.6f,\"user_us\":%.4f,\"system_us\":%.4f}\n", messages,
                static_cast<unsigned long long>(turns_ - first_turn_), seconds, (cpu.user - first_cpu_.user) / messages,
                (cpu.system - first_cpu_.system) / messages);
    std::fflush(stdout);
  }

  FanOutArgs args_;
  bool measuring_ = false;
  std::uint64_t turns_ = 0, first_turn_ = 0;
  Clock::time_point begin_{};
  Cpu first_cpu_;
};

}  // namespace fresnel::bench

// A simulated API server that the runner commands, one command a line of standard input, each answered by one line of
// JSON. Its first line is {"url": ...}.
//
//   write TURNS BURST   from now on, BURST pods are changed at once, TURNS times a second; 0 0 stops
//   counters            requests so far, open watches, events written
//
// The pods are spread over the namespaces bench-0, bench-1, ... Each change writes the time into the annotation
// bench.fresnel.dev/written-at.
#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <chrono>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "fresnel/base/clock.hpp"
#include "fresnel/load/message_text.hpp"
#include "fresnel/load/target.hpp"
#include "fresnel/sim/cluster.hpp"

namespace fresnel::bench {
namespace {

namespace json = boost::json;

struct ClusterArgs {
  std::size_t pods = 100;
  std::size_t size = 3600;
  std::size_t namespaces = 1;
  int processor = -1;
};

std::string now_text() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::to_string(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

// A pod whose JSON text has about `size` bytes.
json::object make_pod(std::size_t number, std::size_t namespaces, std::size_t size) {
  constexpr std::size_t kWithoutEnvironment = 500;
  json::array environment;
  constexpr std::size_t kVariable = 56;
  for (std::size_t i = 0; kWithoutEnvironment + i * kVariable < size; ++i) {
    const auto text = std::to_string(1'000'000 + (number * 7919 + i * 104'729) % 9'000'000);
    environment.push_back(json::object{{"name", "SETTING_" + text}, {"value", "value-of-" + text}});
  }
  return {
      {"apiVersion", "v1"},
      {"kind", "Pod"},
      {"metadata",
       {{"name", "web-6f9c8d7b5-" + std::to_string(number)},
        {"namespace", "bench-" + std::to_string(number % namespaces)},
        {"annotations", {{load::kWrittenAt, now_text()}}},
        {"labels", {{"app.kubernetes.io/name", "web"}, {"pod-template-hash", "6f9c8d7b5"}}}}},
      {"spec",
       {{"nodeName", "node-" + std::to_string(number % 40)},
        {"containers", json::array{json::object{
                           {"name", "web"}, {"image", "registry.example.com/shop/web:1.2.3"}, {"env", environment}}}}}},
      {"status", {{"phase", "Running"}, {"podIP", "10.1.2.3"}, {"startTime", "2026-01-01T00:00:00Z"}}}};
}

class Writer {
 public:
  explicit Writer(const ClusterArgs& args)
      : cluster_(io_.get_executor(), clock_, {.name = "bench"}), tick_(io_), input_(io_, ::dup(0)) {
    for (std::size_t i = 0; i < args.namespaces; ++i) {
      const json::object made = {
          {"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", "bench-" + std::to_string(i)}}}};
      (void)cluster_.create(made).value();
    }
    for (std::size_t i = 0; i < args.pods; ++i) {
      pods_.push_back(cluster_.create(make_pod(i, args.namespaces, args.size)).value()->parse());
    }
    type_ = cluster_.resources().types().named("pods");
  }

  int run() {
    (void)cluster_.listen().value();
    const auto pod = pods_.empty() ? std::string() : json::serialize(pods_.front());
    say({{"url", cluster_.url()}, {"pod_bytes", pod.size()}});
    read_command();
    io_.run();
    return 0;
  }

 private:
  void say(const json::object& line) { std::cout << json::serialize(line) << std::endl; }

  void read_command() {
    asio::async_read_until(input_, asio::dynamic_buffer(received_), '\n',
                           [this](const error_code& error, std::size_t size) {
                             if (error) {
                               io_.stop();
                               return;
                             }
                             obey(received_.substr(0, size - 1));
                             received_.erase(0, size);
                             read_command();
                           });
  }

  void obey(const std::string& line) {
    std::istringstream words(line);
    std::string command;
    words >> command;
    if (command == "write") {
      double turns = 0;
      words >> turns >> burst_;
      tick_.cancel();
      if (turns > 0 && !pods_.empty()) {
        interval_ = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(1 / turns));
        due_ = std::chrono::steady_clock::now();
        write_on();
      }
    }
    const auto counters = cluster_.server().counters();
    say({{"requests", counters.requests},
         {"lists", counters.list_requests},
         {"watches", counters.watch_requests},
         {"open_watches", cluster_.server().open_watches()},
         {"events", events_}});
  }

  void write_on() {
    // Turns that are missed stay away: two at once would be a burst of another size.
    const auto now = std::chrono::steady_clock::now();
    while (due_ <= now) due_ += interval_;
    tick_.expires_at(due_);
    tick_.async_wait([this](const error_code& error) {
      if (error) return;
      for (std::size_t i = 0; i < burst_; ++i) change(pods_[next_++ % pods_.size()]);
      write_on();
    });
  }

  void change(json::object& pod) {
    pod["metadata"].as_object()["annotations"].as_object()[load::kWrittenAt] = now_text();
    (void)cluster_.store().put(type_, pod);
    ++events_;
  }

  SteadyClock clock_;
  asio::io_context io_{1};
  sim::Cluster cluster_;
  sim::ResourceTypePtr type_;
  std::vector<json::object> pods_;
  std::size_t next_ = 0;
  std::uint64_t events_ = 0;
  std::size_t burst_ = 1;
  Duration interval_{};
  TimePoint due_;
  asio::steady_timer tick_;
  asio::posix::stream_descriptor input_;
  std::string received_;
};

}  // namespace
}  // namespace fresnel::bench

int main(int argc, char** argv) {
  fresnel::bench::ClusterArgs args;
  CLI::App app("A simulated API server that changes pods, commanded through standard input");
  app.add_option("--pods", args.pods, "Pods");
  app.add_option("--size", args.size, "Bytes of JSON a pod, about");
  app.add_option("--namespaces", args.namespaces, "Namespaces they are spread over")->check(CLI::Range(1, 100'000));
  app.add_option("--processor", args.processor, "Processor to run on");
  CLI11_PARSE(app, argc, argv);
  try {
    if (args.processor >= 0 && !fresnel::load::pin_to_processor(args.processor)) {
      throw std::runtime_error("no such processor");
    }
    return fresnel::bench::Writer(args).run();
  } catch (const std::exception& failure) {
    std::cerr << "bench_cluster: " << failure.what() << "\n";
    return 1;
  }
}

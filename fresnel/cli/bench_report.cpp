#include "fresnel/cli/bench_report.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "fresnel/cli/table.hpp"
#include "fresnel/load/message_text.hpp"

namespace fresnel::cli {
namespace {

double milliseconds_of(std::uint64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e6; }

double rate(std::uint64_t count, double seconds) { return seconds > 0 ? static_cast<double>(count) / seconds : 0; }

// 1234567 -> 1,234,567
std::string grouped(std::uint64_t number) {
  auto digits = std::to_string(number);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3) {
    digits.insert(static_cast<std::size_t>(at), 1, ',');
  }
  return digits;
}

std::string quantiles(const load::Histogram& histogram) {
  const auto ms = [&](double fraction) { return milliseconds_of(histogram.quantile(fraction)); };
  return fmt::format("p50 {:.2f} ms  p99 {:.2f} ms  p99.9 {:.2f} ms  max {:.2f} ms", ms(0.5), ms(0.99), ms(0.999),
                     milliseconds_of(histogram.max()));
}

std::string row(std::string_view name, std::string_view text) { return fmt::format("{:<13}{}\n", name, text); }

boost::json::value histogram_json(const load::Histogram& histogram) {
  if (histogram.count() == 0) return nullptr;
  const auto ms = [&](double fraction) { return milliseconds_of(histogram.quantile(fraction)); };
  return boost::json::object{{"count", histogram.count()},
                             {"p50", ms(0.5)},
                             {"p99", ms(0.99)},
                             {"p999", ms(0.999)},
                             {"max", milliseconds_of(histogram.max())}};
}

struct Faults {
  std::uint64_t refused, closed, failed;
  std::string first_error, first_fault;
  explicit Faults(const BenchReport& report)
      : refused(report.initial.errors + report.steady.errors),
        closed(report.initial.closed + report.steady.closed),
        failed(report.initial.failed + report.steady.failed),
        first_error(report.initial.first_error.empty() ? report.steady.first_error : report.initial.first_error),
        first_fault(report.initial.first_fault.empty() ? report.steady.first_fault : report.initial.first_fault) {}
};

std::string deflate_text(const BenchReport& report) {
  return report.deflating == 0 ? "" : fmt::format(", {} with permessage-deflate", report.deflating);
}

}  // namespace

bool BenchReport::clean() const noexcept {
  const auto fine = [](const load::Totals& totals) {
    return totals.errors == 0 && totals.closed == 0 && totals.failed == 0;
  };
  return live == clients && fine(initial) && fine(steady);
}

std::string bench_table(const BenchReport& report) {
  const auto& steady = report.steady;
  auto out =
      row("Gateway", fmt::format("{}, {} {}", report.gateway, report.clusters.size() == 1 ? "cluster" : "clusters",
                                 fmt::join(report.clusters, ", ")));
  out += row("Clients", fmt::format("{} of {} ready, {} {} each{}", report.live, report.clients, report.lists,
                                    report.lists == 1 ? "list" : "lists", deflate_text(report)));
  out += row("Connect", quantiles(report.initial.connect));
  out += row("Ready", fmt::format("{}  (connect to the end of the initial data; all: {:.2f} s)",
                                  quantiles(report.initial.ready), report.ready_seconds));
  out += row("Initial data", fmt::format("{} messages, {:.1f} MB", grouped(report.initial.messages),
                                         static_cast<double>(report.initial.wire_bytes) / 1e6));
  out += row("Measured", fmt::format("{:.1f} s", report.seconds));
  out += row("Messages",
             fmt::format("{:.0f} /s, {} in all", rate(steady.messages, report.seconds), grouped(steady.messages)));
  out += row("Throughput", fmt::format("{:.2f} MB/s on the wire", rate(steady.wire_bytes, report.seconds) / 1e6));
  if (steady.latency.count() > 0) {
    out += row("Latency", fmt::format("{}  ({} events that say when they were written)", quantiles(steady.latency),
                                      grouped(steady.latency.count())));
  } else {
    out += row("Latency", fmt::format("unknown: no event had the annotation {}", load::kWrittenAt));
  }
  return out;
}

std::string bench_json(const BenchReport& report) {
  const Faults faults(report);
  boost::json::object out = {
      {"gateway", report.gateway},
      {"clusters", boost::json::array(report.clusters.begin(), report.clusters.end())},
      {"clients", report.clients},
      {"listsPerClient", report.lists},
      {"ready", report.live},
      {"stillOpen", report.still_open},
      {"deflating", report.deflating},
      {"allReadySeconds", report.ready_seconds},
      {"connectMs", histogram_json(report.initial.connect)},
      {"readyMs", histogram_json(report.initial.ready)},
      {"initialMessages", report.initial.messages},
      {"initialBytes", report.initial.wire_bytes},
      {"seconds", report.seconds},
      {"messages", report.steady.messages},
      {"messagesPerSecond", rate(report.steady.messages, report.seconds)},
      {"bytes", report.steady.wire_bytes},
      {"bytesPerSecond", rate(report.steady.wire_bytes, report.seconds)},
      {"compressedMessages", report.steady.compressed},
      {"latencyMs", histogram_json(report.steady.latency)},
      {"refusedRequests", faults.refused},
      {"closedConnections", faults.closed},
      {"failedConnections", faults.failed},
  };
  if (!faults.first_error.empty()) out["firstError"] = faults.first_error;
  if (!faults.first_fault.empty()) out["firstFault"] = faults.first_fault;
  return boost::json::serialize(out) + "\n";
}

std::string bench_faults(const BenchReport& report) {
  const Faults faults(report);
  std::string out;
  if (faults.failed > 0) {
    out += fmt::format("error: {} connections failed; the first: {}\n", faults.failed, printable(faults.first_fault));
  }
  if (faults.closed > 0) {
    out +=
        fmt::format("error: {} connections were lost; the first: {}\n", faults.closed, printable(faults.first_fault));
  }
  if (faults.refused > 0) {
    out += fmt::format("error: {} ERROR messages; the first: {}\n", faults.refused, printable(faults.first_error));
  }
  if (out.empty() && report.live < report.clients) {
    out = fmt::format("error: {} of {} clients did not get all initial data in time\n", report.clients - report.live,
                      report.clients);
  }
  return out;
}

}  // namespace fresnel::cli

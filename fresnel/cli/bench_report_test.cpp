#include "fresnel/cli/bench_report.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

namespace fresnel::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

BenchReport good_run() {
  BenchReport report{.gateway = "http://127.0.0.1:4466",
                     .clusters = {"prod"},
                     .clients = 2,
                     .lists = 1,
                     .live = 2,
                     .still_open = 2,
                     .ready_seconds = 0.5,
                     .seconds = 10};
  report.initial.messages = 1'234'567;
  report.initial.connect.record(2'000'000);
  report.steady.messages = 500;
  report.steady.wire_bytes = 20'000'000;
  return report;
}

TEST(BenchReport, TellsRatesAndWhyThereIsNoLatency) {
  const auto text = bench_table(good_run());
  EXPECT_THAT(text, HasSubstr("2 of 2 ready, 1 list each\n"));
  EXPECT_THAT(text, HasSubstr("1,234,567 messages"));
  EXPECT_THAT(text, HasSubstr("50 /s, 500 in all"));
  EXPECT_THAT(text, HasSubstr("2.00 MB/s"));
  EXPECT_THAT(text, HasSubstr("no event had the annotation bench.fresnel.dev/written-at"));
  EXPECT_TRUE(good_run().clean());
  EXPECT_EQ(bench_faults(good_run()), "");
}

TEST(BenchReport, TellsLatencyInMilliseconds) {
  auto report = good_run();
  report.steady.latency.record(1'500'000);
  EXPECT_THAT(bench_table(report), HasSubstr("p50 1.50 ms"));
  const auto json = boost::json::parse(bench_json(report));
  EXPECT_DOUBLE_EQ(json.at("latencyMs").at("p50").as_double(), 1.5);
  EXPECT_DOUBLE_EQ(json.at("messagesPerSecond").as_double(), 50);
  EXPECT_TRUE(json.at("readyMs").is_null());
  EXPECT_THAT(bench_json(report), Not(HasSubstr("first")));
}

TEST(BenchReport, NamesEveryTroubleSafelyForATerminal) {
  auto report = good_run();
  report.live = 1;
  EXPECT_FALSE(report.clean());
  EXPECT_THAT(bench_faults(report), HasSubstr("1 of 2 clients"));
  report.steady.closed = 3;
  report.steady.first_fault = "the server closed\x1b[31m";
  report.initial.errors = 1;
  report.initial.first_error = "{\"type\":\"ERROR\"}";
  const auto faults = bench_faults(report);
  EXPECT_THAT(faults, HasSubstr("3 connections were lost; the first: the server closed"));
  EXPECT_THAT(faults, HasSubstr("1 ERROR messages; the first: {\"type\":\"ERROR\"}"));
  EXPECT_THAT(faults, Not(HasSubstr("\x1b")));
  EXPECT_EQ(boost::json::parse(bench_json(report)).at("closedConnections").to_number<int>(), 3);
}

}  // namespace
}  // namespace fresnel::cli

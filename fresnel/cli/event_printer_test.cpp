#include "fresnel/cli/event_printer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fresnel::cli {
namespace {

constexpr WallTime kNow{std::chrono::seconds(1'000'000)};

kube::WatchEvent event(const std::string& type, const std::string& object) {
  return kube::parse_watch_event(SharedBytes(R"({"type":")" + type + R"(","object":)" + object + "}")).value();
}

kube::WatchEvent pod(const std::string& type, const std::string& name) {
  return event(type, R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":")" + name + R"("}})");
}

kube::WatchEvent row(const std::string& type, const std::string& name, const std::string& status, bool columns) {
  return event(type, std::string(R"({"kind":"Table","columnDefinitions":)") +
                         (columns ? R"([{"name":"Name"},{"name":"Status"},{"name":"Node","priority":1}])" : "null") +
                         R"(,"rows":[{"cells":[")" + name + R"(",")" + status +
                         R"(","n1"],"object":{"metadata":{"name":")" + name + R"(","namespace":"shop"}}}]})");
}

TEST(EventPrinter, JsonIsOneLineAnEventWithTheObjectAsItCame) {
  EventPrinter printer({.output = OutputFormat::json});
  EXPECT_EQ(
      printer.event("a\"b", pod("MODIFIED", "web"), kNow),
      R"({"type":"MODIFIED","cluster":"a\"b","object":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web"}}})"
      "\n");
  EXPECT_EQ(printer.event("c", event("DELETED", "{\n \"a\":\n 1}"), kNow),
            R"({"type":"DELETED","cluster":"c","object":{"a":1}})"
            "\n");
  EXPECT_EQ(printer.synced("c"), "");
}

TEST(EventPrinter, YamlIsOneDocumentAnEvent) {
  EventPrinter printer({.output = OutputFormat::yaml});
  EXPECT_EQ(printer.event("c", pod("ADDED", "web"), kNow),
            "---\ncluster: c\nobject:\n  apiVersion: v1\n  kind: Pod\n  metadata:\n    name: web\ntype: ADDED\n");
}

TEST(EventPrinter, NamesAreKubectls) {
  EXPECT_EQ(EventPrinter({.output = OutputFormat::name}).event("c", pod("ADDED", "web"), kNow), "pod/web\n");
  EXPECT_EQ(EventPrinter({.output = OutputFormat::name, .several_clusters = true}).event("c", pod("ADDED", "w"), kNow),
            "c pod/w\n");
}

TEST(EventPrinter, TheExistingRowsAreAlignedAndLaterOnesFollow) {
  EventPrinter printer({});
  EXPECT_EQ(printer.event("c", row("ADDED", "web", "Pending", true), kNow), "");
  EXPECT_EQ(printer.event("c", row("ADDED", "a-longer-name", "Running", false), kNow), "");
  EXPECT_EQ(printer.synced("c"),
            "EVENT      NAME            STATUS\n"
            "ADDED      web             Pending\n"
            "ADDED      a-longer-name   Running\n");
  EXPECT_EQ(printer.event("c", row("MODIFIED", "web", "Running", false), kNow), "MODIFIED   web             Running\n");
  EXPECT_EQ(printer.event("c", row("DELETED", "web", "Running", false), kNow), "DELETED    web             Running\n");
  EXPECT_EQ(printer.synced("c"), "");
}

TEST(EventPrinter, ClusterAndNamespaceComeAsColumns) {
  EventPrinter printer({.output = OutputFormat::wide, .several_clusters = true, .show_namespace = true});
  (void)printer.synced("a");
  EXPECT_EQ(printer.event("a", row("ADDED", "web", "Ready", true), kNow),
            "EVENT      CLUSTER   NAMESPACE   NAME   STATUS   NODE\n"
            "ADDED      a         shop        web    Ready    n1\n");
}

TEST(EventPrinter, AHeaderThatGrowsIsPrintedAgain) {
  EventPrinter printer({.several_clusters = true});
  (void)printer.synced("a");
  (void)printer.synced("b");
  (void)printer.event("a", row("ADDED", "web", "Ready", true), kNow);
  EXPECT_EQ(printer.event("b", pod("ADDED", "db"), kNow),
            "EVENT      CLUSTER   NAME   STATUS   AGE\n"
            "ADDED      b         db              <unknown>\n");
}

TEST(EventPrinter, ATableThatCannotBeReadPrintsNothing) {
  EventPrinter printer({});
  (void)printer.synced("a");
  EXPECT_EQ(printer.event("a", event("ADDED", R"({"kind":"Odd"})"), kNow), "");
}

}  // namespace
}  // namespace fresnel::cli

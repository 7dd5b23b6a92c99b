#include "fresnel/sim/watch_stream.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fresnel/sim/testing.hpp"

namespace fresnel::sim {
namespace {

using testing::config_map;
using testing::Core;
using testing::drain;
using ::testing::ElementsAre;
using testing::parsed;
using testing::summaries;

class WatchStreamTest : public ::testing::Test {
 protected:
  std::unique_ptr<WatchStream> open(WatchRequest request) {
    if (!request.type) request.type = core_.type("configmaps");
    return WatchStream::open(core_.store, std::move(request), [] {}).value();
  }
  void label(std::string_view name, std::string_view app) {
    const json::object patch{{"metadata", json::object{{"labels", json::object{{"app", app}}}}}};
    ASSERT_TRUE(core_.resources.patch(core_.type("configmaps"), "default", name, patch));
  }
  void remove(std::string_view name) { ASSERT_TRUE(core_.resources.remove(core_.type("configmaps"), "default", name)); }

  Core core_;  // its four namespaces took the revisions 1 to 4
};

TEST_F(WatchStreamTest, BeginsWithThePresentStateUnlessAVersionIsGiven) {
  core_.create("configmaps", config_map("b"));
  core_.create("configmaps", config_map("a"));
  const auto stream = open({.ns = "default"});
  EXPECT_THAT(summaries(drain(*stream)), ElementsAre("ADDED a@6", "ADDED b@5"));
  label("a", "x");
  EXPECT_THAT(summaries(drain(*stream)), ElementsAre("MODIFIED a@7"));
  const auto later = open({.after = 5});
  EXPECT_THAT(summaries(drain(*later)), ElementsAre("ADDED a@6", "MODIFIED a@7"));
}

TEST_F(WatchStreamTest, ShowsOneNamespaceOrAll) {
  const auto one = open({.ns = "kube-system", .after = core_.store.revision()});
  const auto all = open({.after = core_.store.revision()});
  core_.create("configmaps", config_map("a"));
  core_.create("configmaps", config_map("b"), "kube-system");
  EXPECT_THAT(summaries(drain(*one)), ElementsAre("ADDED b@6"));
  EXPECT_THAT(summaries(drain(*all)), ElementsAre("ADDED a@5", "ADDED b@6"));
}

// The sequence that kube-apiserver 1.20.2 gave for the same changes.
TEST_F(WatchStreamTest, ASelectorTurnsChangesIntoComingAndGoing) {
  core_.create("configmaps", config_map("a", {{"app", "x"}}));  // 5
  WatchRequest request{.ns = "default", .selector = {.labels = LabelSelector::parse("app=x").value()}};
  const auto stream = open(std::move(request));
  const json::object data{{"data", json::object{{"k", "v"}}}};
  ASSERT_TRUE(core_.resources.patch(core_.type("configmaps"), "default", "a", data));
  label("a", "y");
  label("a", "x");
  label("a", "y");
  remove("a");
  core_.create("configmaps", config_map("a", {{"app", "x"}}));
  remove("a");
  const auto events = drain(*stream);
  EXPECT_THAT(summaries(events), ElementsAre("ADDED a@5", "MODIFIED a@6", "DELETED a@7", "ADDED a@8", "DELETED a@9",
                                             "ADDED a@11", "DELETED a@12"));
  EXPECT_EQ(string_at(events[2], {"object", "metadata", "labels", "app"}), "x") << "its last matching content";
}

TEST_F(WatchStreamTest, AFutureVersionSkipsWhatComesBeforeIt) {
  const auto stream = open({.after = core_.store.revision() + 1});
  core_.create("configmaps", config_map("a"));
  core_.create("configmaps", config_map("b"));
  EXPECT_THAT(summaries(drain(*stream)), ElementsAre("ADDED b@6"));
}

TEST_F(WatchStreamTest, AForgottenVersionIsExpired) {
  core_.create("configmaps", config_map("a"));
  core_.create("configmaps", config_map("b"));
  core_.store.compact(core_.store.revision());
  const auto opened = WatchStream::open(core_.store, {.type = core_.type("configmaps"), .after = 5}, [] {});
  ASSERT_FALSE(opened);
  EXPECT_EQ(error_line(opened.error()),
            R"({"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",)"
            R"("message":"The resourceVersion for the provided watch is too old.","reason":"Expired","code":410}})"
            "\n");
}

TEST_F(WatchStreamTest, TablesNameTheirColumnsOnce) {
  core_.create("configmaps", config_map("a"));
  core_.create("configmaps", config_map("b"));
  WatchRequest request;
  request.encoding.accepted = {Form::table, "v1"};
  const auto stream = open(std::move(request));
  const auto events = drain(*stream, core_.resources.now());
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(string_at(events[0], {"object", "kind"}), "Table");
  EXPECT_EQ(array_at(events[0], {"object", "columnDefinitions"}).size(), 3u);
  EXPECT_TRUE(find(events[1], {"object", "columnDefinitions"})->is_null());
  EXPECT_EQ(string_at(events[1], {"object", "metadata", "resourceVersion"}), "6");
  const auto& row = array_at(events[1], {"object", "rows"})[0];
  EXPECT_EQ(json::serialize(row.at("cells")), R"(["b",0,"0s"])");
  EXPECT_EQ(string_at(row, {"object", "kind"}), "PartialObjectMetadata");
  EXPECT_EQ(string_at(row, {"object", "metadata", "name"}), "b");
}

TEST_F(WatchStreamTest, MetadataOnly) {
  auto object = config_map("a");
  object["data"] = json::object{{"k", "v"}};
  core_.create("configmaps", object);
  WatchRequest request;
  request.encoding.accepted = {Form::partial, "v1"};
  const auto events = drain(*open(std::move(request)));
  EXPECT_EQ(string_at(events[0], {"object", "kind"}), "PartialObjectMetadata");
  EXPECT_EQ(find(events[0], {"object", "data"}), nullptr);
}

TEST_F(WatchStreamTest, BookmarksAreEmptyButForTheirVersion) {
  const auto bookmark = [&](std::string_view type, Form form) {
    WatchRequest request{.type = core_.type(type)};
    request.encoding.accepted.form = form;
    std::string line;
    open(std::move(request))->bookmark(line, core_.resources.now());
    return line;
  };
  EXPECT_EQ(bookmark("configmaps", Form::plain),
            R"({"type":"BOOKMARK","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"resourceVersion":"4",)"
            R"("creationTimestamp":null}}})"
            "\n");
  EXPECT_EQ(bookmark("pods", Form::plain),
            R"({"type":"BOOKMARK","object":{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"4",)"
            R"("creationTimestamp":null},"spec":{"containers":null},"status":{}}})"
            "\n");
  const auto table = parsed(bookmark("deployments.apps", Form::table));
  EXPECT_EQ(json::serialize(array_at(table, {"object", "rows"})[0].at("cells")),
            R"(["","0/0",0,0,"<unknown>","","",""])");
  for (const auto& type : core_.resources.types().all()) {
    EXPECT_NO_THROW(parsed(bookmark(type->qualified_name(), Form::plain))) << type->plural;
  }
}

}  // namespace
}  // namespace fresnel::sim

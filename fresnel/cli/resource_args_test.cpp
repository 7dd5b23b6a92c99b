#include "fresnel/cli/resource_args.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

namespace fresnel::cli {
namespace {

using testing::ElementsAre;

// Parses the words behind "fresnel get".
ResourceArgs parse(std::vector<std::string> words) {
  ResourceArgs args;
  CLI::App app;
  add_resource_options(app, args);
  std::reverse(words.begin(), words.end());
  app.parse(words);
  return args;
}

result<ResourceArgs> check(const std::vector<std::string>& words) {
  auto args = parse(words);
  if (auto done = complete(args); !done) return done.error();
  return args;
}

TEST(ResourceArgs, ReadsEveryFlag) {
  const auto args =
      check({"pods", "-n", "shop", "--context", "a", "--context", "b", "-l", "app=web", "--field-selector",
             "status.phase=Running", "-o", "json", "--gateway", "http://gw:4466/base/", "--kubeconfig", "f"})
          .value();
  EXPECT_EQ(args.resource, "pods");
  EXPECT_EQ(args.namespace_, "shop");
  EXPECT_THAT(args.contexts, ElementsAre("a", "b"));
  EXPECT_EQ(args.output, OutputFormat::json);
  EXPECT_EQ(args.gateway, "http://gw:4466/base");
  EXPECT_EQ(args.kubeconfig, "f");
  EXPECT_EQ(args.selector_query(false), "labelSelector=app%3Dweb&fieldSelector=status.phase%3DRunning");
}

TEST(ResourceArgs, AContextTakesOneWord) {
  const auto args = check({"--context", "a", "pods", "web"}).value();
  EXPECT_THAT(args.contexts, ElementsAre("a"));
  EXPECT_EQ(args.resource, "pods");
  EXPECT_EQ(args.name, "web");
}

TEST(ResourceArgs, ResourceAndNameMayBeOneWord) {
  const auto args = check({"pod/web"}).value();
  EXPECT_EQ(args.resource, "pod");
  EXPECT_EQ(args.name, "web");
  EXPECT_FALSE(check({"pod/web", "db"}));
  EXPECT_FALSE(check({"pod/"}));
  EXPECT_FALSE(check({"/web"}));
}

TEST(ResourceArgs, WatchingANamedObjectSelectsItByField) {
  EXPECT_EQ(check({"pods", "web"})->selector_query(true), "fieldSelector=metadata.name%3Dweb");
  EXPECT_EQ(check({"pods", "web"})->selector_query(false), "");
  EXPECT_EQ(check({"pods", "web", "--field-selector", "a=b"})->selector_query(true),
            "fieldSelector=a%3Db%2Cmetadata.name%3Dweb");
}

TEST(ResourceArgs, TheNamespaceIsTheFlagsOrTheContexts) {
  EXPECT_EQ(check({"pods"})->namespace_or("team"), "team");
  EXPECT_EQ(check({"pods", "-n", "x"})->namespace_or("team"), "x");
  EXPECT_EQ(check({"pods", "-A"})->namespace_or("team"), "");
}

TEST(ResourceArgs, RefusesWhatMakesNoSense) {
  EXPECT_FALSE(check({"pods", "web", "-A"}));
  EXPECT_FALSE(check({"pods", "web", "-l", "a=b"}));
  EXPECT_FALSE(check({"pods", "-A", "-n", "x"}));
  EXPECT_FALSE(check({"pods", "--gateway", "127.0.0.1:4466"}));
  EXPECT_FALSE(check({"pods", "--gateway", "ftp://x"}));
  EXPECT_THROW(parse({"pods", "-o", "xml"}), CLI::ParseError);
  EXPECT_THROW(parse({}), CLI::ParseError);
  EXPECT_THROW(parse({"pods", "a", "b"}), CLI::ParseError);
}

}  // namespace
}  // namespace fresnel::cli

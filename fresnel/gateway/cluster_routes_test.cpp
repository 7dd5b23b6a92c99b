#include "fresnel/gateway/cluster_routes.hpp"

#include <gtest/gtest.h>

#include <set>

namespace fresnel::gateway {
namespace {

TEST(StripBaseUrl, OnlyAtASegmentBoundary) {
  EXPECT_EQ(strip_base_url("/healthz", ""), "/healthz");
  EXPECT_EQ(strip_base_url("/fresnel/healthz", "/fresnel"), "/healthz");
  EXPECT_EQ(strip_base_url("/fresnel/", "/fresnel"), "/");
  EXPECT_EQ(strip_base_url("/fresnel", "/fresnel"), "/");
  EXPECT_EQ(strip_base_url("/fresnels/healthz", "/fresnel"), std::nullopt);
  EXPECT_EQ(strip_base_url("/healthz", "/fresnel"), std::nullopt);
  EXPECT_EQ(strip_base_url("*", ""), std::nullopt);
}

struct RouteCase {
  std::string path;
  std::string cluster;
  std::string api_path;
};

bool known(std::string_view name) {
  static const std::set<std::string, std::less<>> names = {"prod", "kind:a", "arn:aws:eks:eu-west-1:12:cluster/prod",
                                                           "a b", "100%"};
  return names.contains(name);
}

TEST(ClusterRoute, FindsTheClusterAndLeavesTheApiPathEncoded) {
  const RouteCase cases[] = {
      {"/clusters/prod/api/v1/pods", "prod", "/api/v1/pods"},
      {"/clusters/prod", "prod", "/"},
      {"/clusters/prod/", "prod", "/"},
      {"/clusters/kind:a/version", "kind:a", "/version"},
      {"/clusters/kind%3Aa/version", "kind:a", "/version"},
      {"/clusters/arn%3Aaws%3Aeks%3Aeu-west-1%3A12%3Acluster%2Fprod/api", "arn:aws:eks:eu-west-1:12:cluster/prod",
       "/api"},
      {"/clusters/arn:aws:eks:eu-west-1:12:cluster/prod/api/v1/pods", "arn:aws:eks:eu-west-1:12:cluster/prod",
       "/api/v1/pods"},
      {"/clusters/a%20b/api", "a b", "/api"},
      {"/clusters/100%25/api", "100%", "/api"},
      {"/clusters/prod/api/v1/namespaces/a%2Fb", "prod", "/api/v1/namespaces/a%2Fb"},
      {"/clusters/prod/a..b/...", "prod", "/a..b/..."},
  };
  for (const auto& c : cases) {
    ASSERT_TRUE(is_cluster_path(c.path));
    const auto route = parse_cluster_route(c.path, known);
    ASSERT_TRUE(route) << c.path << ": " << route.error().message;
    EXPECT_EQ(*route, (ClusterRoute{c.cluster, c.api_path})) << c.path;
  }
}

TEST(ClusterRoute, RefusesWhatItCannotRoute) {
  const std::pair<const char*, Errc> cases[] = {
      {"/clusters/other/api", Errc::not_found},
      {"/clusters//api", Errc::not_found},
      {"/clusters/", Errc::not_found},
      {"/clusters/prod%2Fapi", Errc::not_found},
      {"/clusters/%zz/api", Errc::invalid_argument},
      {"/clusters/prod/api/%2", Errc::invalid_argument},
      {"/clusters/prod/../secret", Errc::invalid_argument},
      {"/clusters/prod/a/./b", Errc::invalid_argument},
      {"/clusters/prod/%2e%2E/secret", Errc::invalid_argument},
      {"/clusters/prod/..%2fsecret", Errc::invalid_argument},
      {"/clusters/prod/..%5csecret", Errc::invalid_argument},
      {"/clusters/prod/a b", Errc::invalid_argument},
      {"/clusters/prod/a\rb", Errc::invalid_argument},
  };
  for (const auto& [path, code] : cases) {
    const auto route = parse_cluster_route(path, known);
    ASSERT_FALSE(route) << path;
    EXPECT_EQ(route.error().code, code) << path;
  }
  EXPECT_EQ(parse_cluster_route("/clusters/other/api", known).error().message, "cluster \"other\" not found");
}

TEST(AsksForWatch, ReadsTheParameterAsKubernetesDoes) {
  for (const auto* query :
       {"watch=1", "watch=true", "a=b&watch=True", "watch=1&resourceVersion=5", "watch", "watch="}) {
    EXPECT_TRUE(asks_for_watch(query)) << query;
  }
  for (const auto* query : {"", "watch=0", "watch=false", "watching=1", "fieldSelector=watch=1", "a=watch"}) {
    EXPECT_FALSE(asks_for_watch(query)) << query;
  }
}

}  // namespace
}  // namespace fresnel::gateway

#include "fresnel/gateway/dynamic_clusters.hpp"

#include <gtest/gtest.h>

#include "fresnel/net/digest.hpp"

namespace fresnel::gateway {
namespace {

net::Headers fields(const std::string& names, const std::string& user_id) {
  std::string config = "clusters: [{name: k, cluster: {server: 'https://k'}}]\ncontexts:\n";
  for (const char name : names) config += "- {name: " + std::string(1, name) + ", context: {cluster: k}}\n";
  return {{"Kubeconfig", net::to_base64(config)}, {"X-HEADLAMP-USER-ID", user_id}};
}

// As the gateway does with a request.
bool keep(DynamicClusters& clusters, const net::Headers& headers, std::string_view name) {
  const auto context = clusters.read(headers, name);
  if (context) clusters.keep(user_id_of(headers), *context);
  return context.has_value();
}

constexpr char kAnn[] = "ann-0123456789abcdef";
constexpr char kBob[] = "bob-0123456789abcdef";

TEST(DynamicClusters, AreKeptForAWhileAfterTheirLastUse) {
  ManualClock clock;
  DynamicClusters clusters(clock);
  ASSERT_TRUE(keep(clusters, fields("a", kAnn), "a"));
  EXPECT_TRUE(clusters.find("a", kAnn));
  EXPECT_FALSE(clusters.find("a", kBob));
  EXPECT_FALSE(clusters.find("b", kAnn));
  EXPECT_FALSE(clusters.find("a", ""));
  clock.advance(seconds(500));
  EXPECT_TRUE(clusters.find("a", kAnn));
  clock.advance(seconds(500));
  EXPECT_TRUE(clusters.find("a", kAnn));
  clock.advance(seconds(601));
  EXPECT_FALSE(clusters.find("a", kAnn));
  EXPECT_EQ(clusters.size(), 0u);
}

TEST(DynamicClusters, TheLeastRecentlyUsedGoesWhenThereIsNoRoom) {
  ManualClock clock;
  DynamicClusterLimits limits;
  limits.max_contexts = 3;
  limits.max_contexts_a_user = 2;
  DynamicClusters clusters(clock, limits);
  for (const char* name : {"a", "b"}) ASSERT_TRUE(keep(clusters, fields("abc", kAnn), name));
  EXPECT_TRUE(clusters.find("a", kAnn));
  ASSERT_TRUE(keep(clusters, fields("abc", kAnn), "c"));
  EXPECT_FALSE(clusters.find("b", kAnn));
  EXPECT_TRUE(clusters.find("a", kAnn));
  for (const char* name : {"a", "b"}) ASSERT_TRUE(keep(clusters, fields("abc", kBob), name));
  EXPECT_EQ(clusters.size(), 3u);
  EXPECT_FALSE(clusters.find("c", kAnn));
  EXPECT_TRUE(clusters.find("a", kAnn));
  ASSERT_TRUE(keep(clusters, fields("a", kAnn), "a"));  // again: in the place of the old one
  EXPECT_EQ(clusters.size(), 3u);
}

TEST(DynamicClusters, AKubeconfigHasABound) {
  ManualClock clock;
  DynamicClusters clusters(clock);
  net::Headers large{{"KUBECONFIG", std::string(70'000, 'a')}, {"X-HEADLAMP-USER-ID", kAnn}};
  EXPECT_EQ(clusters.read(large, "a").error().status, 400);
  EXPECT_EQ(clusters.read(fields("a", kAnn), "b").error().code, Errc::not_found);
}

TEST(UserId, ComesInAFieldOrASubprotocol) {
  EXPECT_EQ(user_id_of({{"x-headlamp-user-id", "ann"}}), "ann");
  EXPECT_EQ(user_id_of({{"Sec-WebSocket-Protocol", "a, base64url.headlamp.authorization.k8s.io.ann"}}), "ann");
  EXPECT_EQ(user_id_of({{"Sec-WebSocket-Protocol", "base64url.headlamp.backend.authorization.k8s.io.ann"}}), "");
}

}  // namespace
}  // namespace fresnel::gateway

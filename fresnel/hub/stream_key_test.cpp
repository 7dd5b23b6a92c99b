#include "fresnel/hub/stream_key.hpp"

#include <gtest/gtest.h>

namespace fresnel::hub {
namespace {

struct QueryCase {
  std::string_view query;
  std::string_view selectors;
};

TEST(WatchQueryTest, SelectorsAreNormalised) {
  for (const auto& [query, selectors] : std::initializer_list<QueryCase>{
           {"", ""},
           {"watch=1", ""},
           {"&&watch=1&&", ""},
           {"watch=true&resourceVersion=7&resourceVersionMatch=Exact&timeoutSeconds=3&allowWatchBookmarks=1"
            "&sendInitialEvents=true&limit=5&continue=abc&pretty=true&retryCount=2",
            ""},
           {"labelSelector=app%3Dweb", "labelSelector=app%3Dweb"},
           {"labelSelector=app=web", "labelSelector=app%3Dweb"},  // the first '=' separates
           {"labelSelector=%61pp%3dweb", "labelSelector=app%3Dweb"},
           {"labelSelector=a+in+(b,c)", "labelSelector=a%20in%20%28b%2Cc%29"},
           {"labelSelector=a%20in%20%28b%2Cc%29", "labelSelector=a%20in%20%28b%2Cc%29"},
           {"labelSelector=a%2Bb", "labelSelector=a%2Bb"},
           {"labelSelector=b&fieldSelector=a", "fieldSelector=a&labelSelector=b"},
           {"fieldSelector=a&watch=1&labelSelector=b", "fieldSelector=a&labelSelector=b"},
           {"label%53elector=a", "labelSelector=a"},
           {"%77atch=1&labelSelector=a", "labelSelector=a"},  // an encoded name is the same name
           {"labelSelector=b&labelSelector=a", "labelSelector=b"},
           {"includeObject", "includeObject="},
           {"labelSelector=caf%C3%A9", "labelSelector=caf%C3%A9"},
           {"labelSelector=a%3&fieldSelector=x", "fieldSelector=x"},
           {"labelSelector=a%&fieldSelector=x", "fieldSelector=x"},
           {"labelSelector=a%zz&fieldSelector=x", "fieldSelector=x"},
           {"label%zzSelector=a&fieldSelector=x", "fieldSelector=x"},
           {"labelSelector=a;b&fieldSelector=x", "fieldSelector=x"},
           {"labelSelector=a%3&labelSelector=b", "labelSelector=b"},
           {"labelSelector=a%3Bb", "labelSelector=a%3Bb"},
       }) {
    EXPECT_EQ(parse_watch_query(query).selectors, selectors) << query;
  }
}

TEST(WatchQueryTest, TheVersionIsHandedOutAsSent) {
  EXPECT_EQ(parse_watch_query("watch=1&resourceVersion=215").resource_version, "215");
  EXPECT_EQ(parse_watch_query("resourceVersion=undefined").resource_version, "undefined");
  EXPECT_EQ(parse_watch_query("resourceVersion=2%315").resource_version, "215");
  EXPECT_EQ(parse_watch_query("resourceVersion=5&resourceVersion=6").resource_version, "5");
  EXPECT_EQ(parse_watch_query("resourceVersion=%zz").resource_version, "");
  EXPECT_EQ(parse_watch_query("watch=1").resource_version, "");
}

// As the API server reads a bool: only "0" and "false" are false.
TEST(WatchQueryTest, BookmarksAreAskedFor) {
  for (const auto* query : {"allowWatchBookmarks=1", "allowWatchBookmarks=true", "allowWatchBookmarks=TRUE",
                            "allowWatchBookmarks=", "allowWatchBookmarks", "allowWatchBookmarks=yes"}) {
    EXPECT_TRUE(parse_watch_query(query).bookmarks) << query;
  }
  for (const auto* query : {"", "allowWatchBookmarks=0", "allowWatchBookmarks=false", "allowWatchBookmarks=False"}) {
    EXPECT_FALSE(parse_watch_query(query).bookmarks) << query;
  }
}

TEST(WatchQueryTest, InitialEventsAreAskedForOrNotOrNotMentioned) {
  EXPECT_EQ(parse_watch_query("watch=1").initial_events, std::nullopt);
  EXPECT_EQ(parse_watch_query("sendInitialEvents=true&resourceVersionMatch=NotOlderThan").initial_events, true);
  EXPECT_EQ(parse_watch_query("sendInitialEvents=false").initial_events, false);
  EXPECT_EQ(parse_watch_query("sendInitialEvents=true&resourceVersionMatch=NotOlderThan").selectors, "");
}

TEST(WatchQueryTest, ATimeoutIsAPositiveNumber) {
  EXPECT_EQ(parse_watch_query("timeoutSeconds=30").timeout_seconds, 30);
  for (const auto* query : {"", "timeoutSeconds=", "timeoutSeconds=0", "timeoutSeconds=-3", "timeoutSeconds=3s",
                            "timeoutSeconds=99999999999999999999"}) {
    EXPECT_EQ(parse_watch_query(query).timeout_seconds, 0) << query;
  }
}

TEST(StreamKeyTest, EveryPartCounts) {
  const StreamKey key{"prod", "me", "/api/v1/pods", "application/json", "labelSelector=a"};
  const StreamKey same{"prod", "me", "/api/v1/pods", "application/json", "labelSelector=a"};
  EXPECT_EQ(key, same);
  EXPECT_EQ(StreamKeyHash{}(key), StreamKeyHash{}(same));
  for (auto part :
       {&StreamKey::cluster, &StreamKey::identity, &StreamKey::path, &StreamKey::accept, &StreamKey::query}) {
    StreamKey other = key;
    other.*part += "x";
    EXPECT_NE(key, other);
    EXPECT_NE(StreamKeyHash{}(key), StreamKeyHash{}(other));
  }
}

// A name may hold what separates the parts elsewhere (EKS: arn:aws:eks:...:cluster/x).
TEST(StreamKeyTest, PartsDoNotRunIntoEachOther) {
  EXPECT_NE((StreamKey{"a", "b", "/x", "", ""}), (StreamKey{"a/x", "b", "", "", ""}));
  EXPECT_NE((StreamKey{"a:b", "", "", "", ""}), (StreamKey{"a", ":b", "", "", ""}));
}

TEST(StreamKeyTest, QueriesThatWatchTheSameAreEqual) {
  const auto selectors = [](std::string_view query) { return parse_watch_query(query).selectors; };
  EXPECT_EQ(selectors("watch=1&labelSelector=a%3Db&resourceVersion=5"), selectors("labelSelector=a=b&watch=true"));
  EXPECT_EQ(selectors("fieldSelector=x&labelSelector=y&resourceVersion=1"),
            selectors("labelSelector=y&fieldSelector=x&resourceVersion=2"));
  EXPECT_NE(selectors("labelSelector=a"), selectors("labelSelector=b"));
  EXPECT_NE(selectors("labelSelector=a+b"), selectors("labelSelector=a%2Bb"));
}

}  // namespace
}  // namespace fresnel::hub

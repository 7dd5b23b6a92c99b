#include "fresnel/client/watch_query.hpp"

#include <gtest/gtest.h>

namespace fresnel::client {
namespace {

TEST(WatchQuery, AlwaysAsksForAWatchWithBookmarks) {
  EXPECT_EQ(WatchQuery("").wire("", 0), "watch=1&allowWatchBookmarks=true");
  EXPECT_EQ(WatchQuery("?watch=true&allowWatchBookmarks=false").wire("", 0), "watch=1&allowWatchBookmarks=true");
}

TEST(WatchQuery, KeepsTheListsParametersByteForByte) {
  const WatchQuery query("labelSelector=app%3Dx%2Cy&resourceVersion=215&fieldSelector=a=b&empty=&flag");
  EXPECT_EQ(query.parameters(), "labelSelector=app%3Dx%2Cy&fieldSelector=a=b&empty=&flag");
  EXPECT_EQ(query.start_version(), "215");
  EXPECT_EQ(query.wire("300", 0),
            "watch=1&labelSelector=app%3Dx%2Cy&fieldSelector=a=b&empty=&flag&allowWatchBookmarks=true"
            "&resourceVersion=300");
}

TEST(WatchQuery, WhatIsNoVersionStartsFresh) {
  for (const char* query : {"", "resourceVersion=", "resourceVersion=0", "resourceVersion=undefined",
                            "resourceVersion=12x", "resourceVersion=-1", "resourceVersion"}) {
    EXPECT_EQ(WatchQuery(query).start_version(), "") << query;
  }
}

TEST(WatchQuery, KnowsWhetherTheCallerWantsBookmarks) {
  EXPECT_FALSE(WatchQuery("watch=1").wants_bookmarks());
  EXPECT_FALSE(WatchQuery("allowWatchBookmarks=false").wants_bookmarks());
  EXPECT_TRUE(WatchQuery("allowWatchBookmarks=true").wants_bookmarks());
  EXPECT_TRUE(WatchQuery("allowWatchBookmarks=1").wants_bookmarks());
}

TEST(WatchQuery, ATagMakesAnotherWireQueryOfTheSameList) {
  const WatchQuery query("labelSelector=a");
  EXPECT_EQ(query.wire("7", 2), "watch=1&labelSelector=a&allowWatchBookmarks=true&pretty=2&resourceVersion=7");
}

}  // namespace
}  // namespace fresnel::client

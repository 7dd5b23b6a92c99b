#include "fresnel/sim/store.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fresnel/sim/testing.hpp"

namespace fresnel::sim {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class StoreTest : public ::testing::Test {
 protected:
  static json::object named(std::string_view ns, std::string_view name, int value = 0) {
    return {{"metadata", json::object{{"namespace", ns}, {"name", name}}}, {"data", json::object{{"v", value}}}};
  }
  std::vector<std::string> names(const std::vector<ObjectPtr>& objects) {
    std::vector<std::string> all;
    for (const auto& object : objects) {
      all.push_back(object->ns() + "/" + object->name() + "@" + std::to_string(object->revision()));
    }
    return all;
  }
  std::vector<std::string> events(Store::Watch& watch) {
    std::vector<std::string> all;
    while (const auto* event = watch.next()) {
      all.push_back(std::string(to_string(event->type)) + " " + event->object->name() + "@" +
                    std::to_string(event->revision()));
    }
    return all;
  }

  ResourceTypes types_;
  ResourceTypePtr maps_ = types_.named("configmaps");
  Store store_;
};

TEST_F(StoreTest, EveryChangeTakesTheNextRevision) {
  EXPECT_EQ(store_.put(maps_, named("a", "x"))->revision(), 1u);
  EXPECT_EQ(store_.put(types_.named("pods"), named("a", "p"))->revision(), 2u);
  EXPECT_EQ(store_.put(maps_, named("a", "x", 1))->revision(), 3u);
  const auto gone = store_.erase(*maps_, "a", "x");
  EXPECT_EQ(gone->revision(), 4u);
  EXPECT_THAT(std::string(gone->text().view()), ::testing::HasSubstr(R"("resourceVersion":"4")"));
  EXPECT_EQ(store_.erase(*maps_, "a", "x"), nullptr);
  EXPECT_EQ(store_.revision(), 4u);
}

TEST_F(StoreTest, ListsInTheOrderOfEtcdsKeys) {
  store_.put(maps_, named("b", "x"));
  store_.put(maps_, named("a-b", "x"));
  store_.put(maps_, named("a", "y"));
  store_.put(maps_, named("a", "x"));
  EXPECT_THAT(names(store_.list(*maps_, "")), ElementsAre("a-b/x@2", "a/x@4", "a/y@3", "b/x@1"));
  EXPECT_THAT(names(store_.list(*maps_, "a")), ElementsAre("a/x@4", "a/y@3"));
}

TEST_F(StoreTest, ListsThePast) {
  store_.put(maps_, named("a", "x"));
  store_.put(maps_, named("a", "y"));
  store_.put(maps_, named("a", "x", 1));
  store_.erase(*maps_, "a", "y");
  EXPECT_THAT(names(*store_.list_at(*maps_, "a", 1)), ElementsAre("a/x@1"));
  EXPECT_THAT(names(*store_.list_at(*maps_, "a", 2)), ElementsAre("a/x@1", "a/y@2"));
  EXPECT_THAT(names(*store_.list_at(*maps_, "a", 3)), ElementsAre("a/x@3", "a/y@2"));
  EXPECT_THAT(names(*store_.list_at(*maps_, "a", 4)), ElementsAre("a/x@3"));
  store_.compact(3);
  EXPECT_FALSE(store_.list_at(*maps_, "a", 2).has_value());
  EXPECT_THAT(names(*store_.list_at(*maps_, "a", 3)), ElementsAre("a/x@3", "a/y@2"));
}

TEST_F(StoreTest, AWatchReplaysAndThenFollows) {
  store_.put(maps_, named("a", "x"));
  store_.put(maps_, named("a", "y"));
  int calls = 0;
  const auto watch = store_.watch(*maps_, 1, [&] { ++calls; });
  EXPECT_THAT(events(*watch), ElementsAre("ADDED y@2"));
  store_.put(maps_, named("a", "x", 1));
  store_.put(types_.named("pods"), named("a", "p"));
  store_.erase(*maps_, "a", "y");
  EXPECT_EQ(calls, 2);
  EXPECT_THAT(events(*watch), ElementsAre("MODIFIED x@3", "DELETED y@5"));
  EXPECT_THAT(events(*watch), IsEmpty());
}

TEST_F(StoreTest, CompactionStopsNewWatchesButNotRunningOnes) {
  store_.put(maps_, named("a", "x"));
  const auto watch = store_.watch(*maps_, 0, [] {});
  store_.put(maps_, named("a", "y"));
  store_.put(maps_, named("a", "z"));
  store_.compact(store_.revision());
  EXPECT_FALSE(store_.can_watch_after(*maps_, 2));
  EXPECT_TRUE(store_.can_watch_after(*maps_, 3));
  EXPECT_THAT(events(*watch), ElementsAre("ADDED x@1", "ADDED y@2", "ADDED z@3"));
  EXPECT_FALSE(watch->overrun());
}

TEST_F(StoreTest, ABackupRestoresStateAndRevision) {
  store_.put(maps_, named("a", "x"));
  store_.put(maps_, named("a", "y"));
  store_.put(maps_, named("a", "x", 1));
  (void)store_.erase(*maps_, "a", "y");
  store_.put(maps_, named("a", "z"));
  ASSERT_TRUE(store_.rewind(2));
  EXPECT_THAT(names(store_.list(*maps_, "")), ElementsAre("a/x@1", "a/y@2"));
  EXPECT_EQ(store_.put(maps_, named("a", "new"))->revision(), 3u);
  store_.compact(3);
  EXPECT_FALSE(store_.rewind(2));
}

TEST(StoreLimitTest, AWatchThatFallsTooFarBehindIsOverrun) {
  Store store({.max_events = 3});
  const ResourceTypes types;
  const auto maps = types.named("configmaps");
  const auto watch = store.watch(*maps, 0, [] {});
  for (int i = 0; i < 3; ++i) {
    store.put(maps, {{"metadata", json::object{{"name", "x"}}}, {"data", json::object{{"v", i}}}});
  }
  EXPECT_FALSE(watch->overrun());
  store.erase(*maps, "", "x");
  EXPECT_TRUE(watch->overrun());
  EXPECT_EQ(watch->next(), nullptr);
  EXPECT_FALSE(store.can_watch_after(*maps, 0));
  EXPECT_TRUE(store.can_watch_after(*maps, 1));
}

TEST(ObjectTest, TextHasTheServersOrderAndItsParts) {
  const ResourceTypes types;
  const auto object =
      Object::make(types.named("pods"),
                   testing::object_of(R"({"spec":{"nodeName":"n1"},"metadata":{"annotations":{"resourceVersion":"77"},
        "labels":{"app":"x"},"name":"p","namespace":"d","uid":"u","resourceVersion":"1"},"kind":"Wrong"})"),
                   9);
  EXPECT_EQ(object->text().view(),
            R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"p","namespace":"d","uid":"u",)"
            R"("resourceVersion":"9","labels":{"app":"x"},"annotations":{"resourceVersion":"77"}},)"
            R"("spec":{"nodeName":"n1"}})");
  EXPECT_EQ(object->rest().substr(0, 12), R"("metadata":{)");
  EXPECT_EQ(object->metadata().front(), '{');
  EXPECT_EQ(object->metadata().back(), '}');
  EXPECT_EQ(*object->label("app"), "x");
  EXPECT_EQ(object->label("other"), nullptr);
  EXPECT_EQ(object->field("spec.nodeName"), "n1");
  EXPECT_EQ(object->field("metadata.namespace"), "d");

  const auto later = object->at(1234);
  EXPECT_EQ(later->revision(), 1234u);
  EXPECT_EQ(string_at(testing::parsed(later->text().view()), {"metadata", "resourceVersion"}), "1234");
  EXPECT_EQ(string_at(testing::parsed(later->metadata()), {"annotations", "resourceVersion"}), "77");
  EXPECT_EQ(object->revision(), 9u);
}

}  // namespace
}  // namespace fresnel::sim

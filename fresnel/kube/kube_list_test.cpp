#include "fresnel/kube/kube_list.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <random>

namespace fresnel::kube {
namespace {

using Outcome = KubeList::Outcome;
using testing::ElementsAre;

constexpr char kList[] = R"({"kind":"PodList","apiVersion":"v1",
  "metadata":{"resourceVersion":"10","continue":"more","remainingItemCount":7},
  "items":[{"metadata":{"name":"a","uid":"ua","resourceVersion":"3"}},
           {"metadata":{"name":"b","uid":"ub","resourceVersion":"9"}}]})";

std::string event(const std::string& type, const std::string& uid, const std::string& version) {
  return fmt::format(R"({{"type":"{}","object":{{"kind":"Pod","metadata":{{"uid":"{}","resourceVersion":"{}"}}}}}})",
                     type, uid, version);
}

class KubeListTest : public testing::Test {
 protected:
  KubeListTest() {
    EXPECT_TRUE(list_.set(kList));
    list_.on_change([this](const KubeList&) { ++changes_; });
    list_.on_error([this](const Error& error) { errors_.push_back(error); });
  }

  std::vector<std::string> uids() const {
    std::vector<std::string> all;
    for (const auto& item : list_.snapshot()->items)
      all.push_back(std::string(item->uid).append("@").append(item->resource_version));
    return all;
  }

  // Applies an update that must change nothing.
  Outcome unchanged(const std::string& update) {
    const auto before = list_.snapshot();
    const int changes = changes_;
    const auto outcome = list_.apply_update(update);
    EXPECT_EQ(list_.snapshot(), before);
    EXPECT_EQ(changes_, changes);
    return outcome;
  }

  KubeList list_{"prod"};
  int changes_ = 0;
  std::vector<Error> errors_;
};

TEST_F(KubeListTest, ReadsAList) {
  const auto& list = *list_.snapshot();
  EXPECT_EQ(list.kind, "PodList");
  EXPECT_EQ(list.api_version, "v1");
  EXPECT_EQ(list.resource_version, "10");
  EXPECT_EQ(list.continue_token, "more");
  EXPECT_EQ(list.remaining_item_count, 7);
  EXPECT_THAT(uids(), ElementsAre("ua@3", "ub@9"));
}

TEST_F(KubeListTest, AddedAppendsAnUnknownObject) {
  EXPECT_EQ(list_.apply_update(event("ADDED", "uc", "11")), Outcome::applied);
  EXPECT_THAT(uids(), ElementsAre("ua@3", "ub@9", "uc@11"));
}

TEST_F(KubeListTest, AddedReplacesAKnownObjectInItsPlace) {
  EXPECT_EQ(list_.apply_update(event("ADDED", "ua", "11")), Outcome::applied);
  EXPECT_THAT(uids(), ElementsAre("ua@11", "ub@9"));
}

TEST_F(KubeListTest, ModifiedReplacesAKnownObjectInItsPlace) {
  EXPECT_EQ(list_.apply_update(event("MODIFIED", "ua", "11")), Outcome::applied);
  EXPECT_THAT(uids(), ElementsAre("ua@11", "ub@9"));
}

TEST_F(KubeListTest, ModifiedAppendsAnUnknownObject) {
  EXPECT_EQ(list_.apply_update(event("MODIFIED", "uc", "11")), Outcome::applied);
  EXPECT_THAT(uids(), ElementsAre("ua@3", "ub@9", "uc@11"));
}

TEST_F(KubeListTest, DeletedRemovesAKnownObject) {
  EXPECT_EQ(list_.apply_update(event("DELETED", "ua", "11")), Outcome::applied);
  EXPECT_THAT(uids(), ElementsAre("ub@9"));
}

TEST_F(KubeListTest, DeletedOfAnUnknownObjectOnlyMovesTheVersion) {
  EXPECT_EQ(list_.apply_update(event("DELETED", "uc", "11")), Outcome::applied);
  EXPECT_THAT(uids(), ElementsAre("ua@3", "ub@9"));
  EXPECT_EQ(list_.snapshot()->resource_version, "11");
}

TEST_F(KubeListTest, ErrorChangesNothingAndIsReported) {
  EXPECT_EQ(unchanged(R"({"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"old",
                          "metadata":{"resourceVersion":"99","uid":"ua"}}})"),
            Outcome::error);
  ASSERT_EQ(errors_.size(), 1u);
  EXPECT_EQ(errors_[0].code, Errc::gone);
}

TEST_F(KubeListTest, UnknownTypesChangeNothingAndAreReported) {
  EXPECT_EQ(unchanged(event("BOOKMARK", "", "99")), Outcome::error);
  EXPECT_EQ(unchanged(event("EXPLODED", "ua", "99")), Outcome::error);
  EXPECT_EQ(errors_.size(), 2u);
}

TEST_F(KubeListTest, AnUpdateThatIsNotNewerThanTheListIsSkipped) {
  EXPECT_EQ(unchanged(event("DELETED", "ua", "10")), Outcome::stale);
  EXPECT_EQ(unchanged(event("MODIFIED", "ua", "9")), Outcome::stale);
  EXPECT_EQ(unchanged(event("ADDED", "uc", "2")), Outcome::stale);  // by number: as text it would be newer
  EXPECT_TRUE(errors_.empty());
}

TEST_F(KubeListTest, VersionsThatAreNoNumbersAreNeverOld) {
  EXPECT_EQ(list_.apply_update(event("ADDED", "uc", "abc")), Outcome::applied);
  EXPECT_EQ(list_.snapshot()->resource_version, "abc");
  EXPECT_EQ(list_.apply_update(event("ADDED", "ud", "1")), Outcome::applied);
}

TEST_F(KubeListTest, TheListTakesTheUpdatesVersionAndKeepsItsOtherMetadata) {
  list_.apply_update(event("ADDED", "uc", "11"));
  EXPECT_EQ(list_.snapshot()->resource_version, "11");
  EXPECT_EQ(list_.snapshot()->continue_token, "more");
  EXPECT_EQ(list_.snapshot()->remaining_item_count, 7);
  EXPECT_EQ(list_.snapshot()->kind, "PodList");
  EXPECT_EQ(unchanged(event("ADDED", "uc", "11")), Outcome::stale);
}

TEST_F(KubeListTest, WhatIsNoUpdateIsIgnoredAndCounted) {
  std::uint64_t count = 0;
  for (const char* text : {"", "null", "[]", "7", "\"ADDED\"", "{", R"({"type":"ADDED"})",
                           R"({"type":"ADDED","object":5})", R"({"type":"ADDED","object":{"metadata":{}}})"}) {
    EXPECT_EQ(unchanged(text), Outcome::ignored) << text;
    EXPECT_EQ(list_.ignored(), ++count);
  }
}

TEST(KubeList, UpdatesBeforeTheFirstListAreIgnoredAndCounted) {
  KubeList list("prod");
  EXPECT_EQ(list.apply_update(event("ADDED", "ua", "1")), Outcome::ignored);
  EXPECT_EQ(list.ignored(), 1u);
  EXPECT_EQ(list.snapshot(), nullptr);
}

TEST_F(KubeListTest, EveryChangeIsANewSnapshotThatSharesTheRest) {
  const auto before = list_.snapshot();
  list_.apply_update(event("MODIFIED", "ua", "11"));
  EXPECT_EQ(changes_, 1);
  EXPECT_EQ(before->items[0]->resource_version, "3");
  EXPECT_EQ(list_.snapshot()->items[1], before->items[1]);
}

TEST_F(KubeListTest, EachObjectKnowsItsClusterAndItsText) {
  list_.apply_update(event("ADDED", "uc", "11"));
  for (const auto& item : list_.snapshot()->items) EXPECT_EQ(item->cluster, "prod");
  EXPECT_EQ(list_.snapshot()->items[2]->json(), R"({"kind":"Pod","metadata":{"uid":"uc","resourceVersion":"11"}})");
}

TEST_F(KubeListTest, ATextThatIsNoListKeepsTheOldOne) {
  const auto before = list_.snapshot();
  EXPECT_EQ(list_.set("{").error().code, Errc::protocol);
  EXPECT_EQ(list_.set("[]").error().code, Errc::protocol);
  EXPECT_EQ(list_.set(R"({"kind":"Status","code":403})").error().code, Errc::protocol);
  EXPECT_EQ(list_.snapshot(), before);
}

TEST_F(KubeListTest, ANewListReplacesEverything) {
  EXPECT_TRUE(list_.set(R"({"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"5"},"items":[]})"));
  EXPECT_TRUE(list_.snapshot()->items.empty());
  EXPECT_EQ(list_.snapshot()->remaining_item_count, std::nullopt);
  EXPECT_EQ(changes_, 1);
}

TEST_F(KubeListTest, AnObjectIsAPartOfItsEventsText) {
  const auto update = parse_watch_event(SharedBytes(event("MODIFIED", "ua", "11"))).value();
  list_.apply_update(update);
  EXPECT_EQ(list_.snapshot()->items[0]->json().data(), update.object_view().data());
}

TEST_F(KubeListTest, ATextThatIsHandedOverIsNotCopied) {
  auto text = event("ADDED", "uc", "11");
  text.reserve(text.size() + 2 * kParserPadding);
  const char* bytes = text.data();
  list_.apply_update(std::move(text));
  EXPECT_EQ(list_.snapshot()->items[2]->event.view().data(), bytes);
}

// An update that made a snapshot would hold the objects that it did not touch once more.
TEST_F(KubeListTest, AnUpdateMakesNoSnapshotUntilSomebodyAsks) {
  const auto untouched = list_.snapshot()->items[1];
  long held = 0;
  list_.on_change([&](const KubeList&) { held = untouched.use_count(); });
  list_.apply_update(event("MODIFIED", "ua", "11"));
  EXPECT_EQ(held, 2);  // the list's and ours
  EXPECT_EQ(list_.snapshot()->items[1], untouched);
  EXPECT_EQ(untouched.use_count(), 3);
  EXPECT_EQ(list_.snapshot(), list_.snapshot());
}

TEST_F(KubeListTest, AListenerMayAskForTheSnapshot) {
  std::string version;
  list_.on_change([&](const KubeList& list) { version = list.snapshot()->resource_version; });
  list_.apply_update(event("MODIFIED", "ua", "11"));
  EXPECT_EQ(version, "11");
}

TEST_F(KubeListTest, AListThatNamesAUidTwiceHasTheLaterObject) {
  EXPECT_TRUE(list_.set(R"({"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"5"},"items":[
      {"metadata":{"uid":"ua","resourceVersion":"1"}},{"metadata":{"uid":"ub","resourceVersion":"2"}},
      {"metadata":{"uid":"ua","resourceVersion":"3"}}]})"));
  EXPECT_THAT(uids(), ElementsAre("ua@3", "ub@2"));
}

TEST_F(KubeListTest, ObjectsWithoutUidStay) {
  EXPECT_TRUE(list_.set(R"({"kind":"ComponentStatusList","apiVersion":"v1","metadata":{"resourceVersion":"5"},"items":[
      {"metadata":{"name":"a"}},{"metadata":{"name":"b","uid":"ub"}},{"metadata":{"name":"c"}}]})"));
  list_.apply_update(event("DELETED", "ub", "6"));
  EXPECT_THAT(uids(), ElementsAre("@", "@"));
}

// The rules as they read, on a plain vector that is copied for each update.
class PlainList {
 public:
  explicit PlainList(std::uint64_t version) : version_(version) {}

  bool apply(std::string_view type, const std::string& uid, std::uint64_t version) {
    if (version <= version_) return false;
    auto next = items_;
    const auto known = std::find_if(next.begin(), next.end(), [&](const auto& item) { return item.first == uid; });
    if (type == "DELETED") {
      if (known != next.end()) next.erase(known);
    } else if (known != next.end()) {
      known->second = version;
    } else {
      next.emplace_back(uid, version);
    }
    items_ = std::move(next);
    version_ = version;
    return true;
  }

  [[nodiscard]] std::vector<std::string> items() const {
    std::vector<std::string> all;
    for (const auto& [uid, version] : items_) all.push_back(fmt::format("{}@{}", uid, version));
    return all;
  }
  [[nodiscard]] std::uint64_t version() const { return version_; }

 private:
  std::uint64_t version_;
  std::vector<std::pair<std::string, std::uint64_t>> items_;
};

std::vector<std::string> items_of(const KubeListSnapshot& list) {
  std::vector<std::string> all;
  for (const auto& item : list.items) all.push_back(std::string(item->uid).append("@").append(item->resource_version));
  return all;
}

TEST(KubeListModel, FollowsRandomUpdatesAsAPlainListDoes) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    KubeList list("prod");
    ASSERT_TRUE(list.set(R"({"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"100"},"items":[]})"));
    PlainList plain(100);
    // Snapshots of the past with what they showed: they must show it for ever.
    std::vector<std::pair<KubeList::Snapshot, std::vector<std::string>>> past;
    for (int step = 0; step < 1000; ++step) {
      const auto type = std::array{"ADDED", "MODIFIED", "DELETED"}[random() % 3];
      const auto uid = "u" + std::to_string(random() % (seed % 2 == 0 ? 5 : 200));
      const auto version = plain.version() - 2 + random() % 8;  // some are old
      const bool applied = plain.apply(type, uid, version);
      ASSERT_EQ(list.apply_update(event(type, uid, std::to_string(version))),
                applied ? Outcome::applied : Outcome::stale);
      ASSERT_EQ(list.size(), plain.items().size());
      if (random() % 10 > 0) continue;
      ASSERT_EQ(items_of(*list.snapshot()), plain.items()) << "step " << step;
      ASSERT_EQ(list.snapshot()->resource_version, std::to_string(plain.version()));
      past.emplace_back(list.snapshot(), plain.items());
    }
    for (const auto& [snapshot, items] : past) EXPECT_EQ(items_of(*snapshot), items);
  }
}

}  // namespace
}  // namespace fresnel::kube

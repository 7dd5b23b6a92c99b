#include "fresnel/client/object_store.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "fresnel/client/testing/events.hpp"

namespace fresnel::client {
namespace {

using testing::bookmark_event;
using testing::brief;
using ::testing::ElementsAre;
using testing::error_event;
using ::testing::IsEmpty;
using testing::parsed;
using testing::pod_event;
using testing::table_event;
using Knowledge = ObjectStore::Knowledge;
using Outcome = ObjectStore::Outcome;

class ObjectStoreTest : public ::testing::Test {
 protected:
  ObjectStoreTest() { observe(store_); }

  void observe(ObjectStore& store) {
    store.on_change([this](const kube::WatchEvent& event) { changes_.push_back(brief(event)); });
  }
  Outcome apply(std::string_view type, std::string_view name, std::string_view version) {
    return store_.apply(parsed(pod_event(type, name, version)));
  }
  [[nodiscard]] std::vector<std::string> content() const {
    std::vector<std::string> objects;
    for (const auto& object : *store_.snapshot())
      objects.push_back(std::string(object->name).append("@").append(object->resource_version));
    return objects;
  }

  ObjectStore store_;
  std::vector<std::string> changes_;
};

TEST_F(ObjectStoreTest, AddsModifiesAndDeletes) {
  EXPECT_EQ(apply("ADDED", "a", "1"), Outcome::applied);
  EXPECT_EQ(apply("MODIFIED", "a", "2"), Outcome::applied);
  EXPECT_THAT(content(), ElementsAre("a@2"));
  EXPECT_EQ(apply("DELETED", "a", "3"), Outcome::applied);
  EXPECT_THAT(content(), IsEmpty());
  EXPECT_THAT(changes_, ElementsAre("ADDED a@1", "MODIFIED a@2", "DELETED a@3"));
}

TEST_F(ObjectStoreTest, ADeletedWithTheLastSeenVersionIsNeverDropped) {
  apply("ADDED", "a", "7");
  EXPECT_EQ(apply("DELETED", "a", "7"), Outcome::applied);
  EXPECT_EQ(store_.size(), 0u);
}

TEST_F(ObjectStoreTest, SkipsOnlyWhatIsOlderThanTheSameObject) {
  apply("ADDED", "a", "10");
  EXPECT_EQ(apply("ADDED", "b", "5"), Outcome::applied);  // older than the list, not than itself
  EXPECT_EQ(apply("MODIFIED", "a", "9"), Outcome::stale);
  EXPECT_EQ(apply("DELETED", "a", "9"), Outcome::stale);
  EXPECT_EQ(apply("MODIFIED", "a", "10"), Outcome::unchanged);
  EXPECT_THAT(content(), ElementsAre("a@10", "b@5"));
  EXPECT_THAT(changes_, ElementsAre("ADDED a@10", "ADDED b@5"));
}

TEST_F(ObjectStoreTest, VersionsThatAreNoNumbersAreNeverOlder) {
  apply("ADDED", "a", "xyz");
  EXPECT_EQ(apply("MODIFIED", "a", "abc"), Outcome::applied);
  EXPECT_EQ(apply("MODIFIED", "a", "3"), Outcome::applied);
  EXPECT_THAT(content(), ElementsAre("a@3"));
}

TEST_F(ObjectStoreTest, TellsTypesByWhatItKnew) {
  EXPECT_EQ(apply("MODIFIED", "a", "1"), Outcome::applied);
  EXPECT_EQ(apply("ADDED", "a", "2"), Outcome::applied);
  EXPECT_EQ(apply("DELETED", "b", "3"), Outcome::unchanged);
  EXPECT_THAT(changes_, ElementsAre("ADDED a@1", "MODIFIED a@2"));
}

TEST_F(ObjectStoreTest, IgnoresWhatChangesNoObject) {
  apply("ADDED", "a", "1");
  EXPECT_EQ(store_.apply(parsed(error_event(410, "Expired"))), Outcome::ignored);
  EXPECT_EQ(store_.apply(parsed(bookmark_event("9"))), Outcome::ignored);
  EXPECT_EQ(store_.apply(parsed(R"({"type":"ODD","object":{"metadata":{"uid":"u"}}})")), Outcome::ignored);
  EXPECT_EQ(store_.apply(parsed(R"({"type":"ADDED","object":{}})")), Outcome::ignored);
  EXPECT_EQ(changes_.size(), 1u);
}

TEST_F(ObjectStoreTest, ObjectsWithoutUidAreKnownByName) {
  constexpr std::string_view kEvent =
      R"({"type":"ADDED","object":{"metadata":{"name":"m","namespace":"n","resourceVersion":"1"}}})";
  store_.apply(parsed(std::string(kEvent)));
  EXPECT_NE(store_.find("n/m"), nullptr);
}

TEST_F(ObjectStoreTest, ARecreatedObjectIsAnotherObject) {
  apply("ADDED", "a", "1");
  auto text = pod_event("ADDED", "a", "5");
  text.replace(text.find("uid-a"), 5, "uid-z");
  store_.apply(parsed(text));
  EXPECT_EQ(store_.size(), 2u);
  apply("DELETED", "a", "4");
  EXPECT_EQ(store_.find("uid-z")->resource_version, "5");
  EXPECT_EQ(store_.size(), 1u);
}

TEST_F(ObjectStoreTest, SnapshotsNeverChangeAndAreSharedWhileNothingChanges) {
  apply("ADDED", "b", "1");
  apply("ADDED", "a", "2");
  const auto before = store_.snapshot();
  apply("MODIFIED", "a", "2");  // nothing new
  EXPECT_EQ(store_.snapshot(), before);
  apply("DELETED", "b", "3");
  EXPECT_EQ(before->size(), 2u);
  EXPECT_EQ(before->front()->name, "a");
  EXPECT_EQ(store_.snapshot()->size(), 1u);
}

TEST_F(ObjectStoreTest, KeepsTheEventsTextOnce) {
  const auto event = parsed(pod_event("ADDED", "a", "1"));
  store_.apply(event);
  EXPECT_EQ(store_.find("uid-a")->bytes.view().data(), event.bytes.view().data());
}

TEST_F(ObjectStoreTest, AnotherTypeThanTheStreamsCopiesNoTextUntilItIsAskedFor) {
  apply("ADDED", "a", "1");
  const auto event = parsed(pod_event("ADDED", "a", "2"));
  const char* text = event.bytes.view().data();
  int told = 0;
  store_.on_change([&](const ObjectStore::Change& change) {
    ++told;
    EXPECT_EQ(change.type(), kube::WatchEvent::Type::modified);
    EXPECT_EQ(change.source().bytes.view().data(), text);
    EXPECT_EQ(change.event().bytes.view(), pod_event("MODIFIED", "a", "2"));
    EXPECT_EQ(&change.event(), &change.event());  // made once
  });
  EXPECT_EQ(store_.apply(event), Outcome::applied);
  EXPECT_EQ(told, 1);
  EXPECT_EQ(store_.find("uid-a")->bytes.view().data(), text);
}

TEST_F(ObjectStoreTest, AnEventOfTheRightTypeIsToldWithoutACopy) {
  const auto event = parsed(pod_event("ADDED", "a", "1"));
  const kube::WatchEvent* told = nullptr;
  store_.on_change([&](const kube::WatchEvent& change) { told = &change; });
  store_.apply(event);
  EXPECT_EQ(told, store_.find("uid-a").get());
}

TEST_F(ObjectStoreTest, AChangeMakesNoSnapshotUntilSomebodyAsks) {
  apply("ADDED", "a", "1");
  apply("ADDED", "b", "2");
  const auto untouched = store_.snapshot()->front();
  apply("MODIFIED", "b", "3");
  EXPECT_EQ(untouched.use_count(), 2);  // the store's and ours
  EXPECT_EQ(store_.snapshot()->front(), untouched);
  EXPECT_EQ(untouched.use_count(), 3);
}

TEST_F(ObjectStoreTest, ARenamedObjectMovesInTheOrder) {
  apply("ADDED", "a", "1");
  apply("ADDED", "b", "2");
  EXPECT_THAT(content(), ElementsAre("a@1", "b@2"));
  auto text = pod_event("MODIFIED", "z", "3");
  text.replace(text.find("uid-z"), 5, "uid-a");
  store_.apply(parsed(text));
  EXPECT_THAT(content(), ElementsAre("b@2", "z@3"));
}

TEST_F(ObjectStoreTest, SnapshotsAreInOrderWhateverHappensBetweenThem) {
  std::mt19937 random(3);
  std::map<std::string, std::string> plain;
  for (int step = 1; step <= 5000; ++step) {
    const auto name = std::to_string(random() % 300);
    const auto version = std::to_string(step);
    const auto* const type = random() % 2 == 0 ? "DELETED" : "MODIFIED";
    apply(type, name, version);
    if (type == std::string_view("DELETED")) {
      plain.erase(name);
    } else {
      plain[name] = name + "@" + version;
    }
    if (random() % 20 > 0) continue;
    std::vector<std::string> expected;
    for (const auto& [key, object] : plain) expected.push_back(object);
    ASSERT_EQ(content(), expected) << "step " << step;
  }
}

TEST_F(ObjectStoreTest, AReplacementTellsTheDifferenceOnly) {
  apply("ADDED", "same", "1");
  apply("ADDED", "changed", "2");
  apply("ADDED", "gone", "3");
  apply("ADDED", "away", "4");
  changes_.clear();
  store_.begin_replace();
  EXPECT_TRUE(store_.replacing());
  EXPECT_EQ(apply("ADDED", "same", "1"), Outcome::unchanged);
  EXPECT_EQ(apply("ADDED", "changed", "8"), Outcome::applied);
  EXPECT_EQ(apply("ADDED", "new", "9"), Outcome::applied);
  EXPECT_THAT(changes_, ElementsAre("MODIFIED changed@8", "ADDED new@9"));
  store_.end_replace();
  EXPECT_FALSE(store_.replacing());
  EXPECT_THAT(changes_, ElementsAre("MODIFIED changed@8", "ADDED new@9", "DELETED away@4", "DELETED gone@3"));
  EXPECT_THAT(content(), ElementsAre("changed@8", "new@9", "same@1"));
}

TEST_F(ObjectStoreTest, DeletedOfAReplacementCarriesTheLastKnownObject) {
  std::string text;
  apply("ADDED", "gone", "3");
  store_.on_change([&](const kube::WatchEvent& event) { text = event.bytes.view(); });
  store_.begin_replace();
  store_.end_replace();
  EXPECT_EQ(text, pod_event("DELETED", "gone", "3"));
}

TEST_F(ObjectStoreTest, AReplacementCutShortIsStartedAnew) {
  apply("ADDED", "a", "1");
  apply("ADDED", "b", "2");
  store_.begin_replace();
  apply("ADDED", "a", "1");
  apply("ADDED", "c", "5");
  store_.begin_replace();  // the link was lost, the state comes again from its start
  apply("ADDED", "b", "2");
  store_.end_replace();
  EXPECT_THAT(content(), ElementsAre("b@2"));
  EXPECT_THAT(changes_, ElementsAre("ADDED a@1", "ADDED b@2", "ADDED c@5", "DELETED a@1", "DELETED c@5"));
}

TEST_F(ObjectStoreTest, AReplacementIsTheTruthEvenWithLowerVersions) {
  apply("ADDED", "a", "900");
  store_.begin_replace();
  EXPECT_EQ(apply("ADDED", "a", "7"), Outcome::applied);
  EXPECT_EQ(apply("ADDED", "a", "6"), Outcome::stale);  // within the new state the rule holds again
  store_.end_replace();
  EXPECT_THAT(content(), ElementsAre("a@7"));
}

TEST_F(ObjectStoreTest, LiveEventsInsideAReplacementCount) {
  apply("ADDED", "a", "1");
  apply("ADDED", "b", "2");
  store_.begin_replace();
  apply("MODIFIED", "a", "5");
  apply("DELETED", "b", "6");
  changes_.clear();
  store_.end_replace();
  EXPECT_THAT(changes_, IsEmpty());
  EXPECT_THAT(content(), ElementsAre("a@5"));
}

TEST_F(ObjectStoreTest, EndWithoutBeginDeletesNothing) {
  apply("ADDED", "a", "1");
  store_.end_replace();
  EXPECT_THAT(content(), ElementsAre("a@1"));
}

TEST_F(ObjectStoreTest, APartialStorePassesOnWhatItNeverSaw) {
  store_ = ObjectStore(Knowledge::partial);
  observe(store_);
  apply("MODIFIED", "a", "5");
  apply("DELETED", "b", "6");
  apply("ADDED", "a", "7");
  EXPECT_THAT(changes_, ElementsAre("MODIFIED a@5", "DELETED b@6", "MODIFIED a@7"));
  store_.begin_replace();
  store_.end_replace();
  EXPECT_EQ(store_.knowledge(), Knowledge::whole);
  EXPECT_EQ(apply("DELETED", "c", "9"), Outcome::unchanged);
}

TEST_F(ObjectStoreTest, TableRowsAreKnownByTheirObject) {
  store_.apply(parsed(table_event("ADDED", "a", "1", R"([{"name":"Name"}])")));
  store_.apply(parsed(table_event("MODIFIED", "a", "2", "null")));
  EXPECT_THAT(content(), ElementsAre("a@2"));
  store_.apply(parsed(table_event("DELETED", "a", "2", "null")));
  EXPECT_THAT(content(), IsEmpty());
  EXPECT_THAT(changes_, ElementsAre("ADDED a@1", "MODIFIED a@2", "DELETED a@2"));
}

// A cluster's history against what a reader of the changes believes, over a link that repeats, drops and resyncs.
class HistoryModel {
 public:
  explicit HistoryModel(unsigned seed) : random_(seed) {
    store_.on_change([this](const kube::WatchEvent& event) { read(event); });
  }

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      switch (random_() % 10) {
        case 0: resync(random_() % 2 == 0); break;
        case 1: repeat_recent(); break;
        default: deliver(change()); break;
      }
    }
    resync(false);
    EXPECT_EQ(believed_, cluster_);
    std::map<std::string, std::uint64_t> stored;
    for (const auto& object : *store_.snapshot())
      stored[std::string(object->name)] = std::stoull(std::string(object->resource_version));
    EXPECT_EQ(stored, cluster_);
  }

 private:
  struct Event {
    std::string type;
    std::string name;
    std::uint64_t version;
  };

  // One change of the cluster. A name lives once, as uids do.
  Event change() {
    ++version_;
    if (cluster_.empty() || random_() % 3 == 0) {
      const auto name = "o" + std::to_string(++names_);
      cluster_[name] = version_;
      return {"ADDED", name, version_};
    }
    const auto at = std::next(cluster_.begin(), static_cast<std::ptrdiff_t>(random_() % cluster_.size()));
    const auto name = at->first;
    if (random_() % 3 == 0) {
      cluster_.erase(at);
      return {"DELETED", name, version_};
    }
    at->second = version_;
    return {"MODIFIED", name, version_};
  }

  void deliver(const Event& event) {
    recent_.push_back(event);
    apply(event);
  }

  void apply(const Event& event) { store_.apply(parsed(pod_event(event.type, event.name, event.version))); }

  // A resume from an older version: the tail of the stream comes once more. Deletions are told as they were.
  void repeat_recent() {
    const auto from = recent_.size() - std::min<std::size_t>(recent_.size(), random_() % 8);
    for (auto i = from; i < recent_.size(); ++i) apply(recent_[i]);
  }

  // Changes are missed, then the state comes anew; perhaps cut short at first.
  void resync(bool cut_short) {
    for (auto missed = random_() % 6; missed > 0; --missed) change();
    recent_.clear();
    if (cut_short) {
      store_.begin_replace();
      send_state(random_() % (cluster_.size() + 1));
      for (auto missed = random_() % 6; missed > 0; --missed) change();
    }
    store_.begin_replace();
    send_state(cluster_.size());
    store_.end_replace();
    EXPECT_EQ(believed_, cluster_);
  }

  void send_state(std::size_t count) {
    std::vector<std::pair<std::string, std::uint64_t>> state(cluster_.begin(), cluster_.end());
    std::shuffle(state.begin(), state.end(), random_);
    for (std::size_t i = 0; i < count; ++i) apply({"ADDED", state[i].first, state[i].second});
  }

  // What a reader of the changes checks: types fit what it has, versions of one object only grow.
  void read(const kube::WatchEvent& event) {
    const auto version = std::stoull(std::string(event.resource_version));
    const auto at = believed_.find(std::string(event.name));
    switch (event.type) {
      case kube::WatchEvent::Type::added:
        EXPECT_EQ(at, believed_.end()) << brief(event);
        believed_[std::string(event.name)] = version;
        break;
      case kube::WatchEvent::Type::modified:
        ASSERT_NE(at, believed_.end()) << brief(event);
        EXPECT_GT(version, at->second) << brief(event);
        at->second = version;
        break;
      case kube::WatchEvent::Type::deleted:
        EXPECT_NE(at, believed_.end()) << brief(event);
        believed_.erase(std::string(event.name));
        break;
      default: ADD_FAILURE() << brief(event);
    }
  }

  std::mt19937 random_;
  ObjectStore store_;
  std::map<std::string, std::uint64_t> cluster_;
  std::map<std::string, std::uint64_t> believed_;
  std::vector<Event> recent_;
  std::uint64_t version_ = 100;
  int names_ = 0;
};

TEST(ObjectStoreModel, ReadersOfTheChangesAlwaysEndWithTheClustersState) {
  for (unsigned seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    HistoryModel(seed).run(60);
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace fresnel::client

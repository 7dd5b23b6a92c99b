#include "fresnel/hub/pending_events.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

namespace fresnel::hub {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Mark = PendingEvents::Mark;

EventPtr published(kube::WatchEvent event) {
  ClusterMetrics counters;
  return publish(std::move(event), Forms::of(true, false), counters);
}

EventPtr event(std::string_view type, std::string_view name, std::uint64_t version) {
  std::string text = R"({"type":")";
  text.append(type).append(R"(","object":{"kind":"Thing","metadata":{)");
  if (!name.empty()) text.append(R"("name":")").append(name).append(R"(","uid":"u-)").append(name).append(R"(",)");
  text.append(R"("resourceVersion":")").append(std::to_string(version)).append(R"("}}})");
  return published(kube::parse_watch_event(SharedBytes(std::move(text))).value());
}

EventPtr gone() { return published(kube::make_expired_event("too old")); }

std::string told(const PendingEvents::Item& item) {
  if (item.event == nullptr) return item.mark == Mark::complete ? "COMPLETE" : "STATUS";
  const auto& event = item.event->event;
  return std::string(to_string(event.type)) + " " + std::string(event.name) + "@" + std::string(event.resource_version);
}

std::vector<std::string> drain(PendingEvents& pending) {
  std::vector<std::string> all;
  while (!pending.empty()) all.push_back(told(pending.pop()));
  return all;
}

// What is left of these events for a subscriber whose initial data is complete.
std::vector<std::string> left_of(const std::vector<EventPtr>& events) {
  PendingEvents pending;
  pending.told_complete();
  for (const auto& one : events) (void)pending.push(one);
  return drain(pending);
}

TEST(PendingEvents, KeepsTheNewestStateOfEachObjectInStreamOrder) {
  EXPECT_THAT(left_of({event("ADDED", "a", 1), event("ADDED", "b", 2), event("MODIFIED", "a", 3)}),
              ElementsAre("ADDED b@2", "ADDED a@3"));
  EXPECT_THAT(left_of({event("MODIFIED", "a", 1), event("MODIFIED", "b", 2), event("MODIFIED", "a", 3)}),
              ElementsAre("MODIFIED b@2", "MODIFIED a@3"));
  EXPECT_THAT(left_of({event("MODIFIED", "a", 1), event("DELETED", "a", 2)}), ElementsAre("DELETED a@2"));
  EXPECT_THAT(left_of({event("ADDED", "a", 1), event("MODIFIED", "a", 2), event("DELETED", "a", 3)}), IsEmpty());
  EXPECT_THAT(left_of({event("DELETED", "a", 1), event("ADDED", "a", 2)}), ElementsAre("MODIFIED a@2"));
  EXPECT_THAT(left_of({event("ADDED", "a", 1), event("DELETED", "a", 2), event("ADDED", "a", 3)}),
              ElementsAre("ADDED a@3"));
}

TEST(PendingEvents, CountsWhatWillNeverBeSent) {
  PendingEvents pending;
  pending.told_complete();
  EXPECT_EQ(pending.push(event("ADDED", "a", 1)), 0u);
  EXPECT_EQ(pending.push(event("MODIFIED", "a", 2)), 1u);
  EXPECT_EQ(pending.push(event("DELETED", "a", 3)), 2u);
  EXPECT_TRUE(pending.empty());
}

TEST(PendingEvents, AnotherTypeIsMadeOnceForAllWhoLag) {
  const auto newest = event("MODIFIED", "a", 2);
  PendingEvents one;
  PendingEvents other;
  for (auto* pending : {&one, &other}) {
    (void)pending->push(event("ADDED", "a", 1));
    (void)pending->push(newest);
  }
  const auto first = one.pop().event;
  EXPECT_EQ(first, other.pop().event);
  EXPECT_TRUE(first->event.bytes.view().starts_with(R"({"type":"ADDED","object":{"kind":"Thing")"));
  EXPECT_NE(first->data_body.view().find(R"({\"type\":\"ADDED\")"), std::string_view::npos);
}

TEST(PendingEvents, OfBookmarksAndMarksTheNewestStays) {
  PendingEvents pending;
  (void)pending.push(event("BOOKMARK", "", 1));
  pending.push(Mark::status);
  pending.push(Mark::complete);
  (void)pending.push(event("ADDED", "a", 2));
  (void)pending.push(event("BOOKMARK", "", 2));
  pending.push(Mark::status);
  EXPECT_THAT(drain(pending), ElementsAre("COMPLETE", "ADDED a@2", "BOOKMARK @2", "STATUS"));
  pending.push(Mark::status);
  EXPECT_THAT(drain(pending), ElementsAre("STATUS"));
}

TEST(PendingEvents, TheBookmarkThatEndsTheInitialEventsStays) {
  ClusterMetrics counters;
  const auto end = publish(kube::make_bookmark_event("Thing", "v1", "2", true), {}, counters);
  PendingEvents pending;
  (void)pending.push(event("ADDED", "a", 2));
  (void)pending.push(end);
  pending.push(Mark::complete);
  (void)pending.push(event("BOOKMARK", "", 3));
  (void)pending.push(event("ADDED", "b", 4));
  (void)pending.push(event("BOOKMARK", "", 5));
  EXPECT_THAT(drain(pending), ElementsAre("ADDED a@2", "BOOKMARK @2", "COMPLETE", "ADDED b@4", "BOOKMARK @5"));
  (void)pending.push(end);
  (void)pending.push(event("BOOKMARK", "", 6));
  EXPECT_EQ(pending.pop().event, end);
  (void)pending.push(event("BOOKMARK", "", 7));
  EXPECT_THAT(drain(pending), ElementsAre("BOOKMARK @7"));
}

TEST(PendingEvents, A410ReplacesAllButDeletions) {
  PendingEvents pending;
  (void)pending.push(event("MODIFIED", "a", 1));
  (void)pending.push(event("DELETED", "b", 2));
  (void)pending.push(event("BOOKMARK", "", 2));
  pending.push(Mark::complete);
  (void)pending.push(gone());
  (void)pending.push(event("ADDED", "a", 3));
  (void)pending.push(event("ADDED", "c", 4));
  (void)pending.push(gone());
  (void)pending.push(event("ADDED", "c", 4));
  pending.push(Mark::complete);
  EXPECT_THAT(drain(pending), ElementsAre("DELETED b@2", "ERROR @", "ADDED c@4", "COMPLETE"));
}

// Readers that come with an old version, or ignore a 410, may know what initial data calls ADDED.
TEST(PendingEvents, UntilCompleteADeletionIsAlwaysTold) {
  PendingEvents pending;
  (void)pending.push(event("ADDED", "a", 1));
  (void)pending.push(event("DELETED", "a", 2));
  EXPECT_THAT(drain(pending), ElementsAre("DELETED a@2"));
  EXPECT_THAT(left_of({gone(), event("ADDED", "a", 1), event("DELETED", "a", 2)}),
              ElementsAre("ERROR @", "DELETED a@2"));
  pending.push(Mark::complete);
  (void)pending.push(event("ADDED", "b", 3));
  (void)pending.push(event("DELETED", "b", 4));
  EXPECT_THAT(drain(pending), ElementsAre("COMPLETE"));
}

TEST(PendingEvents, CompleteDoesNotOvertakeWhatItCompletes) {
  PendingEvents pending;
  (void)pending.push(event("ADDED", "a", 1));
  (void)pending.push(event("ADDED", "b", 2));
  pending.push(Mark::complete);
  (void)pending.push(event("MODIFIED", "a", 3));
  (void)pending.push(event("DELETED", "b", 4));
  (void)pending.push(event("MODIFIED", "a", 5));
  EXPECT_THAT(drain(pending), ElementsAre("ADDED a@1", "ADDED b@2", "COMPLETE", "DELETED b@4", "MODIFIED a@5"));
}

TEST(PendingEvents, AStatusOutlivesA410AndRepeatedOnesDoNotPileUp) {
  PendingEvents pending;
  pending.push(Mark::status);
  for (std::uint64_t version = 1; version < 20; version += 2) {
    (void)pending.push(gone());
    (void)pending.push(event("ADDED", "a", version));
    pending.push(Mark::complete);
    (void)pending.push(event("DELETED", "a", version + 1));
  }
  (void)pending.push(gone());
  EXPECT_THAT(drain(pending), ElementsAre("STATUS", "DELETED a@20", "ERROR @"));
}

TEST(PendingEvents, ATablesColumnsGoOverToTheNextRow) {
  const auto row = [](std::string_view type, std::string_view name, int version, std::string_view columns) {
    std::string text = R"({"type":")";
    text.append(type).append(R"(","object":{"kind":"Table","columnDefinitions":)").append(columns);
    text.append(R"(,"rows":[{"object":{"metadata":{"name":")").append(name).append(R"(","uid":"u-)").append(name);
    text.append(R"(","resourceVersion":")").append(std::to_string(version)).append(R"("}}}]}})");
    return published(kube::parse_watch_event(SharedBytes(std::move(text))).value());
  };
  const std::string_view columns = R"([{"name":"Name"}])";
  PendingEvents pending;
  pending.told_complete();
  (void)pending.push(row("ADDED", "a", 1, columns));
  (void)pending.push(row("MODIFIED", "a", 2, "null"));  // in its place
  auto told = pending.pop().event;
  EXPECT_TRUE(told->event.has_columns);
  EXPECT_NE(told->data_body.view().find(R"(\"columnDefinitions\":[{\"name\")"), std::string_view::npos);
  (void)pending.push(row("ADDED", "b", 3, columns));
  (void)pending.push(row("DELETED", "b", 4, "null"));  // both are nothing
  (void)pending.push(row("ADDED", "c", 5, columns));
  (void)pending.push(gone());
  (void)pending.push(row("ADDED", "d", 6, "null"));
  (void)pending.push(row("ADDED", "e", 7, "null"));
  EXPECT_EQ(pending.pop().event->event.type, kube::WatchEvent::Type::error);
  EXPECT_TRUE(pending.pop().event->event.has_columns);
  EXPECT_FALSE(pending.pop().event->event.has_columns);
}

// A list changes at random, its reader stalls and reads at random: what it is told stays true to what it knows, and
// whenever its link breaks, its last version is one to resume from.
class RandomReader {
 public:
  explicit RandomReader(std::uint64_t seed) : random_(seed) { pending_.push(Mark::complete); }

  void run() {
    for (int step = 0; step < 400; ++step) {
      if (pick(3) != 0) change();
      if (pick(20) == 0) push_bookmark();
      if (pick(60) == 0) start_anew();
      ASSERT_LE(pending_.size(), bound());
      if (pick(4) == 0) read(pick(6));
      ASSERT_TRUE(resumable());
    }
    read(pending_.size());
    EXPECT_EQ(known_, now_);
  }

 private:
  using State = std::map<std::string, std::uint64_t>;

  std::size_t pick(std::size_t below) { return std::uniform_int_distribution<std::size_t>(0, below - 1)(random_); }

  void change() {
    const std::string name(1, static_cast<char>('a' + pick(8)));
    const bool exists = now_.contains(name);
    ++version_;
    if (exists && pick(3) == 0) {
      now_.erase(name);
      last_change_[name] = version_;
      (void)pending_.push(event("DELETED", name, version_));
      return;
    }
    now_[name] = last_change_[name] = version_;
    (void)pending_.push(event(exists ? "MODIFIED" : "ADDED", name, version_));
  }
  void push_bookmark() { (void)pending_.push(event("BOOKMARK", "", ++version_)); }
  // What the hub gives whose version is too old: 410, then every object.
  void start_anew() {
    (void)pending_.push(gone());
    anew_ = true;
    State again = now_;
    for (const auto& [name, version] : again) (void)pending_.push(event("ADDED", name, version));
    completes_.push_back(std::move(again));
    pending_.push(Mark::complete);
  }

  void read(std::size_t count) {
    for (; count > 0 && !pending_.empty(); --count) {
      const auto item = pending_.pop();
      if (item.event != nullptr) {
        take(item.event->event);
      } else if (!completes_.empty()) {
        EXPECT_EQ(known_, completes_.back()) << "the initial data is whole";
        completes_.clear();
      }
    }
  }
  void take(const kube::WatchEvent& told) {
    using Type = kube::WatchEvent::Type;
    if (told.type == Type::error) {
      known_.clear();
      last_read_ = 0;
      anew_ = false;
      started_anew_ = true;
      return;
    }
    const auto version = kube::parse_resource_version(told.resource_version).value_or(0);
    last_read_ = std::max(last_read_, version);
    if (!told.changes_an_object()) return;
    const bool had = known_.contains(std::string(told.name));
    if (!started_anew_ && !anew_) {
      EXPECT_EQ(had, told.type != Type::added) << told.name << "@" << version;
      EXPECT_GE(version, last_read_) << "out of stream order";
    }
    if (told.type == Type::deleted) {
      known_.erase(std::string(told.name));
    } else {
      EXPECT_TRUE(!had || known_[std::string(told.name)] < version || started_anew_);
      known_[std::string(told.name)] = version;
    }
  }

  // Whoever comes back with the last version read is given every later change: what it does not know is later.
  [[nodiscard]] bool resumable() const {
    if (anew_ || started_anew_) return true;  // its versions are not ascending until the state has been told
    for (const auto& [name, changed] : last_change_) {
      const auto known = known_.find(name);
      const auto now = now_.find(name);
      const bool same =
          (known == known_.end()) == (now == now_.end()) && (known == known_.end() || known->second == now->second);
      if (!same && changed <= last_read_) return false;
    }
    return true;
  }

  [[nodiscard]] std::size_t bound() const { return 3 * 8 + 3; }  // objects, a bookmark, COMPLETE and a 410

  std::mt19937_64 random_;
  std::uint64_t version_ = 0;
  State now_;
  State last_change_;
  PendingEvents pending_;
  State known_;
  std::vector<State> completes_;  // what the COMPLETEs that wait complete
  std::uint64_t last_read_ = 0;
  bool anew_ = false;
  bool started_anew_ = false;
};

TEST(PendingEvents, ARandomReaderEndsWithTheTruth) {
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    SCOPED_TRACE(seed);
    RandomReader(seed).run();
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace fresnel::hub

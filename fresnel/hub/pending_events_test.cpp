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
  return std::string(to_string(event.type)) + " " + event.name + "@" + event.resource_version;
}

std::vector<std::string> drain(PendingEvents& pending) {
  std::vector<std::string> all;
  while (!pending.empty()) all.push_back(told(pending.pop()));
  return all;
}

// What is left of these events.
std::vector<std::string> left_of(const std::vector<EventPtr>& events) {
  PendingEvents pending;
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

// Readers that ignore a 410 keep what they had.
TEST(PendingEvents, AfterA410ADeletionIsAlwaysTold) {
  EXPECT_THAT(left_of({gone(), event("ADDED", "a", 1), event("DELETED", "a", 2)}),
              ElementsAre("ERROR @", "DELETED a@2"));
  PendingEvents pending;
  pending.told_gone();
  (void)pending.push(event("ADDED", "a", 1));
  (void)pending.push(event("DELETED", "a", 2));
  EXPECT_THAT(drain(pending), ElementsAre("DELETED a@2"));
}

// A list changes at random, its reader stalls and reads at random: what it is told stays true to what it knows, and
// whenever its link breaks, its last version is one to resume from.
class RandomReader {
 public:
  explicit RandomReader(std::uint64_t seed) : random_(seed) {}

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
  }

  void read(std::size_t count) {
    for (; count > 0 && !pending_.empty(); --count) take(pending_.pop().event->event);
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
    const bool had = known_.contains(told.name);
    if (!started_anew_ && !anew_) {
      EXPECT_EQ(had, told.type != Type::added) << told.name << "@" << version;
      EXPECT_GE(version, last_read_) << "out of stream order";
    }
    if (told.type == Type::deleted) {
      known_.erase(told.name);
    } else {
      EXPECT_TRUE(!had || known_[told.name] < version || started_anew_);
      known_[told.name] = version;
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

  [[nodiscard]] std::size_t bound() const { return 8 + 2; }  // objects, a bookmark and a 410

  std::mt19937_64 random_;
  std::uint64_t version_ = 0;
  State now_;
  State last_change_;
  PendingEvents pending_;
  State known_;
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

#include "fresnel/kube/entry_order.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <random>

namespace fresnel::kube {
namespace {

using testing::ElementsAre;

struct Entry {
  int number = 0;
  std::size_t place = 0;
};

class EntryOrderTest : public testing::Test {
 protected:
  Entry& append(int number) {
    entries_.push_back({number});
    order_.append(entries_.back());
    return entries_.back();
  }
  [[nodiscard]] std::vector<int> numbers() const {
    std::vector<int> all;
    order_.for_each([&all](const Entry& entry) { all.push_back(entry.number); });
    return all;
  }
  void sort() {
    order_.sort([this](const Entry& a, const Entry& b) {
      ++comparisons_;
      return a.number < b.number;
    });
  }

  std::list<Entry> entries_;
  EntryOrder<Entry> order_;
  std::uint64_t comparisons_ = 0;
};

TEST_F(EntryOrderTest, RemovingKeepsTheOthersOrder) {
  append(3);
  const Entry& gone = append(1);
  append(2);
  order_.remove(gone);
  EXPECT_THAT(numbers(), ElementsAre(3, 2));
  EXPECT_EQ(order_.size(), 2u);
  append(1);
  EXPECT_THAT(numbers(), ElementsAre(3, 2, 1));
}

TEST_F(EntryOrderTest, SortsWhatIsNewIntoTheRest) {
  for (const int number : {5, 1, 3}) append(number);
  sort();
  EXPECT_THAT(numbers(), ElementsAre(1, 3, 5));
  append(4);
  append(0);
  append(9);
  EXPECT_THAT(numbers(), ElementsAre(1, 3, 5, 4, 0, 9));  // until sorted, in order of arrival
  sort();
  EXPECT_THAT(numbers(), ElementsAre(0, 1, 3, 4, 5, 9));
}

// Counted, not timed: an order that closed each hole at once would move 500,000,000 entries here.
TEST_F(EntryOrderTest, RemovingCostsOneMoveAnEntryAmortised) {
  constexpr std::uint64_t kEntries = 100'000;
  for (std::uint64_t i = 0; i < kEntries; ++i) append(static_cast<int>(i));
  std::uint64_t removed = 0;
  std::minstd_rand random(1);
  std::vector<Entry*> alive;
  for (auto& entry : entries_) alive.push_back(&entry);
  std::shuffle(alive.begin(), alive.end(), random);
  for (; alive.size() > 10; alive.pop_back(), ++removed) {
    order_.remove(*alive.back());
    EXPECT_LE(order_.moves(), removed + 1);
    EXPECT_LE(order_.places(), 2 * order_.size() + 17);
  }
  EXPECT_EQ(order_.size(), 10u);
}

// A window that slides: as much comes as goes, and the places are reused.
TEST_F(EntryOrderTest, PlacesAreBoundedByTheEntries) {
  std::vector<Entry*> window;
  for (int i = 0; i < 20'000; ++i) {
    window.push_back(&append(i));
    if (i >= 100) order_.remove(*window[static_cast<std::size_t>(i - 100)]);
    EXPECT_LE(order_.places(), 2 * order_.size() + 17);
  }
  EXPECT_LE(order_.moves(), 20'000u);
}

TEST_F(EntryOrderTest, SortingAFewNewEntriesComparesFew) {
  for (int i = 0; i < 10'000; ++i) append(2 * i);
  sort();
  comparisons_ = 0;
  append(7001);
  sort();
  EXPECT_LE(comparisons_, 15u);
  comparisons_ = 0;
  sort();
  order_.remove(entries_.front());
  sort();
  EXPECT_EQ(comparisons_, 0u);
}

TEST_F(EntryOrderTest, IsAPlainVectorToWhoLooks) {
  std::minstd_rand random(7);
  std::vector<Entry*> plain;
  for (int step = 0; step < 20'000; ++step) {
    const auto choice = random() % 100;
    if (choice < 52 || plain.empty()) {
      plain.push_back(&append(static_cast<int>(random() % 1'000'000'000)));
    } else if (choice < 99) {
      const auto at = plain.begin() + static_cast<std::ptrdiff_t>(random() % plain.size());
      order_.remove(**at);
      plain.erase(at);
    } else {
      sort();
      std::sort(plain.begin(), plain.end(), [](const Entry* a, const Entry* b) { return a->number < b->number; });
    }
    if (step % 97 != 0) continue;
    std::vector<int> expected;
    for (const Entry* entry : plain) expected.push_back(entry->number);
    ASSERT_EQ(numbers(), expected) << "step " << step;
  }
}

}  // namespace
}  // namespace fresnel::kube

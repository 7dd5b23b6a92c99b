#include "fresnel/cli/table_model.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fresnel::cli {
namespace {

using testing::ElementsAre;

constexpr WallTime kWall{std::chrono::seconds(1'000'000)};

kube::WatchEvent row(
    const std::string& type, const std::string& ns, const std::string& name, const std::string& status,
    const std::string& columns = R"([{"name":"Name"},{"name":"Status"},{"name":"Node","priority":1}])") {
  const std::string text = R"({"type":")" + type + R"(","object":{"kind":"Table","columnDefinitions":)" + columns +
                           R"(,"rows":[{"cells":[")" + name + R"(",")" + status +
                           R"(","n1"],"object":{"metadata":{"name":")" + name + R"(","namespace":")" + ns +
                           R"(","uid":"u-)" + name + R"("}}}]}})";
  return kube::parse_watch_event(SharedBytes(text)).value();
}

class TableModelTest : public testing::Test {
 protected:
  void apply(const std::string& cluster, const kube::WatchEvent& event) { model_.apply(cluster, event, now_, kWall); }

  // "cluster/namespace/name:change" of every row, in order.
  std::vector<std::string> rows() const {
    static const char* const kChanges[] = {"", "+", "~", "-"};
    std::vector<std::string> all;
    for (const auto& [key, row] : model_.rows()) {
      all.push_back(row.cluster + "/" + row.namespace_ + "/" + row.cells.at(0) +
                    kChanges[static_cast<std::size_t>(row.change)]);
    }
    return all;
  }

  TimePoint now_{std::chrono::hours(1)};
  TableModel model_{{"a", "b"}, {}};
};

TEST_F(TableModelTest, SortsByNamespaceNameAndCluster) {
  apply("b", row("ADDED", "shop", "web", "Running"));
  apply("a", row("ADDED", "shop", "web", "Running"));
  apply("a", row("ADDED", "shop", "db", "Running"));
  apply("b", row("ADDED", "kube", "z", "Running"));
  EXPECT_THAT(rows(), ElementsAre("b/kube/z", "a/shop/db", "a/shop/web", "b/shop/web"));
  EXPECT_EQ(model_.objects(), 4u);
  EXPECT_EQ(model_.clusters()[0].objects, 2u);
}

TEST_F(TableModelTest, HighlightsOnlyWhatHappensAfterTheExistingObjects) {
  apply("a", row("ADDED", "s", "old", "Running"));
  model_.synced("a");
  EXPECT_THAT(rows(), ElementsAre("a/s/old"));
  EXPECT_EQ(model_.events_per_second(now_), 0.0);

  apply("a", row("MODIFIED", "s", "old", "Failed"));
  apply("a", row("ADDED", "s", "new", "Pending"));
  EXPECT_THAT(rows(), ElementsAre("a/s/new+", "a/s/old~"));
  EXPECT_EQ(model_.rows().rbegin()->second.cells[1], "Failed");
  EXPECT_GT(model_.events_per_second(now_), 0.0);
  EXPECT_EQ(model_.clusters()[0].last_event, now_);
}

TEST_F(TableModelTest, HighlightsEndAfterTwoSeconds) {
  model_.synced("a");
  apply("a", row("ADDED", "s", "one", "Pending"));
  now_ += seconds(1);
  apply("a", row("MODIFIED", "s", "one", "Running"));  // starts its highlight anew
  now_ += seconds(1);
  EXPECT_FALSE(model_.expire(now_));
  EXPECT_THAT(rows(), ElementsAre("a/s/one~"));
  now_ += seconds(1);
  EXPECT_TRUE(model_.expire(now_));
  EXPECT_FALSE(model_.expire(now_));
  EXPECT_THAT(rows(), ElementsAre("a/s/one"));
}

TEST_F(TableModelTest, ADeletedRowStaysForAWhileButIsNoObject) {
  apply("a", row("ADDED", "s", "one", "Running"));
  model_.synced("a");
  apply("a", row("DELETED", "s", "one", "Running"));
  EXPECT_THAT(rows(), ElementsAre("a/s/one-"));
  EXPECT_EQ(model_.objects(), 0u);
  apply("a", row("DELETED", "s", "one", "Running"));
  EXPECT_EQ(model_.objects(), 0u);
  now_ += seconds(2);
  model_.expire(now_);
  EXPECT_TRUE(model_.rows().empty());
}

TEST_F(TableModelTest, ARowThatComesBackIsNotDroppedWithItsPredecessor) {
  apply("a", row("ADDED", "s", "one", "Running"));
  model_.synced("a");
  apply("a", row("DELETED", "s", "one", "Running"));
  now_ += seconds(1);
  apply("a", row("ADDED", "s", "one", "Pending"));
  EXPECT_EQ(model_.objects(), 1u);
  now_ += seconds(1);
  model_.expire(now_);
  EXPECT_THAT(rows(), ElementsAre("a/s/one+"));
}

TEST_F(TableModelTest, AnObjectThatIsDeletedBeforeTheSyncLeavesNothing) {
  apply("a", row("ADDED", "s", "one", "Running"));
  apply("a", row("DELETED", "s", "one", "Running"));
  EXPECT_TRUE(model_.rows().empty());
  EXPECT_EQ(model_.objects(), 0u);
}

TEST_F(TableModelTest, WidthsOnlyGrow) {
  model_.synced("a");
  apply("a", row("ADDED", "a-namespace", "a-long-name", "ContainerCreating"));
  apply("a", row("MODIFIED", "a-namespace", "a-long-name", "Ok"));
  EXPECT_THAT(model_.widths().cells, ElementsAre(11u, 17u, 2u));
  EXPECT_EQ(model_.widths().namespace_, 11u);
  EXPECT_EQ(model_.widths().cluster, 1u);
}

TEST_F(TableModelTest, ColumnsComeWithTheFirstEventAndStay) {
  apply("a", row("ADDED", "s", "one", "Running"));
  apply("a", row("ADDED", "s", "two", "Failed", "null"));
  EXPECT_THAT(model_.shown(), ElementsAre(0u, 1u));
  EXPECT_EQ(model_.columns().size(), 3u);
  EXPECT_EQ(model_.rows().rbegin()->second.cells[1], "Failed");
}

TEST_F(TableModelTest, ClustersMayHaveDifferentColumns) {
  apply("a", row("ADDED", "s", "one", "Running"));
  apply("b", row("ADDED", "s", "two", "x", R"([{"name":"Name"},{"name":"Ready"}])"));
  EXPECT_EQ(model_.columns().size(), 4u);
  EXPECT_THAT(model_.rows().rbegin()->second.cells, ElementsAre("two", "", "", "x"));
}

TEST_F(TableModelTest, IgnoresWhatIsNoChangeOfAKnownCluster) {
  apply("x", row("ADDED", "s", "one", "Running"));
  apply("a", row("BOOKMARK", "s", "one", "Running"));
  EXPECT_TRUE(model_.rows().empty());
}

TEST_F(TableModelTest, ShowsEachClustersState) {
  model_.set_state("b", LinkState::reconnecting, Error{Errc::closed, "connection\x1b reset"});
  EXPECT_EQ(model_.clusters()[1].state, LinkState::reconnecting);
  EXPECT_EQ(model_.clusters()[1].error, "connection^[ reset");
  model_.set_state("b", LinkState::live, {});
  EXPECT_EQ(model_.clusters()[1].error, "");
}

}  // namespace
}  // namespace fresnel::cli

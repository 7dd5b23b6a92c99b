#include "fresnel/cli/table_render.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>

namespace fresnel::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr WallTime kWall{std::chrono::seconds(1'000'000)};
constexpr TimePoint kNow{std::chrono::hours(1)};

kube::WatchEvent row(const std::string& type, const std::string& name, const std::string& status) {
  const std::string text =
      R"({"type":")" + type +
      R"(","object":{"kind":"Table","columnDefinitions":[{"name":"Name"},{"name":"Status"},{"name":"Age"}],"rows":[{"cells":[")" +
      name + R"(",")" + status + R"(","1s"],"object":{"metadata":{"name":")" + name +
      R"(","namespace":"shop","uid":"u-)" + name + R"(","creationTimestamp":"1970-01-12T13:46:30Z"}}}]}})";
  return kube::parse_watch_event(SharedBytes(text)).value();
}

// What the terminal shows: the frame's lines without escape sequences and trailing spaces.
std::vector<std::string> screen(const Frame& frame) {
  std::string text = std::regex_replace(frame.text, std::regex("\x1b\\[[0-9;?]*[A-Za-z]"), "");
  std::vector<std::string> lines;
  std::size_t begin = 0;
  while (begin <= text.size()) {
    const auto end = std::min(text.find("\r\n", begin), text.size());
    std::string line = text.substr(begin, end - begin);
    line.erase(line.find_last_not_of(' ') + 1);
    lines.push_back(std::move(line));
    begin = end + 2;
  }
  return lines;
}

class RenderTest : public testing::Test {
 protected:
  RenderTest() {
    view_.title = "pods";
    view_.show_cluster = true;
    view_.show_namespace = true;
    view_.columns = 100;
    view_.lines = 20;
    view_.now = kNow;
    view_.wall = kWall;
  }
  void apply(const std::string& cluster, const kube::WatchEvent& event) { model_.apply(cluster, event, kNow, kWall); }
  void fill(int rows) {
    for (int i = 0; i < rows; ++i) apply("a", row("ADDED", "pod-" + std::to_string(100 + i), "Running"));
    model_.synced("a");
  }

  TableModel model_{{"a", "kind-b"}, {}};
  View view_;
};

TEST_F(RenderTest, ShowsTitleClustersRowsAndFooter) {
  apply("a", row("ADDED", "web", "Running"));
  model_.synced("a");
  apply("a", row("ADDED", "db", "ContainerCreating"));
  model_.set_state("a", LinkState::live, {});
  model_.set_state("kind-b", LinkState::failed, Error{Errc::connect_failed, "connection refused"});
  const auto lines = screen(render(model_, view_));
  ASSERT_EQ(lines.size(), 20u);
  EXPECT_EQ(lines[0], "pods · 2 clusters · 2 objects · 0.2 events/s");
  EXPECT_EQ(lines[1], "● a        live           2 objects       0.2 events/s     last event 0s ago");
  EXPECT_EQ(lines[2], "● kind-b   failed         0 objects       0.0 events/s     connection refused");
  EXPECT_EQ(lines[3], "");
  EXPECT_EQ(lines[4], "  CLUSTER   NAMESPACE   NAME   STATUS              AGE");
  EXPECT_EQ(lines[5], "+ a         shop        db     ContainerCreating   10s");
  EXPECT_EQ(lines[6], "  a         shop        web    Running             10s");
  EXPECT_EQ(lines[19], "q quits");
}

TEST_F(RenderTest, AgesGrowWithoutEvents) {
  fill(1);
  view_.wall += std::chrono::seconds(50);
  EXPECT_THAT(screen(render(model_, view_))[5], HasSubstr("60s"));
  view_.wall += std::chrono::hours(1);
  EXPECT_THAT(screen(render(model_, view_))[5], HasSubstr("61m"));
}

TEST_F(RenderTest, ScrollsAndStopsAtTheLastPage) {
  fill(50);
  auto frame = render(model_, view_);
  EXPECT_EQ(frame.page, 14u);
  EXPECT_THAT(screen(frame)[5], HasSubstr("pod-100"));
  EXPECT_EQ(screen(frame)[19], "rows 1-14 of 50 · arrows, j/k, PgUp/PgDn scroll · q quits");
  view_.first_row = 10;
  EXPECT_THAT(screen(render(model_, view_))[5], HasSubstr("pod-110"));
  view_.first_row = 1000;
  frame = render(model_, view_);
  EXPECT_EQ(frame.first_row, 36u);
  EXPECT_THAT(screen(frame)[18], HasSubstr("pod-149"));
}

TEST_F(RenderTest, NeverExceedsTheTerminal) {
  fill(30);
  model_.set_state("kind-b", LinkState::failed, Error{Errc::connect_failed, std::string(500, 'x')});
  view_.hints = {"a hint that is rather long", "another"};
  for (const std::size_t columns : {1u, 5u, 20u, 43u, 200u}) {
    for (const std::size_t lines : {6u, 10u, 15u, 60u}) {
      view_.columns = columns;
      view_.lines = lines;
      const auto shown = screen(render(model_, view_));
      EXPECT_LE(shown.size(), lines);
      for (const auto& line : shown) EXPECT_LE(display_width(line), columns);
    }
  }
}

TEST_F(RenderTest, AFullLineIsNotErasedAtItsEnd) {
  fill(1);
  view_.columns = 10;
  EXPECT_THAT(render(model_, view_).text, Not(HasSubstr("pods · 2 c\x1b[K")));
  EXPECT_THAT(render(model_, view_).text, HasSubstr("pods · 2 c\r\n"));
}

TEST_F(RenderTest, ColoursAreOptional) {
  fill(1);
  apply("a", row("MODIFIED", "pod-100", "Failed"));
  EXPECT_THAT(render(model_, view_).text, Not(HasSubstr("m~ ")));
  EXPECT_THAT(screen(render(model_, view_))[5], HasSubstr("~ a"));
  view_.colour = true;
  EXPECT_THAT(render(model_, view_).text, HasSubstr("\x1b[1;33m~ a"));
}

TEST_F(RenderTest, HintsStandAboveTheFooterWhenThereIsRoom) {
  view_.hints = {"try: fresnel get pods"};
  EXPECT_EQ(screen(render(model_, view_))[18], "try: fresnel get pods");
  view_.lines = 8;
  for (const auto& line : screen(render(model_, view_))) EXPECT_THAT(line, Not(HasSubstr("try:")));
}

TEST_F(RenderTest, AnEmptyTableIsDrawnToo) {
  const auto frame = render(model_, view_);
  EXPECT_EQ(screen(frame).size(), 20u);
  EXPECT_EQ(frame.first_row, 0u);
}

}  // namespace
}  // namespace fresnel::cli

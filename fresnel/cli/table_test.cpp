#include "fresnel/cli/table.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fresnel::cli {
namespace {

using testing::ElementsAre;

constexpr WallTime kNow{std::chrono::seconds(1'000'000)};

TEST(ParseTable, ReadsColumnsCellsAndIdentity) {
  const auto table = parse_table(R"({"kind":"Table","columnDefinitions":[
      {"name":"Name","type":"string","priority":0},{"name":"Restarts","type":"integer","priority":0},
      {"name":"IP","type":"string","priority":1}],
    "rows":[{"cells":["web",3,null],"object":{"kind":"PartialObjectMetadata","metadata":{"name":"web","namespace":"shop",
      "uid":"u1","creationTimestamp":"1970-01-02T00:00:00Z"}}},{"cells":["db",true,1.5]}]})",
                                 kNow)
                         .value();
  ASSERT_EQ(table.columns.size(), 3u);
  EXPECT_EQ(table.columns[2].name, "IP");
  EXPECT_EQ(table.columns[2].priority, 1);
  ASSERT_EQ(table.rows.size(), 2u);
  EXPECT_THAT(table.rows[0].cells, ElementsAre("web", "3", ""));
  EXPECT_EQ(table.rows[0].uid, "u1");
  EXPECT_EQ(table.rows[0].namespace_, "shop");
  EXPECT_EQ(table.rows[0].name, "web");
  EXPECT_EQ(table.rows[0].created, WallTime(std::chrono::hours(24)));
  EXPECT_THAT(table.rows[1].cells, ElementsAre("db", "true", "1.5"));
}

TEST(ParseTable, ObjectsAreATableOfNameAndAge) {
  const auto list = parse_table(R"({"kind":"PodList","items":[
      {"metadata":{"name":"a","uid":"u","creationTimestamp":"1970-01-12T13:46:30Z"}},{"metadata":{"name":"b"}}]})",
                                kNow)
                        .value();
  ASSERT_EQ(list.columns.size(), 2u);
  EXPECT_THAT(list.rows.at(0).cells, ElementsAre("a", "10s"));
  EXPECT_THAT(list.rows.at(1).cells, ElementsAre("b", "<unknown>"));
  const auto object = parse_table(R"({"kind":"Pod","metadata":{"name":"c","uid":"u"}})", kNow).value();
  EXPECT_THAT(object.rows.at(0).cells, ElementsAre("c", "<unknown>"));
}

TEST(ParseTable, RefusesTheRest) {
  for (const char* text : {"", "[]", "{", "5", R"({"kind":"Nothing"})"}) {
    EXPECT_EQ(parse_table(text, kNow).error().code, Errc::protocol) << text;
  }
}

TEST(ShownColumns, PriorityIsForWideOutput) {
  const std::vector<TableColumn> columns = {{"Name"}, {"IP", 1}, {"Age"}};
  EXPECT_THAT(shown_columns(columns, false), ElementsAre(0u, 2u));
  EXPECT_THAT(shown_columns(columns, true), ElementsAre(0u, 1u, 2u));
}

TEST(ColumnUnion, TablesOfDifferentColumnsShareOneSet) {
  ColumnUnion all;
  const auto first = all.add({{"Name"}, {"Age"}});
  const auto second = all.add({{"Name"}, {"Ready"}, {"Age"}});
  ASSERT_EQ(all.columns().size(), 3u);
  EXPECT_EQ(all.columns()[2].name, "Ready");
  EXPECT_THAT(all.spread({"a", "1m"}, first), ElementsAre("a", "1m", ""));
  EXPECT_THAT(all.spread({"b", "1/1", "2m"}, second), ElementsAre("b", "2m", "1/1"));
  EXPECT_THAT(all.spread({"c", "1/1", "2m", "surplus"}, second), ElementsAre("c", "2m", "1/1"));
}

TEST(Printable, NothingReachesTheTerminalButText) {
  EXPECT_EQ(printable("plain é ✓"), "plain é ✓");
  EXPECT_EQ(printable("a\x1b[31mb"), "a^[[31mb");
  EXPECT_EQ(printable("a\tb\x7f"), "a b ");
  EXPECT_EQ(printable("a\xc2\x9b"
                      "b"),
            "a b");
  EXPECT_EQ(printable("first\nsecond"), "first...");
}

TEST(DisplayWidth, CountsCodePoints) { EXPECT_EQ(display_width("é✓a"), 3u); }

}  // namespace
}  // namespace fresnel::cli

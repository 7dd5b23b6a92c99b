#include "fresnel/kube/watch_event.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "fresnel/kube/list_page.hpp"
#include "fresnel/kube/watch_decoder.hpp"

namespace fresnel::kube {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::Gt;
using ::testing::Lt;

using Type = WatchEvent::Type;

constexpr std::string_view kPod =
    R"({"type":"MODIFIED","object":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web-0","namespace":"shop",)"
    R"("uid":"u-1","resourceVersion":"42","labels":{"uid":"no","name":"no"}},"spec":{"name":"no"}}})";
constexpr std::string_view kRow =
    R"({"type":"ADDED","object":{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"7"},)"
    R"("columnDefinitions":null,"rows":[{"cells":["a"],"object":{"kind":"PartialObjectMetadata","metadata":)"
    R"({"name":"web-0","uid":"u-1","resourceVersion":"42"}}}]}})";

WatchEvent parse(std::string_view text) { return parse_watch_event(SharedBytes(text)).value(); }

TEST(WatchEvent, ExtractsTheObjectsIdentityOnly) {
  const auto event = parse(kPod);
  EXPECT_EQ(event.type, Type::modified);
  EXPECT_EQ(event.uid, "u-1");
  EXPECT_EQ(event.namespace_, "shop");
  EXPECT_EQ(event.name, "web-0");
  EXPECT_EQ(event.resource_version, "42");
  EXPECT_TRUE(event.object_view().starts_with(R"({"kind":"Pod")"));
  EXPECT_TRUE(event.object_view().ends_with("}}"));
}

TEST(WatchEvent, PaddedTextIsParsedInPlaceAlike) {
  std::string text(kPod);
  text.reserve(text.size() + kParserPadding);
  const auto event = parse_watch_event(SharedBytes(std::move(text))).value();
  EXPECT_EQ(event.uid, "u-1");
  EXPECT_EQ(event.resource_version, "42");
}

TEST(WatchEvent, ATableIsKnownByItsRow) {
  const auto event = parse(kRow);
  EXPECT_TRUE(event.is_table);
  EXPECT_FALSE(event.has_columns);
  EXPECT_EQ(event.uid, "u-1");
  EXPECT_EQ(event.resource_version, "42");
}

TEST(WatchEvent, ColumnsReplaceNullAndAreNotPutTwice) {
  const auto event = with_columns(parse(kRow), R"([{"name":"Name"}])");
  EXPECT_TRUE(event.has_columns);
  EXPECT_EQ(event.uid, "u-1");
  EXPECT_EQ(with_columns(event, R"([{"name":"Other"}])").bytes.view(), event.bytes.view());
}

TEST(WatchEvent, ColumnsAreTakenOut) {
  const auto bare = parse(kRow);
  const auto event = without_columns(with_columns(bare, R"([{"name":"Name"}])"));
  EXPECT_FALSE(event.has_columns);
  EXPECT_EQ(event.bytes.view(), bare.bytes.view());
  EXPECT_EQ(without_columns(bare).bytes.view(), bare.bytes.view());
}

TEST(WatchEvent, ColumnsAreAddedWhereTheFieldIsAbsent) {
  const auto bare = parse(R"({"type":"ADDED","object":{"kind":"Table","rows":[{"object":{"metadata":{"uid":"u"}}}]}})");
  const auto event = with_columns(bare, R"([{"name":"Name"}])");
  EXPECT_EQ(event.bytes.view().substr(event.columns_place.offset, event.columns_place.size), R"([{"name":"Name"}])");
}

TEST(WatchEvent, AnErrorCarriesItsStatusCode) {
  const auto event = make_expired_event("too old resource version: 1 (9)");
  EXPECT_EQ(event.type, Type::error);
  EXPECT_EQ(event.status_code, 410);
  EXPECT_TRUE(event.resource_version.empty());
}

TEST(WatchEvent, ABookmarkIsMadeAsTheServerMakesIt) {
  const auto pod = make_bookmark_event("Pod", "v1", "7");
  EXPECT_EQ(pod.bytes.view(), R"({"type":"BOOKMARK","object":{"kind":"Pod","apiVersion":"v1",)"
                              R"("metadata":{"resourceVersion":"7","creationTimestamp":null}}})");
  EXPECT_EQ(pod.type, Type::bookmark);
  EXPECT_EQ(pod.resource_version, "7");
  const auto table = make_bookmark_event("Table", "meta.k8s.io/v1", "8");
  EXPECT_EQ(table.type, Type::bookmark);
  EXPECT_TRUE(table.is_table);
  EXPECT_FALSE(table.has_columns);
  EXPECT_EQ(table.resource_version, "8");
}

TEST(WatchEvent, ABookmarkThatEndsTheInitialEventsSaysSo) {
  const auto pod = make_bookmark_event("Pod", "v1", "7", true);
  EXPECT_EQ(pod.bytes.view(), R"({"type":"BOOKMARK","object":{"kind":"Pod","apiVersion":"v1",)"
                              R"("metadata":{"resourceVersion":"7","creationTimestamp":null,)"
                              R"("annotations":{"k8s.io/initial-events-end":"true"}}}})");
  EXPECT_EQ(pod.resource_version, "7");
  EXPECT_TRUE(pod.ends_initial);
  EXPECT_FALSE(make_bookmark_event("Pod", "v1", "7").ends_initial);
  const auto table = make_bookmark_event("Table", "meta.k8s.io/v1", "8", true);
  EXPECT_EQ(table.resource_version, "8");
  EXPECT_NE(table.bytes.view().find("initial-events-end"), std::string_view::npos);
}

TEST(WatchEvent, UnknownTypesAreValues) {
  EXPECT_EQ(parse(R"({"type":"PATCHED","object":{"metadata":{"uid":"u"}}})").type, Type::unknown);
  EXPECT_EQ(parse(R"({"object":{"metadata":{"uid":"u"}}})").type, Type::unknown);
}

TEST(WatchEvent, MalformedTextIsAnError) {
  for (const std::string_view text : {"", "{", "null", "[]", "{}", R"({"type":"ADDED"})",
                                      R"({"type":"ADDED","object":5})", R"({"type":"ADDED","object":{}})x",
        R"({"type":"ADDED","object":{"metadata":{"uid":"u"})",
                                      R"({"type":"ADDED","object":{"metadata":[}}})"}) {
    EXPECT_FALSE(parse_watch_event(SharedBytes(text)).has_value()) << text;
  }
}

// What stands behind the open bracket is not the object's any more, though its keys are found.
TEST(WatchEvent, BracketsThatDoNotMatchAreAnError) {
  EXPECT_FALSE(parse_watch_event(SharedBytes(std::string_view(
      R"({"type":"ADDED","object":{"kind":"Table","columnDefinitions":["a{n":"Name"}],"rows":[{"cells":["a"],)"
      R"("object":{"metadata":{"name":"a","uid":"u","resourceVersion":"6"}}}]}})"))));
}

TEST(WatchEvent, RewritesTypeAndVersion) {
  const auto event = with_type_and_version(parse(kPod), Type::deleted, "1234");
  EXPECT_EQ(event.type, Type::deleted);
  EXPECT_EQ(event.resource_version, "1234");
  EXPECT_EQ(event.uid, "u-1");
  EXPECT_NE(event.bytes.view().find(R"("resourceVersion":"1234")"), std::string_view::npos);
  const auto row = with_type_and_version(parse(kRow), Type::deleted, "50");
  EXPECT_EQ(row.resource_version, "50");
  EXPECT_EQ(row.type, Type::deleted);
}

TEST(WatchEvent, TheSameTypeSharesTheText) {
  const auto event = parse(kPod);
  EXPECT_EQ(with_type(event, Type::modified).bytes.view().data(), event.bytes.view().data());
}

// Where its fields are in its text; an absent one is nowhere.
std::vector<std::ptrdiff_t> places_of_fields(const WatchEvent& event) {
  std::vector<std::ptrdiff_t> places;
  for (const auto field : {event.uid, event.namespace_, event.name, event.resource_version}) {
    places.push_back(field.empty() ? -1 : field.data() - event.bytes.view().data());
  }
  return places;
}

TEST(WatchEvent, TheFieldsAreInItsOwnTextWhereverItWasParsed) {
  std::string roomy(kPod);
  roomy.reserve(roomy.size() + kParserPadding);
  const auto in_place = parse_watch_event(SharedBytes(std::move(roomy))).value();
  const auto from_a_copy = parse(kPod);
  EXPECT_EQ(places_of_fields(from_a_copy), places_of_fields(in_place));
  EXPECT_THAT(places_of_fields(in_place), Each(AllOf(Gt(0), Lt(std::ptrdiff_t(in_place.bytes.size())))));
}

TEST(WatchEvent, AnotherTypesPlacesAreWhereAParserFindsThem) {
  for (const std::string_view text : {std::string_view(kPod), std::string_view(kRow)}) {
    const auto made = with_type(parse(std::string(text)), Type::added);
    const auto parsed = parse(std::string(made.bytes.view()));
    EXPECT_EQ(made.type, parsed.type);
    EXPECT_EQ(made.object_view(), parsed.object_view());
    EXPECT_EQ(made.is_table, parsed.is_table);
    EXPECT_EQ(places_of_fields(made), places_of_fields(parsed));
    EXPECT_EQ(made.columns_place.offset, parsed.columns_place.offset);
    EXPECT_EQ(made.columns_place.size, parsed.columns_place.size);
  }
}

TEST(WatchEvent, ATextIsPaddedForTheParserWithoutMuchSlack) {
  const std::string exact(5000, 'x');
  const auto grown = padded_for_parser(exact);
  EXPECT_EQ(grown, exact);
  EXPECT_GE(grown.capacity(), exact.size() + kParserPadding);
  EXPECT_LT(grown.capacity(), exact.size() + 2 * kParserPadding);
  std::string roomy = exact;
  roomy.reserve(20'000);
  EXPECT_LT(padded_for_parser(std::move(roomy)).capacity(), exact.size() + 2 * kParserPadding);
  std::string fitting;
  fitting.reserve(exact.size() + kParserPadding);
  fitting += exact;
  const char* bytes = fitting.data();
  EXPECT_EQ(padded_for_parser(std::move(fitting)).data(), bytes);
}

TEST(ResourceVersion, OnlyPositiveNumbersAreVersions) {
  EXPECT_EQ(parse_resource_version("215"), 215u);
  for (const std::string_view text : {"", "0", "undefined", "null", "-1", "12x", " 12", "99999999999999999999999"}) {
    EXPECT_FALSE(parse_resource_version(text).has_value()) << text;
  }
}

TEST(WatchDecoder, JoinsPiecesOfAnySize) {
  const std::string body = std::string(kPod) + "\n" + std::string(kRow) + "\r\n\n" + std::string(kPod) + "\n";
  for (std::size_t piece = 1; piece < body.size(); piece += 7) {
    WatchDecoder decoder;
    std::vector<WatchEvent> events;
    for (std::size_t at = 0; at < body.size(); at += piece) {
      ASSERT_TRUE(decoder.decode(std::string_view(body).substr(at, piece), events).has_value());
    }
    ASSERT_EQ(events.size(), 3u);
    EXPECT_EQ(events[0].bytes.view(), kPod);
    EXPECT_EQ(events[1].bytes.view(), kRow);
    EXPECT_FALSE(decoder.inside_a_line());
  }
}

TEST(WatchDecoder, EmptyLinesAndCrLfAreNoEvents) {
  WatchDecoder decoder;
  std::vector<WatchEvent> events;
  const std::string line = R"({"type":"ADDED","object":{"metadata":{"name":"a","uid":"u","resourceVersion":"3"}}})";
  ASSERT_TRUE(decoder.decode("\n\r\n" + line + "\r\n\n" + line + "\n\r", events));
  ASSERT_TRUE(decoder.decode("\n", events));
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].bytes.view(), line);
  EXPECT_EQ(events[1].bytes.view(), line);
}

TEST(WatchDecoder, AnObjectOf3MiBIsOneEvent) {
  const std::string object =
      R"({"metadata":{"name":"a","uid":"u","resourceVersion":"3"},"data":")" + std::string(3u << 20, 'x') + R"("})";
  const std::string line = R"({"type":"ADDED","object":)" + object + "}\n";
  WatchDecoder decoder;
  std::vector<WatchEvent> events;
  for (std::size_t at = 0; at < line.size(); at += 16'384) {
    ASSERT_TRUE(decoder.decode(std::string_view(line).substr(at, 16'384), events));
  }
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].object_view(), object);
}

TEST(WatchDecoder, ATruncatedLineIsNoEvent) {
  WatchDecoder decoder;
  std::vector<WatchEvent> events;
  ASSERT_TRUE(decoder.decode(kPod, events).has_value());
  EXPECT_TRUE(events.empty());
  EXPECT_TRUE(decoder.inside_a_line());
}

TEST(WatchDecoder, RefusesGarbageAndWhatIsTooLarge) {
  std::vector<WatchEvent> events;
  WatchDecoder decoder;
  EXPECT_EQ(decoder.decode("garbage\n", events).error().code, Errc::protocol);
  WatchDecoder small(64);
  EXPECT_EQ(small.decode(kPod, events).error().code, Errc::too_large);
  EXPECT_TRUE(events.empty());
}

TEST(ListPage, TypedItemsGetTheirKind) {
  const auto page =
      parse_list_page(R"({"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"9","continue":"t"},)"
                      R"("items":[{"metadata":{"name":"a","uid":"u","resourceVersion":"3"}}]})")
          .value();
  EXPECT_EQ(page.resource_version, "9");
  EXPECT_EQ(page.continue_token, "t");
  EXPECT_EQ(page.kind, "Pod");
  EXPECT_EQ(page.api_version, "v1");
  ASSERT_EQ(page.items.size(), 1u);
  EXPECT_EQ(
      page.items[0].bytes.view(),
      R"({"type":"ADDED","object":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","uid":"u","resourceVersion":"3"}}})");
}

TEST(ListPage, CustomResourcesKeepTheirsAndMayComeFirst) {
  const auto page =
      parse_list_page(R"({"apiVersion":"x.io/v1","items":[{"apiVersion":"x.io/v1","kind":"Gadget","metadata":)"
                      R"({"name":"a","uid":"u","resourceVersion":"3"}}],"kind":"GadgetList",)"
                      R"("metadata":{"resourceVersion":"9"}})")
          .value();
  ASSERT_EQ(page.items.size(), 1u);
  EXPECT_EQ(page.items[0].object_view(),
            R"({"apiVersion":"x.io/v1","kind":"Gadget","metadata":{"name":"a","uid":"u","resourceVersion":"3"}})");
}

TEST(ListPage, ATablesRowsBecomeEvents) {
  const auto page =
      parse_list_page(R"({"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"9"},)"
                      R"("columnDefinitions":[{"name":"Name"}],"rows":[{"cells":["a"],"object":{"metadata":)"
                      R"({"name":"a","uid":"u","resourceVersion":"3"}}}]})")
          .value();
  EXPECT_EQ(page.columns, R"([{"name":"Name"}])");
  EXPECT_EQ(page.kind, "Table");
  ASSERT_EQ(page.items.size(), 1u);
  EXPECT_EQ(page.items[0].uid, "u");
  EXPECT_TRUE(page.items[0].is_table);
}

TEST(ListPage, NullItemsAreAnEmptyListAndOtherKindsAreErrors) {
  EXPECT_TRUE(parse_list_page(R"({"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"9"},"items":null})")
                  .value()
                  .items.empty());
  EXPECT_FALSE(parse_list_page(R"({"kind":"Status","apiVersion":"v1","metadata":{}})").has_value());
  EXPECT_FALSE(parse_list_page("<html>").has_value());
}

}  // namespace
}  // namespace fresnel::kube

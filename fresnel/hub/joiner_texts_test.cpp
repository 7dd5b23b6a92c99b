#include "fresnel/hub/joiner_texts.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <string>
#include <vector>

namespace fresnel::hub {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

kube::WatchEvent event(std::string_view type, std::string_view name, std::uint64_t version) {
  const std::string text = R"({"type":")" + std::string(type) + R"(","object":{"metadata":{"name":")" +
                           std::string(name) + R"(","uid":"u-)" + std::string(name) + R"(","resourceVersion":")" +
                           std::to_string(version) + R"("}}})";
  return kube::parse_watch_event(SharedBytes(text)).value();
}

class JoinerTextsTest : public ::testing::Test {
 protected:
  static constexpr Forms kEscaped{.data_body = true};

  EventPtr deleted(std::string_view name, std::uint64_t version) {
    return publish(event("DELETED", name, version), {}, *metrics);
  }
  static std::vector<std::string> lines(const std::vector<EventPtr>& events) {
    std::vector<std::string> all;
    for (const auto& published : events) {
      all.push_back(std::string(to_string(published->event.type)) + " " + std::string(published->event.name) + "@" +
                    std::string(published->event.resource_version));
    }
    return all;
  }
  std::vector<std::string> difference(std::uint64_t version, std::vector<EventPtr> gone = {}) {
    return lines(texts->difference(objects, version, std::move(gone), kEscaped));
  }

  ManualClock clock;
  asio::io_context io;
  std::shared_ptr<ClusterMetrics> metrics = std::make_shared<ClusterMetrics>();
  std::shared_ptr<JoinerTexts> texts = std::make_shared<JoinerTexts>(io.get_executor(), clock, metrics);
  kube::ObjectIndex objects;
};

TEST_F(JoinerTextsTest, TheDifferenceHasTheNewestOfEachObjectAndWhatWasDeleted) {
  objects.apply(event("ADDED", "same", 4));
  objects.apply(event("MODIFIED", "a", 13));
  EXPECT_THAT(difference(10, {deleted("gone", 12), deleted("short", 15)}),
              ElementsAre("DELETED gone@12", "MODIFIED a@13", "DELETED short@15"));
  EXPECT_THAT(difference(13), IsEmpty());
}

// An object that leaves a selection and comes back keeps its uid.
TEST_F(JoinerTextsTest, WhatCameBackAfterItsDeletionIsToldLast) {
  objects.apply(event("ADDED", "a", 12));
  EXPECT_THAT(difference(10, {deleted("a", 11)}), ElementsAre("DELETED a@11", "MODIFIED a@12"));
}

TEST_F(JoinerTextsTest, EachTextIsMadeOnceForAllJoinersUntilItsObjectChanges) {
  objects.apply(event("ADDED", "a", 11));
  objects.apply(event("ADDED", "b", 12));
  for (int joiner = 0; joiner < 100; ++joiner) {
    EXPECT_THAT(difference(10), ElementsAre("MODIFIED a@11", "MODIFIED b@12"));
    EXPECT_THAT(lines(*texts->state(objects, kEscaped)), ElementsAre("ADDED a@11", "ADDED b@12"));
  }
  EXPECT_EQ(metrics->escaped, 4u) << "two objects, two types";
  objects.apply(event("MODIFIED", "a", 13));
  texts->objects_changed();
  EXPECT_THAT(difference(11), ElementsAre("MODIFIED b@12", "MODIFIED a@13"));
  EXPECT_THAT(lines(*texts->state(objects, kEscaped)), ElementsAre("ADDED b@12", "ADDED a@13"));
  EXPECT_EQ(metrics->escaped, 6u);
}

TEST_F(JoinerTextsTest, WhatWasMadeIsGivenUpASecondAfterTheLastJoiner) {
  objects.apply(event("ADDED", "a", 11));
  (void)difference(10);
  const std::weak_ptr<const std::vector<EventPtr>> state = texts->state(objects, kEscaped);
  clock.advance(milliseconds(900));
  (void)difference(10);
  clock.advance(milliseconds(900));
  io.poll();
  EXPECT_FALSE(state.expired());
  EXPECT_EQ(metrics->escaped, 2u);
  clock.advance(milliseconds(100));
  io.restart();
  io.poll();
  EXPECT_TRUE(state.expired());
  (void)difference(10);
  EXPECT_EQ(metrics->escaped, 3u);
}

}  // namespace
}  // namespace fresnel::hub

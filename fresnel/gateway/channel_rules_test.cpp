#include "fresnel/gateway/channel_rules.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fresnel::gateway {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ChannelRules, AreReadFromTheConfiguration) {
  const auto rules = parse_channel_rules(R"(
listen: 127.0.0.1:4466
channels:
  news:
    history-size: 100
    history-lifetime: 10m
    presence: true
    slow-consumer: conflate
    clients-publish: false
    publishers: [ada]
    subscribers: [ada, bob]
  "chat:*": {}
  plain:
)",
                                         "f.yaml")
                         .value();
  ASSERT_EQ(rules.size(), 3u);
  const auto news = channel_options(rules, "news").value();
  EXPECT_EQ(news.history_size, 100u);
  EXPECT_EQ(news.history_lifetime, seconds(600));
  EXPECT_TRUE(news.presence);
  EXPECT_EQ(news.slow_consumer, websocket::SlowConsumer::conflate);
  EXPECT_FALSE(news.clients_publish);
  EXPECT_THAT(news.publishers, ElementsAre("ada"));
  EXPECT_THAT(news.subscribers, ElementsAre("ada", "bob"));
  EXPECT_EQ(channel_options(rules, "plain"), channel::ChannelOptions());
  EXPECT_EQ(channel_options(rules, "chat:1"), channel::ChannelOptions());
  EXPECT_EQ(channel_options(rules, "other"), std::nullopt);
}

TEST(ChannelRules, TheNameItselfThenTheLongestBeginningCounts) {
  const auto rules = parse_channel_rules(
                         "channels: {'*': {history-size: 1}, 'a/*': {history-size: 2}, 'a/b*': {history-size: 3},"
                         " 'a/bc': {history-size: 4}}",
                         "f.yaml")
                         .value();
  const auto size = [&](std::string_view name) { return channel_options(rules, name).value().history_size; };
  EXPECT_EQ(size("x"), 1u);
  EXPECT_EQ(size("a/x"), 2u);
  EXPECT_EQ(size("a/bx"), 3u);
  EXPECT_EQ(size("a/bc"), 4u);
}

TEST(ChannelRules, WithoutTheKeyThereAreNone) {
  EXPECT_THAT(parse_channel_rules("", "f.yaml").value(), IsEmpty());
  EXPECT_THAT(parse_channel_rules("listen: 127.0.0.1:1", "f.yaml").value(), IsEmpty());
}

TEST(ChannelRules, ErrorsNamePlaceAndExpectation) {
  const std::pair<const char*, const char*> cases[] = {
      {"channels: 3", "f.yaml:1: channels: expected a mapping such as {news: {}}"},
      {"channels: {a b: {}}",
       "f.yaml:1: channels: a b: name: expected 1 to 128 letters, digits and . _ - : / @, and a * at the end for all "
       "of them"},
      {"channels: {news: 3}", "f.yaml:1: channels: news: options: expected a mapping such as {history-size: 100}"},
      {"channels: {news: {history: 3}}",
       "f.yaml:1: channels: news: history: expected one of history-size, history-lifetime, slow-consumer, presence, "
       "clients-publish, publishers, subscribers"},
      {"channels:\n  news:\n    history-size: 10001",
       "f.yaml:3: channels: news: history-size: expected a number from 0 to 10000"},
      {"channels: {news: {history-size: [1]}}",
       "f.yaml:1: channels: news: history-size: expected a number from 0 to 10000"},
      {"channels: {news: {history-lifetime: 5}}",
       "f.yaml:1: channels: news: history-lifetime: expected a duration of at most 24h such as 500ms, 5s or 2m"},
      {"channels: {news: {history-lifetime: 5ms}}",
       "f.yaml:1: channels: news: history-lifetime: expected a duration of at least 1s such as 30s or 5m"},
      {"channels: {news: {presence: 1}}", "f.yaml:1: channels: news: presence: expected true or false"},
      {"channels: {news: {slow-consumer: wait}}",
       "f.yaml:1: channels: news: slow-consumer: expected close, drop_oldest or conflate"},
      {"channels: {news: {publishers: ada}}", "f.yaml:1: channels: news: publishers: expected a list of user ids"},
      {"channels: {news: {subscribers: []}}", "f.yaml:1: channels: news: subscribers: expected a list of user ids"},
      {"channels: {news: {}, news: {}}", "f.yaml:1: channels: news: name: expected it once"},
  };
  for (const auto& [yaml, message] : cases) {
    const auto rules = parse_channel_rules(yaml, "f.yaml");
    ASSERT_FALSE(rules) << yaml;
    EXPECT_EQ(rules.error().message, message);
  }
}

}  // namespace
}  // namespace fresnel::gateway

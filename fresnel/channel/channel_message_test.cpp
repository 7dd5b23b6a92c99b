#include "fresnel/channel/channel_message.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

namespace fresnel::channel {
namespace {

namespace json = boost::json;
using Type = ChannelRequest::Type;
using ::testing::StartsWith;

TEST(ChannelMessage, RequestsAreUnderstood) {
  const auto subscribe =
      parse_channel_request(R"({"type":"subscribe","id":7,"channel":"news","position":{"epoch":"e","offset":5}})")
          .value();
  EXPECT_EQ(subscribe.type, Type::subscribe);
  EXPECT_EQ(subscribe.id, json::value(7));
  EXPECT_EQ(subscribe.channel, "news");
  EXPECT_EQ(subscribe.position, (broker::Position{"e", 5}));
  const auto publish =
      parse_channel_request(R"({"type":"publish","id":"a","channel":"news","data":{"x":[1,null]}})").value();
  EXPECT_EQ(publish.type, Type::publish);
  EXPECT_EQ(publish.data, json::parse(R"({"x":[1,null]})"));
  EXPECT_EQ(parse_channel_request(R"({"type":"publish","channel":"news","data":null})")->data, nullptr);
  EXPECT_EQ(parse_channel_request(R"({"type":"renew","token":"t"})")->token, "t");
  EXPECT_FALSE(parse_channel_request(R"({"type":"history","channel":"news","position":null})")->position);
}

TEST(ChannelMessage, WhatCannotBeUnderstoodIsSaidWithItsId) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "expected a JSON object"},
      {"[]", "expected a JSON object"},
      {R"({"id":1})", "field type: "},
      {R"({"id":1,"type":5})", "field type: "},
      {R"({"id":1,"type":"other"})", "field type: "},
      {R"({"id":1,"type":"subscribe"})", "field channel: "},
      {R"({"id":1,"type":"subscribe","channel":5})", "field channel: "},
      {R"({"id":1,"type":"subscribe","channel":"c","position":5})", "field position: "},
      {R"({"id":1,"type":"subscribe","channel":"c","position":{"epoch":"e"}})", "field position: "},
      {R"({"id":1,"type":"subscribe","channel":"c","position":{"epoch":"e","offset":-1}})", "field position: "},
      {R"({"id":1,"type":"subscribe","channel":"c","position":{"epoch":"e","offset":1.5}})", "field position: "},
      {R"({"id":1,"type":"publish","channel":"c"})", "field data: "},
      {R"({"id":1,"type":"renew"})", "field token: "},
  };
  for (const auto& [text, message] : cases) {
    const auto request = parse_channel_request(text);
    ASSERT_FALSE(request) << text;
    EXPECT_THAT(request.error().message, StartsWith(message)) << text;
    EXPECT_EQ(request.error().id, *text == '{' ? json::value(1) : json::value()) << text;
  }
}

TEST(ChannelMessage, OnlyASmallIdComesBack) {
  const auto id_of = [](const std::string& id) {
    return parse_channel_request(R"({"type":"presence","channel":"c","id":)" + id + "}")->id;
  };
  EXPECT_EQ(id_of("1.5"), json::value(1.5));
  EXPECT_EQ(id_of('"' + std::string(64, 'x') + '"'), json::value(std::string(64, 'x')));
  EXPECT_EQ(id_of('"' + std::string(65, 'x') + '"'), nullptr);
  for (const auto* other : {"{}", "[]", "true", "null"}) EXPECT_EQ(id_of(other), nullptr) << other;
}

TEST(ChannelMessage, AnswersAreWhatTheHeaderSays) {
  const auto request = parse_channel_request(R"({"type":"subscribe","id":7,"channel":"news"})").value();
  EXPECT_EQ(encode_subscribed(request, {"e", 5}, true),
            R"({"type":"subscribed","id":7,"channel":"news","recovered":true,"position":{"epoch":"e","offset":5}})");
  EXPECT_EQ(encode_subscribed(request, {}, false),
            R"({"type":"subscribed","id":7,"channel":"news","recovered":false})");
  EXPECT_EQ(encode_unsubscribed(request), R"({"type":"unsubscribed","id":7,"channel":"news"})");
  EXPECT_EQ(encode_published(request, {3, 2, 1}),
            R"({"type":"published","id":7,"channel":"news","queued":3,"skipped":2,"slow":1})");
  EXPECT_EQ(encode_presence(request, {{"c", "ada"}}),
            R"({"type":"presence","id":7,"channel":"news","present":[{"connection":"c","user":"ada"}]})");
  EXPECT_EQ(encode_error("a", Error{Errc::not_found, "no \"c\"", 404, "channel_not_found"}),
            R"({"type":"error","id":"a","code":"channel_not_found","message":"no \"c\""})");
  EXPECT_EQ(encode_error(nullptr, Error{Errc::too_large, "large"}),
            R"({"type":"error","code":"too_large","message":"large"})");
}

TEST(ChannelMessage, DataIsJsonAsItIsTextAsAStringAndBytesAsBase64) {
  const auto of = [](net::OutboundMessage message, std::uint64_t offset = 0) {
    return std::string(encode_message("a\"b", {std::move(message), {}, offset, {}}).payload().view());
  };
  EXPECT_EQ(of(net::OutboundMessage::json({{"x", 1}}), 9),
            R"({"type":"message","channel":"a\"b","offset":9,"data":{"x":1}})");
  EXPECT_EQ(of(net::OutboundMessage::text("say \"x\"")), R"({"type":"message","channel":"a\"b","data":"say \"x\""})");
  EXPECT_EQ(of(net::OutboundMessage::binary("\xFB\xFF")),
            R"({"type":"message","channel":"a\"b","encoding":"base64url","data":"-_8"})");
  EXPECT_EQ(encode_message("c", {net::OutboundMessage::text("t").with_key("k"), {}, 0, {}}).key(), "k");
  const auto request = parse_channel_request(R"({"type":"history","channel":"c"})").value();
  broker::History history{{"e", 2}, {}, true};
  EXPECT_EQ(encode_history(request, history),
            R"({"type":"history","channel":"c","position":{"epoch":"e","offset":2},"recovered":true,"messages":[]})");
  for (const std::uint64_t offset : {1u, 2u}) {
    history.publications.push_back(std::make_shared<broker::Publication>(
        broker::Publication{net::OutboundMessage::json(offset), {}, offset, "e"}));
  }
  EXPECT_EQ(json::parse(encode_history(request, history)).at("messages"),
            json::parse(R"([{"offset":1,"data":1},{"offset":2,"data":2}])"));
}

}  // namespace
}  // namespace fresnel::channel

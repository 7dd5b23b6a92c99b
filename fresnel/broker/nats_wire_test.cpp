#include "fresnel/broker/nats_wire.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fresnel::broker::nats_wire {
namespace {

using net::OutboundMessage;
using ::testing::HasSubstr;

NatsMessage answer(std::string payload) {
  NatsMessage message;
  message.payload = std::move(payload);
  return message;
}

TEST(NatsWireTest, AChannelsNameIsOneToken) {
  EXPECT_EQ(channel_token("news"), "news");
  EXPECT_EQ(channel_token("a.b:c/d@e-f_g"), "a%2Eb:c/d@e-f_g");
  EXPECT_EQ(channel_token("*> \r\n%\xff"), "%2A%3E%20%0D%0A%25%FF");
  EXPECT_EQ(live_subject("p.q", "a.b"), "p.q.m.a%2Eb");
  EXPECT_EQ(history_subject("p.q", {.size = 5, .lifetime = seconds(2)}, "a"), "p.q.h.5.2000.a");
  EXPECT_EQ(stream_name("p.q", {.size = 5, .lifetime = seconds(2)}), "p=q_h_5_2000");
}

TEST(NatsWireTest, AStreamKeepsOneMoreThanTheHistoryHasAndRepublishes) {
  const auto config = stream_config("p", {.size = 5, .lifetime = seconds(2)}, {.max_bytes = 1'000, .replicas = 3});
  for (const auto* part : {R"("max_msgs_per_subject":6)", R"("max_age":2000000000)", R"("duplicate_window":2000000000)",
                           R"("subjects":["p.h.5.2000.>"])", R"("republish":{"src":"p.h.5.2000.>","dest":"p.m.>"})",
                           R"("num_replicas":3)", R"("max_bytes":1000)"}) {
    EXPECT_THAT(config, HasSubstr(part));
  }
  EXPECT_THAT(stream_config("p", {.size = 5, .lifetime = std::chrono::hours(1)}, {}),
              HasSubstr(R"("duplicate_window":120000000000)"));
}

TEST(NatsWireTest, AnswersOfJetStream) {
  EXPECT_EQ(parse_ack(answer(R"({"stream":"s", "seq":42,"duplicate": true})")).value(), 42u);
  const auto refused = parse_ack(answer(R"({"error":{"code":400,"err_code":10058,"description":"name in use"}})"));
  EXPECT_EQ(refused.error().message, "JetStream: name in use");
  EXPECT_EQ(refused.error().reason, "10058");
  EXPECT_EQ(parse_ack(answer("nonsense")).error().code, Errc::protocol);
  EXPECT_EQ(parse_ack(answer("{}")).error().code, Errc::protocol);
  NatsMessage nobody;
  nobody.nobody_there = true;
  EXPECT_EQ(parse_ack(nobody).error().status, 503);
  const auto info = parse_stream_info(answer(R"({"config":{"republish":{}},"created":"2026-11-21T23:20:42.10Z",)"
                                             R"("state":{"first_seq":4,"last_seq":3,"bytes":9}})"));
  EXPECT_EQ(info->epoch, "2026112123204210");
  EXPECT_EQ(info->first, 4u);
  EXPECT_EQ(info->last, 3u);
  EXPECT_TRUE(info->republishes);
}

TEST(NatsWireTest, AStoredMessageIsWhatWasPublished) {
  const auto stored = parse_stored(answer(
      R"({"message":{"subject":"p.h.3.5000.a","seq":7,"time":"2026-11-21T23:20:42.102590994Z","data":"eyJuIjoxfQ==",)"
      R"("hdrs":"TkFUUy8xLjANCk5hdHMtTXNnLUlkOiBpZDANCkZyZXNuZWwtS2luZDoganNvbg0KDQo="}})"));
  ASSERT_TRUE(stored.has_value());
  EXPECT_EQ(stored->id, "id0");
  EXPECT_EQ(stored->sequence, 7u);
  EXPECT_EQ(stored->publication.message.kind(), OutboundMessage::Kind::json);
  EXPECT_EQ(stored->publication.message.payload().view(), R"({"n":1})");
  EXPECT_EQ(*stored->stored_at, std::chrono::system_clock::from_time_t(1'795'303'242));
  EXPECT_EQ(parse_stored(answer(R"({"error":{"code":404,"description":"no message found"}})")).error().code,
            Errc::not_found);
}

// It goes to clients as it is: nothing may pass for what it is not.
TEST(NatsWireTest, WhatIsNotWhatItClaimsIsBinary) {
  const auto kind_of = [](std::string kind, std::string payload) {
    auto message = answer(std::move(payload));
    if (!kind.empty()) message.headers.emplace_back("Fresnel-Kind", kind);
    return decode_publication(std::move(message)).publication.message.kind();
  };
  EXPECT_EQ(kind_of("", "text"), OutboundMessage::Kind::text);
  EXPECT_EQ(kind_of("", "\xff"), OutboundMessage::Kind::binary);
  EXPECT_EQ(kind_of("json", "[1]"), OutboundMessage::Kind::json);
  EXPECT_EQ(kind_of("json", R"(1,"injected":2)"), OutboundMessage::Kind::binary);
  EXPECT_EQ(kind_of("binary", "text"), OutboundMessage::Kind::binary);
}

TEST(NatsWireTest, AControlComesAsItWas) {
  Control close;
  close.kind = Control::Kind::close_user;
  close.user_id = "ada";
  close.code = 4'001;
  close.reason = "line\r\nbreak";
  auto sent = encode_control("p", close, "id");
  const auto back = decode_control({sent.subject, "", sent.headers, std::string(sent.payload.view())});
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->id, "id");
  EXPECT_EQ(back->control.kind, Control::Kind::close_user);
  EXPECT_EQ(back->control.user_id, "ada");
  EXPECT_EQ(back->control.code, 4'001);
  EXPECT_EQ(back->control.reason, close.reason);
  for (const auto& [name, value] : sent.headers) EXPECT_EQ(value.find('\n'), std::string::npos) << name;
}

TEST(NatsWireTest, PresenceAndHeartbeats) {
  PresenceAnswer part{"g", false, {{"c1", "ada"}, {"c2", "\"bob\""}}};
  const auto back = decode_presence(encode_presence(part));
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->present, part.present);
  EXPECT_FALSE(back->is_last);
  EXPECT_FALSE(decode_presence("[]").has_value());
  EXPECT_FALSE(decode_presence(R"({"present":[["c"]]})").has_value());
  const auto alive = decode_alive(encode_alive({"g", true, false}));
  EXPECT_TRUE(alive && alive->is_new && !alive->is_last);
  EXPECT_FALSE(decode_alive("{}").has_value());
}

}  // namespace
}  // namespace fresnel::broker::nats_wire

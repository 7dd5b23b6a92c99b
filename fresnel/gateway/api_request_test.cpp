#include "fresnel/gateway/api_request.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fresnel::gateway {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

TEST(BroadcastRequest, IsRead) {
  const auto request = parse_broadcast_request(R"({"channel":"news","data":{"a":[1]},"selection":{"user_ids":["ada"],
    "attributes":{"team":"red"},"exclude_connection_id":"c1"}})")
                           .value();
  EXPECT_EQ(request.channel, "news");
  EXPECT_EQ(request.data.at("a").at(0).as_int64(), 1);
  EXPECT_THAT(request.selection.user_ids, ElementsAre("ada"));
  EXPECT_THAT(request.selection.attributes, ElementsAre(Pair("team", "red")));
  EXPECT_EQ(request.selection.exclude_connection_id, "c1");
  const auto to_all = parse_broadcast_request(R"({"data":null})").value();
  EXPECT_EQ(to_all.channel, "");
  EXPECT_TRUE(to_all.data.is_null());
  EXPECT_TRUE(to_all.selection.is_empty());
}

TEST(BroadcastRequest, ErrorsNameTheField) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "expected a JSON object"},
      {"[]", "expected a JSON object"},
      {"{\"data\":1} more", "expected a JSON object"},
      {R"({"channel":"news"})", "field data: expected what is to be sent"},
      {R"({"channel":7,"data":1})", "field channel: expected a text"},
      {R"({"channel":"","data":1})", "field channel: expected a name"},
      {R"({"data":1,"selecton":{}})", "field selecton: expected one of channel, data, selection"},
      {R"({"data":1,"selection":[]})", "field selection: expected an object"},
      {R"({"data":1,"selection":{"user_ids":[]}})", "field selection.user_ids: expected at least one"},
      {R"({"data":1,"selection":{"user_ids":[1]}})", "field selection.user_ids: expected a list of texts"},
      {R"({"data":1,"selection":{"attributes":{"team":1}}})", "field selection.attributes: expected texts"},
      {R"({"data":1,"selection":{"user_id":"ada"}})",
       "field selection: expected user_ids (a list), attributes (an object), exclude_connection_id (a text)"},
  };
  for (const auto& [body, message] : cases) {
    const auto request = parse_broadcast_request(body);
    ASSERT_FALSE(request) << body;
    EXPECT_EQ(request.error().message, message);
    EXPECT_EQ(request.error().status, 400);
  }
}

TEST(CloseRequest, HasDefaultsAndLimits) {
  EXPECT_EQ(parse_close_request("").value().code, 1008);
  const auto request = parse_close_request(R"({"code":4000,"reason":"enough"})").value();
  EXPECT_EQ(request.code, 4000);
  EXPECT_EQ(request.reason, "enough");
  EXPECT_EQ(parse_close_request(R"({"reason":")" + std::string(123, 'x') + "\"}").value().reason.size(), 123u);
  for (const auto* body : {R"({"code":1006})", R"({"code":5000})", R"({"code":"1008"})", R"({"code":2999})"}) {
    EXPECT_EQ(parse_close_request(body).error().message, "field code: expected 1000, 1001, 1008, or 3000 to 4999");
  }
  EXPECT_EQ(parse_close_request(R"({"reason":")" + std::string(124, 'x') + "\"}").error().message,
            "field reason: expected at most 123 bytes");
  EXPECT_EQ(parse_close_request("{\"why\":1}").error().message, "field why: expected one of code, reason");
}

}  // namespace
}  // namespace fresnel::gateway

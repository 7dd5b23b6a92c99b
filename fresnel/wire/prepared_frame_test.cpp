#include "fresnel/wire/prepared_frame.hpp"

#include <gtest/gtest.h>

#include "fresnel/wire/multiplexer_message.hpp"

namespace fresnel::wire {
namespace {

constexpr std::string_view kEvent = R"({"type":"ADDED","object":{"metadata":{"name":"a\"b"}}})";

TEST(PreparedFrame, PutsTheSharedBodyLast) {
  const DataPrefix prefix("prod", "/api/v1/pods", "watch=1&resourceVersion=215", "u");
  const auto body = make_data_body(R"({"type":"ADDED"})");
  EXPECT_EQ(prefix.view(),
            R"({"clusterId":"prod","path":"/api/v1/pods","query":"watch=1&resourceVersion=215","userId":"u")");
  EXPECT_EQ(body.view(), R"(,"type":"DATA","data":"{\"type\":\"ADDED\"}"})");
}

TEST(PreparedFrame, ReadsBackAsTheDataMessage) {
  const DataPrefix prefix("a\"b\\c", "/api/v1/pods", "labelSelector=x%3D\n", "Zürich");
  const auto frame = make_frame(prefix, make_data_body(kEvent));
  EXPECT_EQ(frame.size(), frame.text().size());
  const auto message = parse_server_message(frame.text()).value();
  EXPECT_EQ(message.type, ServerMessage::Type::data);
  EXPECT_EQ(message.cluster_id, "a\"b\\c");
  EXPECT_EQ(message.path, "/api/v1/pods");
  EXPECT_EQ(message.query, "labelSelector=x%3D\n");
  EXPECT_EQ(message.user_id, "Zürich");
  EXPECT_EQ(message.data, kEvent);
}

TEST(PreparedFrame, OneBodyServesEverySubscription) {
  const DataPrefix one("prod", "/api/v1/pods", "watch=1", "u1");
  const DataPrefix two("prod", "/api/v1/pods", "watch=1&labelSelector=a", "u2");
  const auto body = make_data_body(kEvent);
  const auto first = make_frame(one, body);
  const auto second = make_frame(two, body);
  EXPECT_EQ(first.body.view().data(), second.body.view().data());
  EXPECT_EQ(parse_server_message(first.text())->query, "watch=1");
  EXPECT_EQ(parse_server_message(second.text())->query, "watch=1&labelSelector=a");
}

TEST(DataPrefix, TellsWhatItWasMadeOf) {
  const DataPrefix prefix("arn:\"x\"", "/api/v1/pods", "labelSelector=a%3D\\,\"userId\":\"b", "u\"1");
  const auto address = address_in(prefix.view());
  EXPECT_EQ(address.cluster_id, "arn:\"x\"");
  EXPECT_EQ(address.path, "/api/v1/pods");
  EXPECT_EQ(address.query, "labelSelector=a%3D\\,\"userId\":\"b");
  EXPECT_EQ(address.user_id, "u\"1");
}

TEST(DataPrefix, ItsKeyLeavesOutTheUserAlone) {
  const auto key = [](std::string_view cluster, std::string_view path, std::string_view query, std::string_view user) {
    return std::string(key_in(DataPrefix(cluster, path, query, user).view()));
  };
  EXPECT_EQ(key("c", "/p", "q", "u"), key("c", "/p", "q", "other\",\"userId\":\""));
  EXPECT_NE(key("c", "/p", "q", "u"), key("d", "/p", "q", "u"));
  EXPECT_NE(key("c", "/p", "q", "u"), key("c", "/r", "q", "u"));
  EXPECT_NE(key("c", "/p", "q", "u"), key("c", "/p", "", "u"));
}

}  // namespace
}  // namespace fresnel::wire

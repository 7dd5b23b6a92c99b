#include "fresnel/wire/multiplexer_message.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fresnel::wire {
namespace {

using ::testing::HasSubstr;

// The shapes of the protocol, one line each on the wire.
constexpr std::string_view kRequest =
    R"({"clusterId":"prod","path":"/api/v1/pods","query":"watch=1&resourceVersion=215","userId":"f075623f9be8c74f","type":"REQUEST"})";
constexpr std::string_view kClose =
    R"({"clusterId":"prod","path":"/api/v1/pods","query":"watch=1&resourceVersion=215","userId":"f075623f9be8c74f","type":"CLOSE"})";
constexpr std::string_view kData =
    R"({"clusterId":"prod","path":"/api/v1/pods","query":"watch=1&resourceVersion=215","userId":"f075623f9be8c74f","data":"{\"type\":\"ADDED\",\"object\":{\"kind\":\"Pod\"}}","type":"DATA"})";
constexpr std::string_view kComplete =
    R"({"clusterId":"prod","path":"/api/v1/pods","query":"watch=1&resourceVersion=215","userId":"f075623f9be8c74f","type":"COMPLETE"})";
constexpr std::string_view kStatus =
    R"({"clusterId":"prod","path":"/api/v1/pods","query":"","userId":"","data":"{\"state\":\"connected\",\"error\":\"\"}","type":"STATUS","requestQuery":"watch=1&resourceVersion=215"})";
constexpr std::string_view kError =
    R"({"clusterId":"prod","path":"/api/v1/pods","query":"watch=1","userId":"f0","data":"{\"error\":\"pods is forbidden: ...\",\"code\":403,\"reason\":\"Forbidden\"}","type":"ERROR"})";

ClientMessage client_message(ClientMessage::Type type) {
  return {.type = type,
          .cluster_id = "prod",
          .path = "/api/v1/pods",
          .query = "watch=1&resourceVersion=215",
          .user_id = "f075623f9be8c74f",
          .accept = ""};
}

ServerMessage server_message(ServerMessage::Type type, std::string data = "") {
  return {.type = type,
          .cluster_id = "prod",
          .path = "/api/v1/pods",
          .query = "watch=1&resourceVersion=215",
          .user_id = "f075623f9be8c74f",
          .data = std::move(data),
          .binary = false,
          .request_query = ""};
}

ServerMessage status_message() {
  auto message = server_message(ServerMessage::Type::status, R"({"state":"connected","error":""})");
  message.request_query = std::exchange(message.query, "");
  message.user_id = "";
  return message;
}

ServerMessage error_message(std::string data) {
  auto message = server_message(ServerMessage::Type::error, std::move(data));
  message.query = "watch=1";
  message.user_id = "f0";
  return message;
}

TEST(MultiplexerMessage, WritesTheProtocolsLinesByteForByte) {
  EXPECT_EQ(encode(client_message(ClientMessage::Type::request)), kRequest);
  EXPECT_EQ(encode(client_message(ClientMessage::Type::close)), kClose);
  EXPECT_EQ(encode(server_message(ServerMessage::Type::data, R"({"type":"ADDED","object":{"kind":"Pod"}})")), kData);
  EXPECT_EQ(encode(server_message(ServerMessage::Type::complete)), kComplete);
  EXPECT_EQ(encode(status_message()), kStatus);
  const Error forbidden{
      .code = Errc::forbidden, .message = "pods is forbidden: ...", .status = 403, .reason = "Forbidden"};
  EXPECT_EQ(encode(error_message(encode_error_data(forbidden))), kError);
}

TEST(MultiplexerMessage, ReadsTheProtocolsLines) {
  EXPECT_EQ(parse_client_message(kRequest).value(), client_message(ClientMessage::Type::request));
  EXPECT_EQ(parse_client_message(kClose).value(), client_message(ClientMessage::Type::close));
  EXPECT_EQ(parse_server_message(kData).value(),
            server_message(ServerMessage::Type::data, R"({"type":"ADDED","object":{"kind":"Pod"}})"));
  EXPECT_EQ(parse_server_message(kComplete).value(), server_message(ServerMessage::Type::complete));
  EXPECT_EQ(parse_server_message(kStatus).value(), status_message());
  EXPECT_EQ(parse_server_message(kError).value(),
            error_message(R"({"error":"pods is forbidden: ...","code":403,"reason":"Forbidden"})"));
}

TEST(MultiplexerMessage, CarriesAcceptLast) {
  auto message = client_message(ClientMessage::Type::request);
  message.accept = "application/json;as=Table;v=v1;g=meta.k8s.io";
  const auto text = encode(message);
  EXPECT_THAT(text,
              ::testing::EndsWith(R"("type":"REQUEST","accept":"application/json;as=Table;v=v1;g=meta.k8s.io"})"));
  EXPECT_EQ(parse_client_message(text).value(), message);
}

TEST(MultiplexerMessage, EscapesEveryField) {
  auto message = server_message(ServerMessage::Type::data, "{\"a\":\"\\n\"}\n");
  message.cluster_id = "arn:aws:eks:eu-west-1:1:cluster/\"quoted\"\\";
  message.user_id = "Zürich\t\u2603";
  EXPECT_EQ(parse_server_message(encode(message)).value(), message);
}

TEST(MultiplexerMessage, BinaryDataTravelsAsBase64BeforeTheType) {
  for (const std::string_view bytes : {"", "\xff", "\xff\x01", "\x01hi", "\x02\xff\xfe\x10"}) {
    auto message = server_message(ServerMessage::Type::data, std::string(bytes));
    message.binary = true;
    const auto text = encode(message);
    EXPECT_THAT(text, HasSubstr(R"("binary":true,"type":"DATA"})"));
    EXPECT_EQ(parse_server_message(text).value(), message);
  }
  auto message = server_message(ServerMessage::Type::data, std::string("\x01hi"));
  message.binary = true;
  EXPECT_THAT(encode(message), HasSubstr(R"("data":"AWhp")"));
}

struct Rejected {
  std::string_view json;
  std::string_view says;
};

TEST(MultiplexerMessage, RefusesBrokenClientMessagesAndSaysWhatWasExpected) {
  const Rejected cases[] = {
      {"", "expected JSON"},
      {"{", "expected JSON"},
      {R"({"clusterId":"a"} x)", "expected JSON"},
      {"{\"clusterId\":\"\xff\"}", "expected UTF-8"},
      {"[]", "expected a JSON object, got an array"},
      {"\"REQUEST\"", "expected a JSON object, got a string"},
      {"null", "expected a JSON object, got null"},
      {R"({"path":"/p","query":"","userId":"","type":"REQUEST"})", "clusterId is missing: expected a string"},
      {R"({"clusterId":"","path":"/p","query":"","userId":"","type":"REQUEST"})", "clusterId is empty"},
      {R"({"clusterId":7,"path":"/p","query":"","userId":"","type":"REQUEST"})",
       "clusterId: expected a string, got a number"},
      {R"({"clusterId":"a","query":"","userId":"","type":"REQUEST"})", "path is missing"},
      {R"({"clusterId":"a","path":"","query":"","userId":"","type":"REQUEST"})", "path is empty"},
      {R"({"clusterId":"a","path":"/p","userId":"","type":"REQUEST"})", "query is missing"},
      {R"({"clusterId":"a","path":"/p","query":null,"userId":"","type":"REQUEST"})",
       "query: expected a string, got null"},
      {R"({"clusterId":"a","path":"/p","query":"","type":"REQUEST"})", "userId is missing"},
      {R"({"clusterId":"a","path":"/p","query":"","userId":{},"type":"REQUEST"})",
       "userId: expected a string, got an object"},
      {R"({"clusterId":"a","path":"/p","query":"","userId":""})", "type is missing"},
      {R"({"clusterId":"a","path":"/p","query":"","userId":"","type":true})", "type: expected a string, got a boolean"},
      {R"({"clusterId":"a","path":"/p","query":"","userId":"","type":"DATA"})", "type: expected REQUEST or CLOSE"},
      {R"({"clusterId":"a","path":"/p","query":"","userId":"","type":"REQUEST","accept":1})",
       "accept: expected a string"},
  };
  for (const auto& [json, says] : cases) {
    const auto parsed = parse_client_message(json);
    ASSERT_TRUE(parsed.has_error()) << json;
    EXPECT_EQ(parsed.error().code, Errc::invalid_argument) << json;
    EXPECT_THAT(parsed.error().message, HasSubstr(says)) << json;
  }
}

TEST(MultiplexerMessage, ARejectedClientMessageTellsWhatWasReadable) {
  const auto parsed =
      parse_client_message(R"({"path":"/api/v1/pods","query":"watch=1","userId":"u","type":"REQUEST"})");
  ASSERT_TRUE(parsed.has_error());
  EXPECT_EQ(parsed.error().readable.cluster_id, "");
  EXPECT_EQ(parsed.error().readable.path, "/api/v1/pods");
  EXPECT_EQ(parsed.error().readable.query, "watch=1");
  EXPECT_EQ(parsed.error().readable.user_id, "u");
}

TEST(MultiplexerMessage, AcceptsAnEmptyUserAndQueryAndIgnoresUnknownFields) {
  const auto parsed =
      parse_client_message(R"({"clusterId":"a","path":"/p","query":"","userId":"","type":"CLOSE","later":[{"x":1}]})");
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->user_id, "");
  EXPECT_EQ(parsed->query, "");
}

TEST(MultiplexerMessage, RefusesBrokenServerMessages) {
  const Rejected cases[] = {
      {"nonsense", "expected JSON"},
      {"7", "expected a JSON object, got a number"},
      {R"({"clusterId":"a","path":"/p","query":"","userId":"","type":"REQUEST"})", "type: expected DATA"},
      {R"({"clusterId":"a","path":"/p","query":"","userId":"","type":"DATA"})", "data is missing"},
      {R"({"clusterId":"a","path":"/p","query":"","userId":"","data":{},"type":"DATA"})", "data: expected a string"},
      {R"({"clusterId":"","path":"/p","query":"","userId":"","data":"","type":"DATA"})", "clusterId is empty"},
      {R"({"clusterId":"a","path":"/p","data":"x","binary":1,"type":"DATA"})", "binary: expected a boolean"},
      {R"({"clusterId":"a","path":"/p","data":"x","binary":true,"type":"DATA"})", "data: expected base64"},
  };
  for (const auto& [json, says] : cases) {
    const auto parsed = parse_server_message(json);
    ASSERT_TRUE(parsed.has_error()) << json;
    EXPECT_THAT(parsed.error().message, HasSubstr(says)) << json;
  }
}

TEST(MultiplexerMessage, AnErrorMayHaveNoRoute) {
  const auto parsed =
      parse_server_message(R"({"clusterId":"","path":"","query":"","userId":"","data":"{}","type":"ERROR"})");
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->type, ServerMessage::Type::error);
}

TEST(MultiplexerMessage, ErrorDataKeepsCodeAndReason) {
  const Error gone{.code = Errc::gone, .message = "too old \"7\"", .status = 410, .reason = "Expired"};
  EXPECT_EQ(parse_error_data(encode_error_data(gone)), gone);
  // An error that never was an HTTP response still tells its kind.
  const Error unknown_cluster{.code = Errc::not_found, .message = "no cluster \"x\""};
  EXPECT_EQ(encode_error_data(unknown_cluster), R"({"error":"no cluster \"x\"","code":404})");
  EXPECT_EQ(encode_error_data(Error{.code = Errc::connect_failed, .message = "no route"}), R"({"error":"no route"})");
  EXPECT_EQ(parse_error_data(R"({"error":"no route"})").code, Errc::api);
  EXPECT_EQ(parse_error_data("plain text").message, "plain text");
  EXPECT_EQ(parse_error_data(R"({"code":"x"})").status, 0);
}

TEST(MultiplexerMessage, StatusDataKeepsStateAndError) {
  EXPECT_EQ(encode_status_data({UpstreamStatus::State::connected, ""}), R"({"state":"connected","error":""})");
  for (const auto state : {UpstreamStatus::State::connecting, UpstreamStatus::State::connected,
                           UpstreamStatus::State::error, UpstreamStatus::State::closed}) {
    const UpstreamStatus status{state, "why"};
    EXPECT_EQ(parse_status_data(encode_status_data(status)).value(), status);
  }
  EXPECT_TRUE(parse_status_data(R"({"state":"odd"})").has_error());
  EXPECT_TRUE(parse_status_data("odd").has_error());
}

TEST(MultiplexerMessage, ALargeMessageIsReadAndTheNextOneToo) {
  const auto large = server_message(ServerMessage::Type::data, std::string(4u << 20, '"'));
  EXPECT_EQ(parse_server_message(encode(large)).value(), large);
  EXPECT_TRUE(parse_server_message(kData).has_value());
}

}  // namespace
}  // namespace fresnel::wire

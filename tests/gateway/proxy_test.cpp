// Plain HTTP through the gateway.
#include <boost/json/parse.hpp>

#include "tests/gateway/fixture.hpp"

namespace fresnel::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

using Proxy = GatewayTest;

constexpr auto kConfigMap = R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"},"data":{"k":"v"}})";

TEST_F(Proxy, ObjectsCanBeMadeReadAndRemoved) {
  start();
  const std::string list = "/clusters/sim/api/v1/namespaces/default/configmaps";
  EXPECT_EQ(ask("POST", list, {"Content-Type: application/json"}, kConfigMap).status, 201);
  const auto one = get(list + "/a");
  EXPECT_EQ(one.status, 200);
  EXPECT_THAT(one.body, HasSubstr("\"k\":\"v\""));
  EXPECT_EQ(ask("PATCH", list + "/a", {"Content-Type: application/merge-patch+json"}, R"({"data":{"k":"w"}})").status,
            200);
  EXPECT_THAT(get(list + "?limit=5").body, HasSubstr("\"k\":\"w\""));
  EXPECT_EQ(ask("DELETE", list + "/a").status, 200);
  const auto gone = get(list + "/a");
  EXPECT_EQ(gone.status, 404);
  EXPECT_THAT(gone.body, HasSubstr("\"reason\":\"NotFound\""));
  EXPECT_EQ(ask("HEAD", list).status, 200);
}

TEST_F(Proxy, TheApiServerSeesTheCredentialAndNothingOfTheBrowser) {
  start();
  const auto local = get("/clusters/up/echo?a=%2F&b=c+d", {"Cookie: secret=1", "X-HEADLAMP_BACKEND-TOKEN: t",
                                                           "Accept: application/yaml", "TE: trailers"});
  EXPECT_THAT(local.body, StartsWith("GET /prefix/echo?a=%2F&b=c+d\n"));
  EXPECT_THAT(local.body, HasSubstr("Authorization: Bearer kubeconfig-token\n"));
  EXPECT_THAT(local.body, HasSubstr("Accept: application/yaml\n"));
  for (const auto* hidden : {"Cookie", "HEADLAMP", "TE:", "Origin"}) EXPECT_THAT(local.body, Not(HasSubstr(hidden)));
  EXPECT_THAT(local.body, Not(HasSubstr(std::to_string(endpoint_.port))));
  const auto alice = ask("POST", "/clusters/up/echo", {"Authorization: Bearer alice-token"}, "body");
  EXPECT_THAT(alice.body, HasSubstr("Authorization: Bearer alice-token\n"));
  EXPECT_THAT(alice.body, Not(HasSubstr("kubeconfig-token")));
  EXPECT_TRUE(alice.body.ends_with("body"));
  const auto cookie = get("/clusters/up/cookie");
  EXPECT_EQ(header_of(cookie, "set-cookie"), "");
  EXPECT_EQ(header_of(cookie, "x-kept"), "1");
}

TEST_F(Proxy, TheClientsRightsAreItsTokens) {
  start();
  EXPECT_EQ(get("/clusters/sim/api/v1/pods", {"Authorization: Bearer alice-token"}).status, 403);
  EXPECT_EQ(get("/clusters/sim/api/v1/pods", {"Authorization: Bearer unknown"}).status, 401);
}

TEST_F(Proxy, NamesWithSlashesAreFoundEncodedAndNot) {
  start();
  EXPECT_THAT(get("/clusters/arn%3Aaws%3Aeks%3Aeu%3A1%3Acluster%2Fprod/echo").body, StartsWith("GET /echo\n"));
  EXPECT_THAT(get("/clusters/arn:aws:eks:eu:1:cluster/prod/echo").body, StartsWith("GET /echo\n"));
}

TEST_F(Proxy, WhatCannotBeReachedIsAStatus) {
  start();
  const std::pair<const char*, int> cases[] = {
      {"/clusters/nowhere/api", 404}, {"/clusters/down/api", 502}, {"/clusters/broken/api", 503}};
  for (const auto& [path, status] : cases) {
    const auto reply = get(path);
    EXPECT_EQ(reply.status, status) << path;
    EXPECT_EQ(header_of(reply, "content-type"), "application/json");
    EXPECT_EQ(boost::json::parse(reply.body).at("code").as_int64(), status);
    EXPECT_EQ(boost::json::parse(reply.body).at("kind").as_string(), "Status");
  }
  const auto before = upstream_.requests();
  EXPECT_THAT(raw("GET /clusters/up/../secret HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"),
              HasSubstr(" 400 "));
  EXPECT_THAT(raw("GET /clusters/up/%2e%2e/secret HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"),
              HasSubstr(" 400 "));
  EXPECT_EQ(upstream_.requests(), before);
}

// As kubectl logs -f and watches in chunks: each line arrives when it was written, and leaving ends it upstream.
TEST_F(Proxy, LinesArriveAsTheyAreWritten) {
  start();
  net::testing::RawClient client(io_);
  const auto until = [&](const char* mark) { return client.read_until(mark); };
  net::testing::run(io_, [&]() -> awaitable<void> {
    auto endpoint = endpoint_;
    co_await client.connect(std::move(endpoint));
    std::string request = "GET /clusters/up/stream HTTP/1.1\r\nhost: localhost\r\n\r\n";
    co_await client.send(std::move(request));
    auto head = co_await until("\r\n\r\n");
    EXPECT_THAT(head, HasSubstr("chunked"));
    upstream_.push("one\n");
    auto one = co_await until("one\n\r\n");
    EXPECT_EQ(one, "4\r\none\n\r\n");
    upstream_.push("two\n");
    auto two = co_await until("two\n\r\n");
    EXPECT_EQ(two, "4\r\ntwo\n\r\n");
  });
  EXPECT_EQ(upstream_.streams_ended().get(), 0);
  client.close();
  EXPECT_TRUE(upstream_.streams_ended().wait_until([](int ended) { return ended == 1; }, 10s));
}

TEST_F(Proxy, AWatchOfTheApiServerIsStreamedWhole) {
  start();
  const std::string list = "/clusters/sim/api/v1/namespaces/default/configmaps";
  ASSERT_EQ(ask("POST", list, {"Content-Type: application/json"}, kConfigMap).status, 201);
  const auto watch = get(list + "?watch=1&timeoutSeconds=1");
  EXPECT_EQ(watch.status, 200);
  EXPECT_EQ(watch.error, "");
  EXPECT_THAT(watch.body, StartsWith(R"({"type":"ADDED")"));
}

TEST_F(Proxy, StoppingTheGatewayEndsStreams) {
  start();
  net::testing::RawClient client(io_);
  net::testing::run(io_, [&]() -> awaitable<void> {
    auto endpoint = endpoint_;
    co_await client.connect(std::move(endpoint));
    std::string request = "GET /clusters/up/stream HTTP/1.1\r\nhost: localhost\r\n\r\n";
    co_await client.send(std::move(request));
    std::string mark = "\r\n\r\n";
    auto reading = client.read_until(std::move(mark));
    (void)co_await std::move(reading);
  });
  stop();
  EXPECT_TRUE(upstream_.streams_ended().wait_until([](int ended) { return ended == 1; }, 10s));
}

}  // namespace
}  // namespace fresnel::test

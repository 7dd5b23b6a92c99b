#include "fresnel/kube/api_client.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fresnel/kube/testing/fake_transport.hpp"

namespace fresnel::kube {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr char kForbidden[] = R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",
  "message":"pods is forbidden: User \"bob\" cannot list","reason":"Forbidden","details":{"kind":"pods"},"code":403})";

ClusterContext context() {
  ClusterContext context{.name = "prod", .server = "https://k8s:6443/prefix"};
  net::TlsOptions tls;
  tls.ca_pem = "CA";
  tls.client_cert_pem = "CERT";
  context.tls = std::make_shared<const net::TlsOptions>(tls);
  context.credential.bearer_token = "secret-token";
  context.proxy_url = "socks5://proxy:1080";
  return context;
}

class ApiClientTest : public ::testing::Test {
 protected:
  result<ApiResponse> ask(ApiRequest request) { return run(client_.request(std::move(request))); }

  FakeTransport transport_;
  ApiClient client_{transport_, context()};
};

TEST_F(ApiClientTest, BuildsTheRequestFromContextAndArguments) {
  transport_.answer("/prefix/api/v1/pods?limit=5", {200, "{}"});
  ApiRequest request{.path = "/api/v1/pods", .query = "limit=5", .accept = "application/json;as=Table"};
  request.headers.set("X-Extra", "1");
  request.idle_timeout = seconds(7);
  ASSERT_TRUE(ask(std::move(request)));

  const auto& sent = transport_.requests().at(0);
  EXPECT_EQ(sent.method, "GET");
  EXPECT_EQ(sent.url, "https://k8s:6443/prefix/api/v1/pods?limit=5");
  EXPECT_EQ(sent.headers.get("authorization"), "Bearer secret-token");
  EXPECT_EQ(sent.headers.get("accept"), "application/json;as=Table");
  EXPECT_THAT(std::string(sent.headers.get("user-agent")), testing::StartsWith("fresnel/"));
  EXPECT_EQ(sent.headers.get("x-extra"), "1");
  EXPECT_FALSE(sent.headers.has("content-type"));
  EXPECT_EQ(sent.tls->ca_pem, "CA");
  EXPECT_EQ(sent.tls->client_cert_pem, "CERT");
  EXPECT_EQ(sent.idle_timeout, seconds(7));
  EXPECT_EQ(sent.proxy_url, "socks5://proxy:1080");
}

TEST_F(ApiClientTest, ForwardsWithItsAddressAndCredentialAndTakesAnyStatusForAnAnswer) {
  ClusterContext proxied = context();
  proxied.proxy_url = "socks5://proxy:1080";
  ApiClient client(transport_, proxied);
  transport_.answer("/prefix/api/v1/pods/x%20y?a=b", {409, "{}"});
  net::HttpRequest request;
  request.method = "PATCH";
  request.headers = {{"Content-Type", "application/merge-patch+json"}, {"Authorization", "Bearer other"}};
  const auto response = run(client.forward(std::move(request), "/api/v1/pods/x%20y?a=b"));
  ASSERT_TRUE(response);
  EXPECT_EQ((*response)->status(), 409);
  const auto& sent = transport_.requests().at(0);
  EXPECT_EQ(sent.method, "PATCH");
  EXPECT_EQ(sent.proxy_url, "socks5://proxy:1080");
  EXPECT_EQ(sent.tls->ca_pem, "CA");
  EXPECT_EQ(sent.headers.get("authorization"), "Bearer secret-token");
  EXPECT_EQ(sent.headers.get("content-type"), "application/merge-patch+json");
}

TEST_F(ApiClientTest, SendsABodyWithItsType) {
  transport_.answer("/prefix/api/v1/namespaces", {201, "{}"});
  ApiRequest request{.method = "POST", .path = "/api/v1/namespaces", .body = "{\"a\":1}"};
  EXPECT_EQ(ask(std::move(request))->status, 201);
  EXPECT_EQ(transport_.requests().at(0).body, "{\"a\":1}");
  EXPECT_EQ(transport_.requests().at(0).headers.get("content-type"), "application/json");
}

TEST_F(ApiClientTest, AnAnonymousContextSendsNoAuthorization) {
  auto anonymous = context();
  anonymous.credential = {};
  ApiClient client(transport_, anonymous);
  transport_.answer("/prefix/version", {200, "{}"});
  ApiRequest request{.path = "/version"};
  ASSERT_TRUE(run(client.request(std::move(request))));
  EXPECT_FALSE(transport_.requests().at(0).headers.has("authorization"));
}

TEST_F(ApiClientTest, JoinsTheBodyAndBoundsIt) {
  FakeAnswer answer{200, ""};
  answer.parts = {"abc", "def"};
  transport_.answer("/prefix/api", answer);
  EXPECT_EQ(ask({.path = "/api"})->body, "abcdef");
  EXPECT_EQ(ask({.path = "/api", .max_body = 5}).error().code, Errc::too_large);
}

TEST_F(ApiClientTest, AnErrorStatusIsAnErrorWithWhatTheServerSaid) {
  transport_.answer("/prefix/api/v1/pods", {403, kForbidden});
  const auto error = ask({.path = "/api/v1/pods"}).error();
  EXPECT_EQ(error.code, Errc::forbidden);
  EXPECT_EQ(error.status, 403);
  EXPECT_EQ(error.reason, "Forbidden");
  EXPECT_EQ(error.message, "pods is forbidden: User \"bob\" cannot list");

  ApiRequest request{.path = "/api/v1/pods"};
  EXPECT_EQ(run(client_.open(std::move(request))).error(), error);
}

TEST_F(ApiClientTest, ABodyThatBreaksOffKeepsTheStatus) {
  FakeAnswer answer{503, ""};
  answer.read_error = Error{Errc::closed, "gone"};
  transport_.answer("/prefix/api", answer);
  const auto error = ask({.path = "/api"}).error();
  EXPECT_EQ(error.status, 503);
  EXPECT_EQ(error.code, Errc::api);
}

TEST_F(ApiClientTest, TransportErrorsPassThrough) {
  transport_.fail(Error{Errc::connect_failed, "connection refused"});
  EXPECT_EQ(ask({.path = "/api"}).error(), (Error{Errc::connect_failed, "connection refused"}));
  FakeAnswer cut{200, ""};
  cut.parts = {"{"};
  cut.read_error = Error{Errc::closed, "cut off"};
  FakeTransport other;
  other.answer("/prefix/api", cut);
  ApiClient client(other, context());
  ApiRequest request{.path = "/api"};
  EXPECT_EQ(run(client.request(std::move(request))).error().code, Errc::closed);
}

TEST_F(ApiClientTest, ErrorsNeverShowTheToken) {
  transport_.answer("/prefix/api", {401, "Unauthorized"});
  EXPECT_THAT(ask({.path = "/api"}).error().message, Not(HasSubstr("secret-token")));
}

TEST_F(ApiClientTest, AStreamIsHandedOverUnread) {
  FakeAnswer answer{200, ""};
  answer.parts = {"one\n", "two\n"};
  transport_.answer("/prefix/api/v1/pods?watch=1", answer);
  ApiRequest request{.path = "/api/v1/pods", .query = "watch=1"};
  auto response = run(client_.open(std::move(request)));
  ASSERT_TRUE(response);
  EXPECT_EQ(run((*response)->read()).value(), "one\n");
  EXPECT_EQ(run((*response)->read()).value(), "two\n");
}

TEST(StatusError, TheHttpStatusRulesAndRetryAfterComesFromHeaderOrDetails) {
  constexpr char kThrottled[] = R"({"kind":"Status","message":"slow down","reason":"TooManyRequests",
    "details":{"retryAfterSeconds":3},"code":429})";
  EXPECT_EQ(status_error(429, kThrottled, {}).code, Errc::throttled);
  EXPECT_EQ(status_error(429, kThrottled, {}).retry_after_ms, 3000);
  EXPECT_EQ(status_error(429, kThrottled, {{"Retry-After", "7"}}).retry_after_ms, 7000);
  EXPECT_EQ(status_error(429, kThrottled, {{"Retry-After", "soon"}}).retry_after_ms, 3000);
  EXPECT_EQ(status_error(429, "", {{"Retry-After", "-1"}}).retry_after_ms, 0);
}

TEST(StatusError, ABodyThatIsNoStatusIsQuotedOnOneLineAndShortened) {
  EXPECT_EQ(status_error(404, "404 page not found\n", {}).message,
            "the server answered with HTTP status 404: 404 page not found");
  EXPECT_EQ(status_error(502, "", {}).message, "the server answered with HTTP status 502");
  EXPECT_EQ(status_error(500, "{\"kind\":\"Pod\"}", {}).code, Errc::api);
  const auto huge = status_error(500, "a\x1b[2J\n" + std::string(10'000, 'x'), {}).message;
  EXPECT_LT(huge.size(), 300u);
  EXPECT_EQ(huge.find('\n'), std::string::npos);
  EXPECT_EQ(huge.find('\x1b'), std::string::npos);
}

TEST(ErrorOfStatus, ATooLargeVersionIsToldFromOtherTimeouts) {
  const auto error = error_of_status(
      R"({"kind":"Status","status":"Failure","message":"Too large resource version: 9, current: 4","reason":"Timeout",)"
      R"("details":{"causes":[{"reason":"ResourceVersionTooLarge","message":"x"}],"retryAfterSeconds":1},"code":504})");
  EXPECT_EQ(error.reason, "ResourceVersionTooLarge");
  EXPECT_EQ(error.retry_after_ms, 1000);
  EXPECT_EQ(error_of_status(R"({"kind":"Status","reason":"Timeout","details":{"causes":[3,{}]},"code":504})").reason,
            "Timeout");
}

TEST(ErrorOfStatus, ReadsAWatchErrorEventsObject) {
  const auto gone = error_of_status(
      R"({"kind":"Status","status":"Failure","message":"too old resource version","reason":"Expired","code":410})");
  EXPECT_EQ(gone.code, Errc::gone);
  EXPECT_EQ(gone.status, 410);
  EXPECT_EQ(gone.reason, "Expired");
  EXPECT_EQ(error_of_status(R"({"kind":"Status","reason":"Expired"})").code, Errc::gone);
  EXPECT_EQ(error_of_status("rubbish").code, Errc::api);
  EXPECT_THAT(error_of_status("rubbish").message, HasSubstr("rubbish"));
}

TEST(PercentEncode, KeepsOnlyUnreservedCharacters) {
  EXPECT_EQ(percent_encode("a-Z_0.9~"), "a-Z_0.9~");
  EXPECT_EQ(percent_encode("arn:aws/x y=é"), "arn%3Aaws%2Fx%20y%3D%C3%A9");
}

}  // namespace
}  // namespace fresnel::kube

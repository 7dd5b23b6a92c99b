// What the gateway answers by itself, and whom it refuses.
#include <fstream>

#include "tests/gateway/fixture.hpp"
#include "tests/support/temp_dir.hpp"

namespace fresnel::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

using Routes = GatewayTest;

TEST_F(Routes, OperatorsAndTheFrontendGetTheirAnswers) {
  start();
  EXPECT_EQ(get("/healthz").status, 200);
  EXPECT_EQ(get("/readyz").status, 200);
  EXPECT_EQ(get("/plugins").body, "[]");
  const auto config = get("/config");
  EXPECT_EQ(config.status, 200);
  EXPECT_EQ(header_of(config, "content-type"), "application/json");
  EXPECT_THAT(config.body, HasSubstr(R"({"name":"sim","server":")" + sim_->url() + R"(","auth_type":"")"));
  EXPECT_THAT(config.body, HasSubstr(R"("error":"context broken: no such user")"));
  EXPECT_THAT(config.body, Not(HasSubstr("kubeconfig-token")));
  EXPECT_EQ(get("/nothing/here").status, 404);
  EXPECT_EQ(ask("POST", "/config").status, 405);
  EXPECT_EQ(ask("HEAD", "/healthz").status, 200);
}

TEST_F(Routes, MetricsCountRequestsAndRefusals) {
  start();
  EXPECT_EQ(get("/clusters/nowhere/api/v1/pods").status, 404);
  EXPECT_EQ(get("/config", {"Origin: http://evil.example"}).status, 403);
  EXPECT_EQ(get("/clusters/sim/version").status, 200);
  EXPECT_EQ(metric("fresnel_bad_client_input_total{kind=\"unknown_cluster\"}"), 1);
  EXPECT_EQ(metric("fresnel_bad_client_input_total{kind=\"origin\"}"), 1);
  EXPECT_EQ(metric("fresnel_http_requests_total{code=\"404\"}"), 1);
  EXPECT_GE(metric("fresnel_http_requests_total{code=\"200\"}"), 1);
  EXPECT_EQ(header_of(get("/metrics"), "content-type"), "text/plain; version=0.0.4; charset=utf-8");
}

TEST_F(Routes, EverythingIsBelowTheBaseUrl) {
  gateway::GatewayOptions options;
  options.base_url = "/tools/fresnel";
  start(options);
  EXPECT_EQ(get("/healthz").status, 200);
  EXPECT_EQ(get("/clusters/sim/version").status, 200);
  EXPECT_TRUE(open("/wsMultiplexer"));
  const auto outside = http({.url = "http://127.0.0.1:" + std::to_string(endpoint_.port) + "/healthz"});
  EXPECT_EQ(outside.status, 404);
}

TEST_F(Routes, StaticFilesAreServedBesideTheRoutes) {
  TempDir dir;
  dir.write("index.html", "<script src=\"./assets/a.js\">headlampBaseUrl = __baseUrl__");
  dir.write("app-BqKx91a2.js", std::string(700'000, 'x'));
  gateway::GatewayOptions options;
  options.html_static_dir = dir.path().string();
  start(options);
  EXPECT_EQ(get("/").body, "<script src=\"/assets/a.js\">headlampBaseUrl = '/'");
  EXPECT_EQ(get("/c/sim/pods").body, get("/").body);
  EXPECT_EQ(get("/missing.js").status, 404);
  const auto script = get("/app-BqKx91a2.js");
  EXPECT_EQ(script.body.size(), 700'000u);
  EXPECT_EQ(header_of(script, "content-length"), "700000");
  EXPECT_THAT(header_of(script, "cache-control"), HasSubstr("immutable"));
  EXPECT_EQ(get("/app-BqKx91a2.js", {"If-None-Match: " + header_of(script, "etag")}).status, 304);
  const auto head = ask("HEAD", "/app-BqKx91a2.js");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(header_of(head, "content-length"), "700000");
  EXPECT_EQ(ask("POST", "/").status, 405);
  EXPECT_THAT(raw("GET /../../etc/passwd HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"), HasSubstr(" 400 "));
  EXPECT_EQ(get("/config").status, 200);
}

TEST_F(Routes, ForeignOriginsAreRefusedAndNamedOnesGetCors) {
  gateway::GatewayOptions options;
  options.allowed_origins = {"http://dash.example"};
  start(options);
  const auto before = upstream_.requests();
  for (const auto* method : {"GET", "POST", "DELETE", "OPTIONS"}) {
    EXPECT_EQ(ask(method, "/clusters/up/echo", {"Origin: http://evil.example"}).status, 403) << method;
  }
  EXPECT_EQ(get("/clusters/up/echo", {"Origin: null"}).status, 403);
  EXPECT_EQ(upstream_.requests(), before);
  EXPECT_EQ(get("/clusters/up/echo", {"Origin: " + url_}).status, 200);

  const auto named = get("/clusters/up/echo", {"Origin: http://dash.example"});
  EXPECT_EQ(named.status, 200);
  EXPECT_EQ(header_of(named, "access-control-allow-origin"), "http://dash.example");
  EXPECT_EQ(header_of(get("/clusters/up/echo"), "access-control-allow-origin"), "");
  EXPECT_EQ(header_of(get("/config", {"Origin: http://dash.example"}), "access-control-allow-origin"),
            "http://dash.example");
  const auto preflight = ask("OPTIONS", "/clusters/up/echo",
                             {"Origin: http://dash.example", "Access-Control-Request-Method: DELETE",
                              "Access-Control-Request-Headers: authorization"});
  EXPECT_EQ(preflight.status, 204);
  EXPECT_THAT(header_of(preflight, "access-control-allow-methods"), HasSubstr("DELETE"));
  EXPECT_EQ(header_of(preflight, "access-control-allow-headers"), "authorization");
}

TEST_F(Routes, AnonymousClientsOnLoopbackOnly) {
  start();
  EXPECT_EQ(get("/clusters/sim/api/v1/pods").status, 200);
  // DNS rebinding: a page of another name that leads here.
  const auto rebound = get("/clusters/sim/api/v1/pods", {"Host: evil.example"});
  EXPECT_EQ(rebound.status, 401);
  EXPECT_THAT(rebound.body, HasSubstr("\"kind\":\"Status\""));
  EXPECT_EQ(open("/wsMultiplexer", {{"Host", "evil.example"}}).error().status, 401);

  gateway::GatewayOptions everywhere;
  everywhere.listen.host = "0.0.0.0";
  start(everywhere);
  EXPECT_EQ(get("/clusters/sim/api/v1/pods").status, 401);
  EXPECT_EQ(open("/wsMultiplexer").error().status, 401);
  EXPECT_EQ(open("/clusters/sim/api/v1/pods?watch=1").error().status, 401);
  EXPECT_EQ(get("/clusters/sim/version", {"Authorization: Bearer alice-token"}).status, 200);
  EXPECT_EQ(get("/clusters/sim/api/v1/pods", {"Authorization: Basic abc"}).status, 401);
  EXPECT_EQ(get("/healthz").status, 200);

  everywhere.allow_anonymous_clients = true;
  start(everywhere);
  EXPECT_EQ(get("/clusters/sim/api/v1/pods").status, 200);
}

TEST_F(Routes, TooManyConnectionsGet503AndProbesStillAnswer) {
  gateway::GatewayOptions options;
  options.max_connections = 2;
  start(options);
  auto one = open("/wsMultiplexer");
  auto two = open("/wsMultiplexer");
  ASSERT_TRUE(one && two);
  EXPECT_EQ(open("/wsMultiplexer").error().status, 503);
  EXPECT_EQ(get("/healthz").status, 200);
  EXPECT_EQ(metric("fresnel_connections{kind=\"multiplexer\"}"), 2);
  (*one)->abort();
  EXPECT_TRUE(ask_until([&] { return open("/wsMultiplexer").has_value(); }, 10s));
}

TEST_F(Routes, ASecondGatewayOnTheSamePortIsRefused) {
  start();
  gateway::GatewayOptions options;
  options.listen = endpoint_;
  options.threads = 2;
  gateway::Gateway second(options, gateway::Clusters(std::vector<kube::KubeconfigEntry>()));
  const auto started = second.start();
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().message, HasSubstr(endpoint_.to_string()));
}

TEST_F(Routes, BadOptionsAreErrorsOfStart) {
  gateway::GatewayOptions options;
  options.listen.port = 0;
  options.html_static_dir = "/no/such/folder";
  gateway::Gateway gateway(options, gateway::Clusters(std::vector<kube::KubeconfigEntry>()));
  EXPECT_FALSE(gateway.start());
}

}  // namespace
}  // namespace fresnel::test

// WebSockets of the gateway: the multiplexer, direct watches and tunnels.
#include <boost/json/parse.hpp>

#include "tests/gateway/fixture.hpp"

namespace fresnel::test {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class Sockets : public GatewayTest {
 protected:
  void make_pod(const std::string& name) {
    const std::string pod = R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":")" + name +
                            R"("},"spec":{"containers":[{"name":"c","image":"i"}]}})";
    ASSERT_EQ(ask("POST", kPods, {"Content-Type: application/json"}, pod).status, 201);
  }
  // The next message of a type.
  boost::json::value read_until(net::MessageStream& stream, std::string_view type) {
    for (;;) {
      const auto message = read(stream);
      if (!message) {
        ADD_FAILURE() << "no " << type << ": " << message.error().message;
        return boost::json::object{{"type", ""}, {"data", "{}"}};
      }
      auto value = boost::json::parse(message->payload);
      if (value.at("type").as_string() == boost::json::string_view(type)) return value;
    }
  }
  // How the stream ended, after whatever it still had to say.
  Error end_of(net::MessageStream& stream) {
    auto message = read(stream);
    while (message) message = read(stream);
    return message.error();
  }
  static std::string request(const std::string& cluster, const std::string& path, const std::string& query) {
    return R"({"clusterId":")" + cluster + R"(","path":")" + path + R"(","query":")" + query +
           R"(","userId":"u","type":"REQUEST"})";
  }

  const std::string kPods = "/clusters/sim/api/v1/namespaces/default/pods";
  const std::string kPodsPath = "/api/v1/namespaces/default/pods";
  const std::string kBearer = "base64url.bearer.authorization.k8s.io.";
};

TEST_F(Sockets, TheMultiplexerDeliversEvents) {
  start();
  make_pod("a");
  const auto socket = open("/wsMultiplexer").value();
  EXPECT_EQ(socket->protocol(), "");
  write(*socket, request("sim", kPodsPath, "watch=1"));
  EXPECT_THAT(std::string(read_until(*socket, "DATA").at("data").as_string()), HasSubstr("\"name\":\"a\""));
  (void)read_until(*socket, "COMPLETE");
  make_pod("b");
  EXPECT_THAT(std::string(read_until(*socket, "DATA").at("data").as_string()), HasSubstr("\"name\":\"b\""));
  EXPECT_EQ(metric("fresnel_upstream_watches{cluster=\"sim\"}"), 1);
  EXPECT_EQ(metric("fresnel_subscriptions{cluster=\"sim\"}"), 1);
  EXPECT_GE(metric("fresnel_events_out_total{cluster=\"sim\"}"), 2);
}

// Headlamp's frontend makes the path of the gateway's URL; its lists are found by the path as it was sent.
TEST_F(Sockets, AMultiplexersPathMayBeginWithTheBaseUrl) {
  gateway::GatewayOptions options;
  options.base_url = "/live";
  start(std::move(options));
  const auto socket = open("/wsMultiplexer").value();
  write(*socket, request("sim", "/live" + kPodsPath, "watch=1"));
  EXPECT_EQ(read_until(*socket, "COMPLETE").at("path").as_string(), "/live" + kPodsPath);
  write(*socket, request("sim", kPodsPath, "watch=1"));
  (void)read_until(*socket, "COMPLETE");
  EXPECT_EQ(metric("fresnel_upstream_watches{cluster=\"sim\"}"), 1);
  EXPECT_EQ(metric("fresnel_subscriptions{cluster=\"sim\"}"), 2);
}

TEST_F(Sockets, TheMultiplexersProtocolIsSelectedAndNoToken) {
  start();
  const auto socket = open("/wsMultiplexer", {},
                           {"base64url.headlamp.backend.authorization.k8s.io.dG9r", "headlamp.multiplexer.k8s.io"})
                          .value();
  EXPECT_EQ(socket->protocol(), "headlamp.multiplexer.k8s.io");
}

TEST_F(Sockets, AClientIsItsTokenOnTheMultiplexer) {
  start();
  const auto alice = open("/wsMultiplexer", {{"Authorization", "Bearer alice-token"}}).value();
  write(*alice, request("sim", kPodsPath, "watch=1"));
  EXPECT_THAT(std::string(read_until(*alice, "ERROR").at("data").as_string()), HasSubstr("403"));
  write(*alice, request("nowhere", kPodsPath, "watch=1"));
  EXPECT_THAT(std::string(read_until(*alice, "ERROR").at("data").as_string()), HasSubstr("404"));
}

TEST_F(Sockets, OversizedMessagesCloseWith1009) {
  gateway::GatewayOptions options;
  options.max_message = 1000;
  start(options);
  const auto socket = open("/wsMultiplexer").value();
  write(*socket, std::string(1001, 'x'));
  EXPECT_EQ(read(*socket).error().status, 1009);
  EXPECT_EQ(metric_once("fresnel_bad_client_input_total{kind=\"oversized_message\"}", 1), 1);
}

TEST_F(Sockets, ADirectWatchSpeaksAsTheApiServer) {
  start();
  make_pod("a");
  const auto socket = open(kPods + "?watch=1", {}, {"base64.binary.k8s.io"}).value();
  EXPECT_EQ(socket->protocol(), "base64.binary.k8s.io");
  const auto event = read(*socket).value();
  EXPECT_FALSE(event.binary);
  EXPECT_THAT(event.payload, StartsWith(R"({"type":"ADDED")"));
  EXPECT_EQ(metric("fresnel_connections{kind=\"direct\"}"), 1);
}

TEST_F(Sockets, ADirectWatchTakesTheTokenOfItsSubprotocol) {
  start();
  const auto alice = open(kPods + "?watch=1", {}, {kBearer + "YWxpY2UtdG9rZW4", "base64.binary.k8s.io"});
  ASSERT_FALSE(alice);
  EXPECT_EQ(alice.error().status, 403);
  const auto admin = open(kPods + "?watch=1", {}, {kBearer + "a3ViZWNvbmZpZy10b2tlbg", "base64.binary.k8s.io"});
  ASSERT_TRUE(admin);
  EXPECT_EQ((*admin)->protocol(), "base64.binary.k8s.io");
}

TEST_F(Sockets, RefusalsOfWatchesAreHttp) {
  start();
  EXPECT_EQ(open("/clusters/nowhere/api/v1/pods?watch=1").error().status, 404);
  EXPECT_EQ(open("/clusters/sim/api/v1/nonsense?watch=1").error().status, 404);
  EXPECT_EQ(open("/clusters/sim/healthz?watch=1").error().status, 400);
  EXPECT_EQ(open(kPods + "?watch=1", {{"Origin", "http://evil.example"}}).error().status, 403);
  EXPECT_EQ(open("/wsMultiplexer", {{"Origin", "http://evil.example"}}).error().status, 403);
  EXPECT_EQ(get("/wsMultiplexer").status, 426);
}

TEST_F(Sockets, OtherUpgradesAreTunnelledWithProtocolAndCloseCode) {
  start();
  make_pod("a");
  const std::string exec = kPods + "/a/exec?command=sh&stdin=1&stdout=1";
  EXPECT_EQ(open(exec, {{"Origin", "http://evil.example"}}).error().status, 403);
  const auto socket = open(exec, {}, {"v5.channel.k8s.io", "v4.channel.k8s.io"}).value();
  EXPECT_EQ(socket->protocol(), "v5.channel.k8s.io");
  std::string bytes(100'000, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7);
  write(*socket, bytes, true);
  const auto echoed = read(*socket).value();
  EXPECT_TRUE(echoed.binary);
  EXPECT_EQ(echoed.payload, bytes);
  EXPECT_EQ(metric("fresnel_connections{kind=\"tunnel\"}"), 1);
  sim_loop_.run([this] {
    sim_->server().stop();
    return 0;
  });
  EXPECT_FALSE(read(*socket));
}

TEST_F(Sockets, ATunnelIsOpenedAsTheClient) {
  start();
  make_pod("a");
  const std::string exec = kPods + "/a/exec?command=sh";
  const auto refused = open(exec, {}, {kBearer + "YWxpY2UtdG9rZW4", "v4.channel.k8s.io"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().status, 403);
}

TEST_F(Sockets, ARefusedUpgradeIsAnHttpAnswerOfTheGateway) {
  start();
  // Two requests on one connection: the second one must be the gateway's to route, not go on to the API server.
  const auto before = upstream_.requests();
  const auto answers =
      raw("GET /clusters/up/refuse HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade\r\nupgrade: SPDY/3.1\r\n\r\n"
          "GET /plugins HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
  EXPECT_THAT(answers, StartsWith("HTTP/1.1 403"));
  EXPECT_THAT(answers, HasSubstr("refused by the API server"));
  EXPECT_TRUE(answers.ends_with("[]")) << answers;
  EXPECT_EQ(upstream_.requests(), before + 1);
  EXPECT_EQ(open("/clusters/down/api/v1/namespaces/n/pods/p/exec").error().status, 502);
}

TEST_F(Sockets, StopClosesSocketsWith1001AndCutsTunnels) {
  start();
  make_pod("a");
  const auto multiplexer = open("/wsMultiplexer").value();
  write(*multiplexer, request("sim", kPodsPath, "watch=1"));
  (void)read_until(*multiplexer, "COMPLETE");
  const auto direct = open(kPods + "?watch=1").value();
  (void)read(*direct);
  const auto tunnel = open(kPods + "/a/exec?command=sh", {}, {"v4.channel.k8s.io"}).value();
  auto stopped = std::async(std::launch::async, [this] { stop(); });
  EXPECT_EQ(end_of(*multiplexer).status, 1001);
  EXPECT_EQ(end_of(*direct).status, 1001);
  EXPECT_NE(end_of(*tunnel).status, 1000);
  EXPECT_EQ(stopped.wait_for(10s), std::future_status::ready);
  EXPECT_FALSE(open("/wsMultiplexer"));
}

TEST_F(Sockets, StopDoesNotWaitForClientsThatDoNotAnswer) {
  start();
  const auto silent = open("/wsMultiplexer").value();  // nobody reads: its Close is never answered
  const auto begun = std::chrono::steady_clock::now();
  stop();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 8s);
}

}  // namespace
}  // namespace fresnel::test

// Clients that become somebody else while their sockets are open, and clusters that clients bring themselves.
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "fresnel/net/digest.hpp"
#include "tests/gateway/fixture.hpp"

namespace fresnel::test {
namespace {

namespace json = boost::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class NewerTokens : public GatewayTest {
 protected:
  void SetUp() override { options_.linger = Duration::zero(); }

  void make_pod(const std::string& name) {
    const std::string pod = R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":")" + name +
                            R"("},"spec":{"containers":[{"name":"c","image":"i"}]}})";
    ASSERT_EQ(ask("POST", "/clusters/sim" + kPods,
                  {"Content-Type: application/json", "Authorization: Bearer kubeconfig-token"}, pod)
                  .status,
              201);
  }
  static std::string request(const std::string& cluster, const std::string& query, const std::string& token = {},
                             const std::string& user = "u") {
    json::object message{
        {"clusterId", cluster}, {"path", kPods}, {"query", query}, {"userId", user}, {"type", "REQUEST"}};
    if (!token.empty()) message["token"] = token;
    return json::serialize(message);
  }
  // What the socket says until a DATA of an object with this name: types, and names of objects.
  std::vector<std::string> told_until(net::MessageStream& stream, const std::string& name) {
    std::vector<std::string> told;
    for (;;) {
      const auto message = next(stream);
      const auto type = std::string(message.at("type").as_string());
      if (type.empty()) return told;
      if (type == "STATUS") continue;
      if (type != "DATA") {
        told.push_back(type);
        if (type == name) return told;
        continue;
      }
      const auto event = json::parse(message.at("data").as_string());
      const auto* object_name = event.at("object").as_object().if_contains("metadata");
      const auto* text = object_name->as_object().if_contains("name");
      told.push_back(text != nullptr ? std::string(text->as_string()) : "?");
      if (told.back() == name) return told;
    }
  }

  // The data of the next ERROR message.
  std::string next_error(net::MessageStream& stream) {
    for (;;) {
      const auto message = next(stream);
      if (message.at("type").as_string() != "STATUS") {
        EXPECT_EQ(message.at("type").as_string(), "ERROR");
        return std::string(message.at("data").as_string());
      }
    }
  }

  static inline const std::string kPods = "/api/v1/namespaces/default/pods";
  gateway::GatewayOptions options_;
};

TEST_F(NewerTokens, ARequestsTokenMovesTheSocketsSubscriptionsWithoutAGapOrRepeat) {
  start(options_);
  make_pod("a");
  const auto socket = open("/wsMultiplexer").value();
  write(*socket, request("sim", "watch=1"));
  EXPECT_THAT(told_until(*socket, "COMPLETE"), ElementsAre("a", "COMPLETE"));
  write(*socket, request("sim", "watch=1", "second-token"));
  make_pod("b");
  EXPECT_THAT(told_until(*socket, "b"), ElementsAre("b"));
  make_pod("c");
  EXPECT_THAT(told_until(*socket, "c"), ElementsAre("c"));
  EXPECT_EQ(metric_once("fresnel_upstream_watches{cluster=\"sim\"}", 1), 1);
  // As alice, who may see nothing: the token is what the subscription asks with, and another cluster's is not.
  write(*socket, request("up", "watch=1", "alice-token"));
  make_pod("d");
  EXPECT_THAT(told_until(*socket, "d"), testing::Contains("d"));
  write(*socket, request("sim", "watch=1", "alice-token"));
  EXPECT_THAT(told_until(*socket, "ERROR"), testing::Contains("ERROR"));
  write(*socket, request("sim", "watch=1", "a b"));
  EXPECT_THAT(next_error(*socket), HasSubstr("token: expected visible ASCII"));
}

TEST_F(NewerTokens, SetTokenMovesTheSocketsOfItsBrowserAndOfNoOther) {
  start(options_);
  make_pod("a");
  const auto session = [&] {
    const auto cookie = header_of(get("/config"), "set-cookie");
    return cookie.substr(0, cookie.find(';'));
  };
  const auto mine = session();
  const auto other = session();
  ASSERT_THAT(mine, testing::StartsWith("fresnel-session="));
  ASSERT_NE(mine, other);
  EXPECT_THAT(header_of(get("/config", {"Cookie: " + mine}), "set-cookie"), testing::StartsWith(mine + ";"));

  const auto watch = "/clusters/sim" + kPods + "?watch=1";
  const auto socket = open("/wsMultiplexer", {{"Cookie", mine}}).value();
  const auto direct = open(watch, {{"Cookie", mine}}).value();
  const auto others = open("/wsMultiplexer", {{"Cookie", other}}).value();
  write(*socket, request("sim", "watch=1"));
  write(*others, request("sim", "watch=1"));
  EXPECT_THAT(told_until(*socket, "COMPLETE"), ElementsAre("a", "COMPLETE"));
  EXPECT_THAT(told_until(*others, "COMPLETE"), ElementsAre("a", "COMPLETE"));
  EXPECT_THAT(read(*direct).value().payload, HasSubstr("\"name\":\"a\""));

  std::string stored;  // as the browser has it
  const auto set = [&](const std::string& token) {
    const auto cookies = mine + (stored.empty() ? "" : "; headlamp-auth-sim.0=" + stored);
    stored = token;
    return ask("POST", "/clusters/sim/set-token", {"Cookie: " + cookies}, R"({"token":")" + token + R"("})").status;
  };
  EXPECT_EQ(set("second-token"), 200);
  make_pod("b");
  EXPECT_THAT(told_until(*socket, "b"), ElementsAre("b"));
  EXPECT_THAT(told_until(*others, "b"), ElementsAre("b"));
  EXPECT_THAT(read(*direct).value().payload, HasSubstr("\"name\":\"b\""));
  EXPECT_EQ(metric_once("fresnel_upstream_watches{cluster=\"sim\"}", 2), 2);

  EXPECT_EQ(set("alice-token"), 200);
  EXPECT_THAT(told_until(*socket, "ERROR"), ElementsAre("ERROR"));
  // As kube-apiserver ends a watch: an ERROR event, then the end.
  const auto refused = json::parse(read(*direct).value().payload);
  EXPECT_EQ(refused.at("type").as_string(), "ERROR");
  EXPECT_EQ(refused.at("object").at("code").as_int64(), 403);
  EXPECT_EQ(read(*direct).error().status, 1000);
  make_pod("c");
  EXPECT_THAT(told_until(*others, "c"), ElementsAre("c"));
}

// A page that has the right session's cookie but not the token that a socket asks with, or none: that socket is not
// its.
TEST_F(NewerTokens, SetTokenLeavesAloneWhoAsksWithATokenOfHisOwnAndWhoHasNoBrowser) {
  start(options_);
  make_pod("a");
  const std::string session = "fresnel-session=0123456789abcdef0123456789abcdef";
  const auto own = open("/wsMultiplexer", {{"Cookie", session}, {"Authorization", "Bearer second-token"}}).value();
  const auto program = open("/wsMultiplexer", {{"Authorization", "Bearer second-token"}}).value();
  for (const auto* socket : {&own, &program}) {
    write(**socket, request("sim", "watch=1"));
    EXPECT_THAT(told_until(**socket, "COMPLETE"), ElementsAre("a", "COMPLETE"));
  }
  for (const std::string& cookie : {session, std::string("fresnel-session="), std::string("fresnel-session=short")}) {
    EXPECT_EQ(ask("POST", "/clusters/sim/set-token", {"Cookie: " + cookie}, R"({"token":"alice-token"})").status, 200);
  }
  make_pod("b");
  EXPECT_THAT(told_until(*own, "b"), ElementsAre("b"));
  EXPECT_THAT(told_until(*program, "b"), ElementsAre("b"));
}

TEST_F(NewerTokens, ARepeatedTokenChangesNothingAndOneForAnUnknownClusterIsRefused) {
  start(options_);
  make_pod("a");
  const auto socket = open("/wsMultiplexer").value();
  write(*socket, request("sim", "watch=1", "second-token"));
  EXPECT_THAT(told_until(*socket, "COMPLETE"), ElementsAre("a", "COMPLETE"));
  write(*socket, request("sim", "watch=1", "second-token"));
  write(*socket, request("nowhere", "watch=1", "second-token"));
  EXPECT_THAT(next_error(*socket), HasSubstr("404"));
  make_pod("b");
  EXPECT_THAT(told_until(*socket, "b"), ElementsAre("b"));
}

TEST_F(NewerTokens, LoggingOutEndsWhatTheTokenHadOpened) {
  options_.listen.host = "0.0.0.0";
  start(options_);
  make_pod("a");
  const std::string cookies = "fresnel-session=0123456789abcdef0123456789abcdef; headlamp-auth-sim.0=second-token";
  const auto socket = open("/wsMultiplexer", {{"Cookie", cookies}}).value();
  write(*socket, request("sim", "watch=1"));
  EXPECT_THAT(told_until(*socket, "COMPLETE"), ElementsAre("a", "COMPLETE"));
  EXPECT_EQ(ask("POST", "/clusters/sim/set-token", {"Cookie: " + cookies}, R"({"token":null})").status, 200);
  EXPECT_EQ(json::parse(next_error(*socket)).at("code").as_int64(), 401);
  EXPECT_EQ(open("/wsMultiplexer", {{"Cookie", "fresnel-session=0123456789abcdef0123456789abcdef"}}).error().status,
            401);
}

TEST_F(NewerTokens, ASocketsBearerTokenGoesToItsFirstClusterOnly) {
  start(options_);
  const auto before = upstream_.requests();
  const auto socket = open("/wsMultiplexer", {{"Authorization", "Bearer second-token"}}).value();
  write(*socket, request("sim", "watch=1"));
  EXPECT_THAT(told_until(*socket, "COMPLETE"), ElementsAre("COMPLETE"));
  write(*socket, request("up", "watch=1"));
  EXPECT_THAT(next_error(*socket), HasSubstr("expected one for \\\"up\\\""));
  EXPECT_EQ(upstream_.requests(), before);
}

class BroughtClusters : public NewerTokens {
 protected:
  void SetUp() override {
    NewerTokens::SetUp();
    options_.enable_dynamic_clusters = true;
  }
  // The fields that a stateless frontend sends with each request.
  std::vector<std::string> brings(const std::string& name, const std::string& user_entry, const std::string& id) {
    const std::string config = "contexts: [{name: " + name +
                               ", context: {cluster: k, user: u}}]\nclusters: [{name: k, cluster: {server: '" +
                               sim_->url() + "'}}]\nusers: [{name: u, user: {" + user_entry + "}}]\n";
    return {"KUBECONFIG: " + net::to_base64(config), "X-HEADLAMP-USER-ID: " + id};
  }
  const std::string kId = "f075623f9be8c74f";
};

TEST_F(BroughtClusters, ServeRequestsMultiplexerAndDirectSocketsOfTheirUser) {
  start(options_);
  make_pod("a");
  const std::string list = "/clusters/mine" + kPods;
  EXPECT_THAT(get("/config").body, HasSubstr(R"("isDynamicClusterEnabled":true)"));
  EXPECT_EQ(get(list).status, 404);
  const auto listed = get(list, brings("mine", "token: second-token", kId));
  EXPECT_EQ(listed.status, 200);
  EXPECT_THAT(listed.body, HasSubstr("\"name\":\"a\""));

  const auto socket = open("/wsMultiplexer").value();
  write(*socket, request("mine", "watch=1", {}, kId));
  EXPECT_THAT(told_until(*socket, "COMPLETE"), ElementsAre("a", "COMPLETE"));
  write(*socket, request("mine", "watch=1&x=1", {}, "0000000000000000"));
  EXPECT_THAT(next_error(*socket), HasSubstr("404"));

  const std::string protocol = "base64url.headlamp.authorization.k8s.io.";
  const auto direct = open(list + "?watch=1", {}, {"base64.binary.k8s.io", protocol + kId}).value();
  EXPECT_EQ(direct->protocol(), "base64.binary.k8s.io");
  EXPECT_THAT(read(*direct).value().payload, HasSubstr("\"name\":\"a\""));
  EXPECT_EQ(open(list + "?watch=1", {}, {protocol + "0000000000000000"}).error().status, 404);
  // A request with the id alone is enough once the cluster is known, and nothing of it reaches the API server.
  EXPECT_EQ(get(list, {"X-HEADLAMP-USER-ID: " + kId}).status, 200);
}

TEST_F(BroughtClusters, MayNotHaveTheNameOfAClusterThatIsServed) {
  start(options_);
  const auto before = upstream_.requests();
  const std::string list = "/clusters/up" + kPods;
  EXPECT_EQ(get(list, brings("up", "", kId)).status, 409);
  const auto socket = open("/wsMultiplexer", {{"Cookie", "headlamp-auth-sim.0=second-token"}}).value();
  write(*socket, request("sim", "watch=1", {}, kId));
  EXPECT_THAT(told_until(*socket, "COMPLETE"), ElementsAre("COMPLETE"));
  EXPECT_EQ(upstream_.requests(), before);
}

// Its server may be the gateway itself, which must not take itself for a client on its own machine.
TEST_F(BroughtClusters, AreLentNothingByThisGateway) {
  start(options_);
  make_pod("a");
  const auto itself = [&](const std::string& user) {
    const std::string config =
        "contexts: [{name: self, context: {cluster: k, user: u}}]\nclusters: [{name: k, cluster: {server: '" + url_ +
        "/clusters/sim'}}]\nusers: [{name: u, user: {" + user + "}}]\n";
    return std::vector<std::string>{"KUBECONFIG: " + net::to_base64(config), "X-HEADLAMP-USER-ID: " + kId};
  };
  const std::string list = "/clusters/self" + kPods;
  EXPECT_EQ(get(list, itself("token: second-token")).status, 200);
  EXPECT_EQ(get(list, itself("")).status, 401);
  EXPECT_EQ(open(list + "?watch=1", {}, {"base64url.headlamp.authorization.k8s.io." + kId}).error().status, 401);
  EXPECT_EQ(open(list + "/a/exec", {}, {"base64url.headlamp.authorization.k8s.io." + kId}).error().status, 401);
}

TEST_F(BroughtClusters, AreCountedTogetherAndMayBeLarge) {
  start(options_);
  auto large = brings("mine", "token: second-token", kId);
  large.front() = "KUBECONFIG: " + net::to_base64("# " + std::string(40'000, 'x') + "\n" +
                                                  net::from_base64(large.front().substr(12)).value());
  EXPECT_EQ(get("/clusters/mine" + kPods, large).status, 200);
  const auto socket = open("/wsMultiplexer").value();
  write(*socket, request("mine", "watch=1", {}, kId));
  EXPECT_THAT(told_until(*socket, "COMPLETE"), ElementsAre("COMPLETE"));
  EXPECT_EQ(metric("fresnel_upstream_watches{cluster=\"(brought)\"}"), 1);
  EXPECT_THAT(get("/metrics").body, Not(HasSubstr("mine")));
}

TEST_F(BroughtClusters, NameNoFilesAndNeedAnIdThatNobodyGuesses) {
  start(options_);
  const std::string version = "/clusters/mine/version";
  EXPECT_EQ(get(version, brings("mine", "token: second-token", "short")).status, 400);
  for (const std::string user :
       {"tokenFile: /etc/hostname", "exec: {command: id}", "client-certificate: /a, client-key: /b"}) {
    const auto refused = get(version, brings("mine", user, kId));
    EXPECT_EQ(refused.status, 400) << user;
    EXPECT_THAT(refused.body, HasSubstr("is not allowed in a kubeconfig that a client sends"));
  }
  EXPECT_EQ(get(version, {"KUBECONFIG: %%%", "X-HEADLAMP-USER-ID: " + kId}).status, 400);
  EXPECT_EQ(get("/clusters/other/version", brings("mine", "token: t", kId)).status, 404);
  EXPECT_EQ(get(version, {"X-HEADLAMP-USER-ID: " + kId}).status, 404);
}

TEST_F(NewerTokens, ClustersOfClientsAreOffByDefault) {
  start(options_);
  EXPECT_THAT(get("/config").body, HasSubstr(R"("isDynamicClusterEnabled":false)"));
  const auto echoed = get("/clusters/up/echo", {"KUBECONFIG: a", "X-HEADLAMP-USER-ID: f075623f9be8c74f"});
  EXPECT_EQ(echoed.status, 200);
  EXPECT_THAT(echoed.body, Not(HasSubstr("KUBECONFIG")));
  EXPECT_THAT(echoed.body, Not(HasSubstr("f075623f9be8c74f")));
}

}  // namespace
}  // namespace fresnel::test

// As whom a client's requests reach a cluster: cookies, backend token, impersonation, what renews itself.
#include <atomic>
#include <boost/json/parse.hpp>
#include <regex>

#include "fresnel/base/base64url.hpp"
#include "fresnel/gateway/token_cookies.hpp"
#include "fresnel/kube/token_file.hpp"
#include "fresnel/net/digest.hpp"
#include "fresnel/net/proxy_testing.hpp"
#include "tests/gateway/fixture.hpp"
#include "tests/support/temp_dir.hpp"

namespace fresnel::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// An expired token, and once that is refused, a good one.
class TwoTokens final : public kube::CredentialSource {
 public:
  [[nodiscard]] const std::string& identity() const noexcept override { return identity_; }
  [[nodiscard]] awaitable<result<kube::Credential>> get() override {
    kube::Credential credential;
    credential.bearer_token = refused_ ? "kubeconfig-token" : "expired-token";
    co_return credential;
  }
  void refused(const kube::Credential&) override { refused_ = true; }
  [[nodiscard]] std::uint64_t generation() override { return refused_ ? 2 : 1; }

 private:
  std::string identity_ = "two tokens";
  std::atomic<bool> refused_{false};
};

class Credentials : public GatewayTest {
 protected:
  // What the API server is sent as Authorization.
  std::string authorization(const std::string& cluster, std::vector<std::string> headers) {
    std::istringstream lines(get("/clusters/" + cluster + "/echo", std::move(headers)).body);
    std::string all;
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("Authorization: ") || line.starts_with("authorization: ")) all += line.substr(15);
    }
    return all;
  }
  // Name -> value of the cookies that a reply sets for all paths; attributes apart.
  static std::map<std::string, std::string> cookies_of(const HttpReply& reply) {
    std::map<std::string, std::string> cookies;
    for (const auto& line : reply.headers) {
      if (line.find("; Path=/;") == std::string::npos) continue;
      std::smatch parts;
      if (std::regex_search(line, parts, std::regex("^[Ss]et-[Cc]ookie: ([^=]+)=([^;]*)")))
        cookies[parts[1]] = parts[2];
    }
    return cookies;
  }
  static std::string cookie_field(const std::map<std::string, std::string>& cookies) {
    std::string field = "Cookie: other=1";
    for (const auto& [name, value] : cookies) field += "; " + name + "=" + value;
    return field;
  }
  HttpReply set_token(const std::string& cluster, const std::string& token, std::vector<std::string> headers = {}) {
    return ask("POST", "/clusters/" + cluster + "/set-token", std::move(headers), R"({"token":")" + token + R"("})");
  }

  const std::string kArn = "arn%3Aaws%3Aeks%3Aeu%3A1%3Acluster%2Fprod";
};

TEST_F(Credentials, TheTokenOfTheClustersCookieIsTheClients) {
  start();
  EXPECT_EQ(authorization("up", {"Cookie: a=b; headlamp-auth-up.0=one; c=d"}), "Bearer one");
  EXPECT_EQ(authorization("up", {"Cookie: headlamp-auth-up.0=one; headlamp-auth-up.1=two; headlamp-auth-up.3=x"}),
            "Bearer onetwo");
  EXPECT_EQ(authorization("up", {"Cookie: headlamp-auth-down.0=other"}), "Bearer kubeconfig-token");
  EXPECT_EQ(authorization("up", {"Cookie: headlamp-auth-up.0=one", "Authorization: Bearer mine"}), "Bearer mine");
  EXPECT_THAT(get("/clusters/up/echo", {"Cookie: headlamp-auth-up.0=one; a=b"}).body,
              AllOf(Not(HasSubstr("ookie")), Not(HasSubstr("a=b"))));
  EXPECT_EQ(get("/clusters/up/echo", {"Cookie: headlamp-auth-up.0=o\tne"}).status, 401);
}

TEST_F(Credentials, CookiesOfNamesThatAreCutBelongToOneCluster) {
  start();
  // Another cluster's: "arn:aws:eks:eu:1:cluster/prod" and "arnawseks:eu1clusterprod" would share it.
  EXPECT_EQ(authorization(kArn, {"Cookie: headlamp-auth-arnawsekseu1clusterprod.0=other"}), "Bearer kubeconfig-token");
  const std::string digest = net::sha256_hex("arn:aws:eks:eu:1:cluster/prod").substr(0, 32);
  EXPECT_EQ(authorization(kArn, {"Cookie: headlamp-auth-arnawsekseu1clusterprod-" + digest + ".0=mine"}),
            "Bearer mine");
  // As newer headlamp-servers store every cluster's.
  EXPECT_EQ(authorization("up", {"Cookie: headlamp-auth-up.0=old; headlamp-auth-up-" +
                                 net::sha256_hex("up").substr(0, 32) + ".0=new"}),
            "Bearer new");
}

TEST_F(Credentials, SetTokenStoresAndClearsHttpOnlyCookies) {
  start();
  const std::string token = std::string(4000, 'a') + std::string(4000, 'b');
  for (const auto& cluster : {std::string("up"), kArn}) {
    const auto stored = set_token(cluster, token);
    EXPECT_EQ(stored.status, 200);
    auto cookies = cookies_of(stored);
    EXPECT_EQ(authorization(cluster, {cookie_field(cookies)}), "Bearer " + token);
    for (const auto& line : stored.headers) {
      if (!line.starts_with("set-cookie") && !line.starts_with("Set-Cookie")) continue;
      EXPECT_THAT(line, AllOf(HasSubstr("; Path=/"), HasSubstr("; HttpOnly"), HasSubstr("; SameSite=Strict")));
      EXPECT_THAT(line, Not(HasSubstr("Secure")));
    }
    EXPECT_THAT(header_of(set_token(cluster, "t", {"X-Forwarded-Proto: https"}), "set-cookie"), HasSubstr("; Secure"));

    const auto shorter = cookies_of(set_token(cluster, "short", {cookie_field(cookies)}));
    for (const auto& [name, value] : shorter) cookies[name] = value;
    std::erase_if(cookies, [](const auto& cookie) { return cookie.second.empty(); });
    EXPECT_EQ(authorization(cluster, {cookie_field(cookies)}), "Bearer short");

    for (const auto& [name, value] : cookies_of(set_token(cluster, "", {cookie_field(cookies)}))) cookies[name] = value;
    std::erase_if(cookies, [](const auto& cookie) { return cookie.second.empty(); });
    EXPECT_EQ(authorization(cluster, {cookie_field(cookies)}), "Bearer kubeconfig-token");
  }
}

// Browsers send a cookie of a longer path first, and headlamp-server's have one.
TEST_F(Credentials, SetTokenRemovesWhatAHeadlampServerStored) {
  start();
  const auto stored = set_token("up", "new", {"Cookie: headlamp-auth-up.0=old; headlamp-auth-up.1=er"});
  std::string removed;
  for (const auto& line : stored.headers) {
    if (line.find("; Path=/clusters/up;") != std::string::npos) removed += line.substr(12, line.find(';') - 11);
  }
  EXPECT_EQ(removed, "headlamp-auth-up.0=;headlamp-auth-up.1=;");
}

TEST_F(Credentials, SetTokenRefusesWhatIsNoToken) {
  start();
  for (const std::string body : {"", "{", "[]", "null", R"({"token":5})", R"({"token":"a b"})", R"({"token":"a;b"})"}) {
    const auto reply = ask("POST", "/clusters/up/set-token", {}, body);
    EXPECT_EQ(reply.status, 400) << body;
    EXPECT_THAT(reply.body, HasSubstr("expected")) << body;
  }
  EXPECT_EQ(ask("POST", "/clusters/up/set-token", {}, R"({"token":")" + std::string(17'000, 'a') + "\"}").status, 400);
  EXPECT_EQ(get("/clusters/up/set-token").status, 405);
  EXPECT_EQ(set_token("nowhere", "t").status, 404);
  EXPECT_EQ(set_token("up", "t", {"Origin: http://evil.example"}).status, 403);
  EXPECT_EQ(upstream_.requests(), 0);
  EXPECT_EQ(metric("fresnel_bad_client_input_total{kind=\"request_body\"}"), 8);
}

TEST_F(Credentials, TheBackendTokenIsAskedForWhereADesktopsFrontendSendsIt) {
  gateway::GatewayOptions options;
  options.backend_token = "desktop";
  start(options);
  const std::string good = "X-HEADLAMP_BACKEND-TOKEN: desktop";
  const std::string protocol = "base64url.headlamp.backend.authorization.k8s.io.";
  for (const std::string path : {"/config", "/plugins", "/clusters/up/echo"}) {
    EXPECT_EQ(get(path).status, 403) << path;
    EXPECT_EQ(get(path, {"X-HEADLAMP_BACKEND-TOKEN: other"}).status, 403) << path;
    EXPECT_EQ(get(path, {good}).status, 200) << path;
  }
  EXPECT_THAT(get("/clusters/up/echo", {good}).body, Not(HasSubstr("desktop")));
  EXPECT_EQ(open("/wsMultiplexer").error().status, 403);
  EXPECT_EQ(
      open("/wsMultiplexer", {}, {protocol + to_base64url("other"), "headlamp.multiplexer.k8s.io"}).error().status,
      403);
  const auto socket = open("/wsMultiplexer", {}, {protocol + to_base64url("desktop"), "headlamp.multiplexer.k8s.io"});
  EXPECT_EQ(socket.value()->protocol(), "headlamp.multiplexer.k8s.io");
  EXPECT_EQ(get("/healthz").status, 200);
}

TEST_F(Credentials, MeIsWhomTheApiServerSees) {
  start();
  const auto me = [&](std::vector<std::string> headers) { return get("/clusters/sim/me", std::move(headers)); };
  EXPECT_EQ(me({}).body,
            R"({"username":"admin","email":"","groups":["system:masters","system:authenticated"],"userInfoURL":""})");
  EXPECT_THAT(me({"Cookie: headlamp-auth-sim.0=alice-token"}).body, HasSubstr(R"("username":"alice")"));
  EXPECT_EQ(me({"Authorization: Bearer nobodys"}).status, 401);
  EXPECT_EQ(get("/clusters/down/me").status, 502);
}

TEST_F(Credentials, ClientsImpersonateOnlyWhereTheClusterDoesNot) {
  start();
  const std::vector<std::string> fields = {"Impersonate-User: bob", "Impersonate-Group: dev", "Impersonate-Extra-A: b"};
  const auto own = get("/clusters/up/echo", fields).body;
  EXPECT_THAT(own, AllOf(HasSubstr("Impersonate-User: bob"), HasSubstr("Impersonate-Group: dev"),
                         HasSubstr("Impersonate-Extra-A: b")));
  const auto fixed = get("/clusters/as-carol/echo", fields).body;
  EXPECT_THAT(fixed, AllOf(HasSubstr("Impersonate-User: carol"), Not(HasSubstr("bob")), Not(HasSubstr("dev"))));
  EXPECT_THAT(get("/clusters/as-carol/echo", {"Authorization: Bearer mine", "Impersonate-User: bob"}).body,
              AllOf(HasSubstr("Impersonate-User: bob"), Not(HasSubstr("carol"))));
  // A watch is shared by those who are seen as the same user only.
  const auto watch = [&](net::Headers headers) { return open("/clusters/up/stream?watch=1", std::move(headers)); };
  EXPECT_EQ(watch({{"Impersonate-User", "bob"}}).error().status, 400);  // no API path, but it got that far
}

TEST_F(Credentials, RequestsWatchesAndUpgradesGoThroughTheClustersProxy) {
  std::unique_ptr<net::testing::TestProxy> proxy;
  net::testing::TestProxyOptions options;
  options.kind = net::Proxy::Kind::socks5;
  options.username = "ann";
  options.password = "secret";
  proxy_url_ = sim_loop_.run([&] {
    proxy = std::make_unique<net::testing::TestProxy>(sim_loop_.io(), options);
    return proxy->url("ann:secret@");
  });
  start();
  const std::string pods = "/clusters/proxied/api/v1/namespaces/default/pods";
  const auto asked = [&] { return sim_loop_.run([&] { return proxy->asked(); }); };
  EXPECT_EQ(get(pods).status, 200);
  const auto by_request = asked();
  ASSERT_EQ(by_request.size(), 1u);
  EXPECT_THAT(by_request.front(), HasSubstr("SOCKS sim.invalid:"));
  EXPECT_TRUE(open(pods + "?watch=1"));
  EXPECT_EQ(open(pods + "/gone/exec?command=sh").error().status, 404);
  EXPECT_GT(asked().size(), by_request.size());
  stop();
  sim_loop_.run([&] {
    proxy.reset();
    return 0;
  });
}

TEST_F(Credentials, TheServersPathPrefixIsKeptOnEveryUpgrade) {
  start();
  const auto upgrade = [&](const std::string& path) {
    return raw("GET " + path +
               " HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade\r\nupgrade: SPDY/3.1\r\n\r\n"
               "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
  };
  EXPECT_THAT(upgrade("/clusters/up/api/v1/namespaces/n/pods/p/exec?command=sh"),
              HasSubstr("GET /prefix/api/v1/namespaces/n/pods/p/exec?command=sh\n"));
  EXPECT_THAT(upgrade("/clusters/" + kArn + "/api/v1/x"), HasSubstr("GET /api/v1/x\n"));
  // A watch is a request of the gateway's own.
  EXPECT_FALSE(open("/clusters/up/api/v1/pods?watch=1"));
  EXPECT_THAT(upstream_.targets(), testing::Contains(testing::StartsWith("/prefix/api/v1/pods?limit=")));
}

TEST_F(Credentials, A401RenewsTheCredentialOfRequestsAndUpgrades) {
  TempDir dir;
  const auto file = dir.write("token", "expired-token");
  renewing_ = std::make_shared<kube::TokenFile>(file.string(), "test", "");
  start();
  EXPECT_EQ(get("/clusters/renewing/api/v1/namespaces/default/pods").status, 401);
  // Within the clock's grain, so that only the refusal tells that the file is another one.
  dir.write("token", "kubeconfig-token");
  EXPECT_EQ(get("/clusters/renewing/api/v1/namespaces/default/pods").status, 200);
  EXPECT_TRUE(open("/clusters/renewing/api/v1/namespaces/default/pods?watch=1"));
}

TEST_F(Credentials, A401ToAnUpgradeRenewsTheCredential) {
  renewing_ = std::make_shared<TwoTokens>();
  start();
  EXPECT_EQ(open("/clusters/renewing/api/v1/namespaces/default/pods/gone/exec?command=sh").error().status, 404);
}

TEST_F(Credentials, BasicAuthReachesTheServer) {
  start();
  EXPECT_EQ(authorization("basic", {}), "Basic YW5uOnBhc3M=");
  EXPECT_EQ(authorization("basic", {"Authorization: Bearer mine"}), "Bearer mine");
}

}  // namespace
}  // namespace fresnel::test

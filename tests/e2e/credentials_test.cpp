// Credentials that change while clients watch, on a simulated and on the real API server: nobody misses an event,
// nobody sees one twice, and nobody keeps a right that is gone.
#include <filesystem>
#include <utility>

#include "fresnel/base/base64url.hpp"
#include "tests/e2e/harness.hpp"
#include "tests/e2e/sim_control.hpp"

namespace fresnel::test {
namespace {

using Type = wire::ServerMessage::Type;
using State = client::SubscriptionState;

class Credentials : public EndToEnd {
 protected:
  void SetUp() override { cluster_.put(ns_, "a", "1"); }

  // As editors and Kubernetes do it: readers see the old file or the new one.
  void replace(const std::string& name, const std::string& text) {
    const auto fresh = dir_.write(name + ".new", text);
    std::filesystem::rename(fresh, dir_.path() / name);
  }
  [[nodiscard]] std::string config(const std::string& user) const {
    return cluster_.kubeconfig_of(kCluster, server_link_.port(), user);
  }
  [[nodiscard]] std::string request_with_token(std::string_view query, std::string_view token) const {
    auto text = request(query);
    text.pop_back();
    return text + R"(,"token":")" + std::string(token) + "\"}";
  }
  // Names of the objects that a client has been told of, in order.
  [[nodiscard]] std::vector<std::string> names(const RawClient& client) const {
    std::vector<std::string> names;
    for (const auto& event : client.events(list_path(), "watch=1")) names.emplace_back(event.name);
    return names;
  }
  [[nodiscard]] HttpReply get(const std::string& path, std::vector<std::string> headers = {}) const {
    return http({.url = gateway_url() + path, .headers = std::move(headers)});
  }
  using Names = std::vector<std::string>;
};
INSTANTIATE_TEST_SUITE_P(Clusters, Credentials, testing::ValuesIn(cluster_kinds()), KindName());

TEST_P(Credentials, ATokenFileIsReadAgainWhenItChanges) {
  replace("token", "admin-token");
  use_kubeconfig(config("{tokenFile: token}"));
  start_gateway();
  const auto multiplexer = connect();
  Recorder recorder(*multiplexer, key());
  ASSERT_TRUE(until([&] { return recorder.live(); }));
  // Somebody who may see nothing: the watch is opened again as him, and refused.
  replace("token", "alice-token");
  ASSERT_TRUE(until([&] {
    const auto error = recorder.status().last_error;
    return error && error->message.find("alice") != std::string::npos;
  }));
  cluster_.put(ns_, "b", "1");
  cluster_.remove(ns_, "a");
  EXPECT_EQ(get("/clusters/east" + list_path()).status, 403);
  replace("token", "second-token");
  expect_truth(recorder);
  EXPECT_EQ(get("/clusters/east" + list_path()).status, 200);
}

TEST_P(Credentials, AnotherTokenInTheKubeconfigMovesTheSubscriptions) {
  const int before = cluster_.open_watches();
  use_kubeconfig(config("{token: admin-token}"));
  start_gateway({"--linger", "0s"});
  const auto multiplexer = connect();
  Recorder recorder(*multiplexer, key());
  const auto direct = raw(direct_path("watch=1"));
  ASSERT_TRUE(until([&] { return recorder.live() && direct->received().size() == 1; }));
  for (int i = 0; i < 20; ++i) cluster_.put(ns_, "before-" + std::to_string(i), "1");
  replace("kubeconfig", config("{token: second-token}"));
  for (int i = 0; i < 20; ++i) cluster_.put(ns_, "while-" + std::to_string(i), "1");
  ASSERT_TRUE(gateway_->wait_for_error_output("goes on with another credential", 30s));
  for (int i = 0; i < 20; ++i) cluster_.put(ns_, "after-" + std::to_string(i), "1");
  expect_truth(recorder);
  EXPECT_TRUE(until([&] { return direct->received().size() >= 61; }));
  EXPECT_EQ(direct->received().size(), 61u) << "an event was told twice";
  EXPECT_TRUE(ask_until([&] { return cluster_.open_watches() - before == 1; }, 30s));
  // A user who may not: each subscription is told so.
  replace("kubeconfig", config("{token: alice-token}"));
  EXPECT_TRUE(until([&] { return recorder.status().last_error && recorder.status().last_error->status == 403; }));
  EXPECT_TRUE(until([&] { return direct->error().has_value(); }));
  EXPECT_NE(direct->received().back().find(R"("code":403)"), std::string::npos) << direct->received().back();
}

TEST_P(Credentials, ABrokenKubeconfigChangesNothing) {
  use_kubeconfig(config("{token: admin-token}"));
  start_gateway();
  const auto multiplexer = connect();
  Recorder recorder(*multiplexer, key());
  ASSERT_TRUE(until([&] { return recorder.live(); }));
  replace("kubeconfig", "clusters: [");
  ASSERT_TRUE(gateway_->wait_for_error_output("the clusters stay as they were: kubeconfig", 30s));
  cluster_.put(ns_, "b", "1");
  expect_truth(recorder);
}

TEST_P(Credentials, ARequestsTokenMovesTheSubscriptionsOfItsSocket) {
  const int before = cluster_.open_watches();
  start_gateway({"--linger", "0s"});
  const auto client = raw_multiplexer();
  const auto other = raw_multiplexer();
  client->send(request("watch=1"));
  other->send(request("watch=1"));
  ASSERT_TRUE(until([&] { return names(*client) == Names{"a"} && names(*other) == Names{"a"}; }));
  client->send(request_with_token("watch=1", "second-token"));
  cluster_.put(ns_, "b", "1");
  ASSERT_TRUE(until([&] { return names(*client).size() == 2; }));
  ASSERT_TRUE(ask_until([&] { return cluster_.open_watches() - before == 2; }, 30s));
  cluster_.put(ns_, "c", "1");
  EXPECT_TRUE(until([&] { return names(*client).size() >= 3 && names(*other).size() >= 3; }));
  EXPECT_EQ(names(*client), (Names{"a", "b", "c"}));
  EXPECT_EQ(client->count(Type::complete, "watch=1"), 1);
  client->send(request_with_token("watch=1", "alice-token"));
  EXPECT_TRUE(until([&] { return client->count(Type::error, "watch=1") == 1; }));
  EXPECT_EQ(other->count(Type::error, "watch=1"), 0);
}

TEST_P(Credentials, SetTokenMovesTheSubscriptionsOfItsBrowser) {
  start_gateway({"--linger", "0s"});
  const net::Headers browser{{"Cookie", "fresnel-session=0123456789abcdef0123456789abcdef"}};
  const auto client = raw("/wsMultiplexer", browser);
  client->send(request("watch=1"));
  ASSERT_TRUE(until([&] { return names(*client) == Names{"a"}; }));
  std::string stored;  // as the browser has it
  const auto set_token = [&](const std::string& token) {
    const std::string cookie = "Cookie: fresnel-session=0123456789abcdef0123456789abcdef; headlamp-auth-east.0=";
    return http({.method = "POST",
                 .url = gateway_url() + "/clusters/east/set-token",
                 .headers = {cookie + std::exchange(stored, token)},
                 .body = R"({"token":")" + token + "\"}"})
        .status;
  };
  EXPECT_EQ(set_token("second-token"), 200);
  for (int i = 0; i < 10; ++i) cluster_.put(ns_, "b" + std::to_string(i), "1");
  EXPECT_TRUE(until([&] { return names(*client).size() >= 11; }));
  EXPECT_EQ(set_token("alice-token"), 200);
  EXPECT_TRUE(until([&] { return client->count(Type::error, "watch=1") == 1; }));
  EXPECT_EQ(names(*client).size(), 11u) << "an event was told twice";
}

TEST_P(Credentials, AnExecPluginsTokenIsRenewedWhenTheServerRefusesIt) {
  replace("made", "");
  const auto plugin =
      dir_.write("plugin",
                 "#!/bin/sh\n"
                 "echo run >> \"$(dirname \"$0\")/made\"\n"
                 "token=$(cat \"$(dirname \"$0\")/token\")\n"
                 "printf '{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",'\n"
                 "printf '\"status\":{\"token\":\"%s\"}}' \"$token\"\n");
  std::filesystem::permissions(plugin, std::filesystem::perms::owner_all);
  dir_.write("token", "expired-token");
  use_kubeconfig(
      config("{exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plugin, interactiveMode: Never}}"));
  start_gateway();
  EXPECT_EQ(get("/clusters/east" + list_path()).status, 401);
  dir_.write("token", "admin-token");
  // The plugin that brought nothing new is not run again at once.
  ASSERT_TRUE(ask_until([&] { return get("/clusters/east" + list_path()).status == 200; }, 30s));
  const auto multiplexer = connect();
  Recorder recorder(*multiplexer, key());
  expect_truth(recorder);
}

// kube-apiserver has SelfSubjectReview since 1.26; the one of the tests is older.
TEST_P(Credentials, MeIsTheServersAnswerOr404) {
  use_kubeconfig(config("{token: admin-token}"));
  start_gateway();
  const auto me = get("/clusters/east/me");
  if (GetParam() == "sim") {
    EXPECT_NE(me.body.find(R"("username":"admin")"), std::string::npos) << me.body;
  } else {
    EXPECT_EQ(me.status, 404) << me.body;
  }
}

TEST_P(Credentials, APluginThatFailsIsTheErrorThatClientsSee) {
  use_kubeconfig(
      config("{exec: {apiVersion: client.authentication.k8s.io/v1, command: sh, "
             "args: ['-c', 'echo your session has expired >&2; exit 3'], interactiveMode: Never}}"));
  start_gateway();
  const auto reply = get("/clusters/east" + list_path());
  EXPECT_EQ(reply.status, 401);
  EXPECT_NE(reply.body.find("your session has expired"), std::string::npos) << reply.body;
  const auto client = raw_multiplexer();
  client->send(request("watch=1"));
  ASSERT_TRUE(until([&] { return client->count(Type::error, "watch=1") == 1; }));
  EXPECT_NE(client->received().back().find("your session has expired"), std::string::npos);
}

// Only the real API server impersonates; what the gateway sends is tests/gateway's.
class Impersonation : public Credentials {};
INSTANTIATE_TEST_SUITE_P(Clusters, Impersonation, testing::ValuesIn([] {
                           auto kinds = cluster_kinds();
                           std::erase(kinds, "sim");
                           return kinds;
                         }()),
                         KindName());
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Impersonation);

TEST_P(Impersonation, OfTheKubeconfigIsWhomTheServerSees) {
  use_kubeconfig(config("{token: admin-token, as: alice}"));
  start_gateway();
  const auto refused = get("/clusters/east" + list_path());
  EXPECT_EQ(refused.status, 403);
  EXPECT_NE(refused.body.find(R"(User \"alice\" cannot list)"), std::string::npos) << refused.body;
  const auto client = raw_multiplexer();
  client->send(request("watch=1"));
  EXPECT_TRUE(until([&] { return client->count(Type::error, "watch=1") == 1; }));
  EXPECT_EQ(raw(direct_path("watch=1"))->error()->status, 403);
}

TEST_P(Impersonation, OfAClientIsWhomTheServerSees) {
  use_kubeconfig(config("{token: admin-token}"));
  start_gateway();
  const auto admin = raw(direct_path("watch=1"));
  EXPECT_TRUE(admin->connected());
  const auto alice = raw(direct_path("watch=1"), {{"Impersonate-User", "alice"}});
  EXPECT_EQ(alice->error()->status, 403);
  EXPECT_EQ(get("/clusters/east" + list_path(), {"Impersonate-User: alice"}).status, 403);
  EXPECT_EQ(
      get("/clusters/east" + list_path(), {"Impersonate-User: alice", "Impersonate-Group: system:masters"}).status,
      200);
}

// A token that ends while it is in use: only the simulation forgets one without a restart.
class ExpiredToken : public Credentials {};
INSTANTIATE_TEST_SUITE_P(Clusters, ExpiredToken, testing::Values("sim"), KindName());

TEST_P(ExpiredToken, IsOneClearErrorToEachSubscriber) {
  use_kubeconfig(config("{token: second-token}"));
  start_gateway();
  const auto client = raw_multiplexer();
  const auto direct = raw(direct_path("watch=1"));
  client->send(request("watch=1"));
  ASSERT_TRUE(until([&] { return names(*client) == Names{"a"} && direct->received().size() == 1; }));
  on_sim([](sim::Cluster& sim) {
    sim.server().set_auth({.anonymous = sim::Anonymous::everything,
                           .tokens = {{.token = "admin-token", .user = "admin", .groups = {"system:masters"}}}});
  });
  server_link_.drop();
  EXPECT_TRUE(until([&] { return client->count(Type::error, "watch=1") == 1 && direct->error().has_value(); }));
  EXPECT_NE(client->received().back().find(R"(\"code\":401)"), std::string::npos) << client->received().back();
  EXPECT_NE(direct->received().back().find(R"("code":401)"), std::string::npos) << direct->received().back();
  on_sim([](sim::Cluster& sim) {
    sim.server().set_auth({.tokens = {{.token = "admin-token", .user = "admin", .groups = {"system:masters"}},
                                      {.token = "second-token", .user = "second", .groups = {"system:masters"}},
                                      {.token = "alice-token", .user = "alice"}}});
  });
}

}  // namespace
}  // namespace fresnel::test

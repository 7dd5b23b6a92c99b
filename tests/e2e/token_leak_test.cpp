// Distinctive tokens go through every path that a token can take, with the log at its most talkative. None of them may
// be found in what the gateway says: its log, its metrics, its answers and messages, what the system shows of the
// process. What the cluster is sent is of course not looked at.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "fresnel/base/base64url.hpp"
#include "fresnel/net/digest.hpp"
#include "tests/e2e/harness.hpp"

namespace fresnel::test {
namespace {

using Type = wire::ServerMessage::Type;

class TokensNeverLeave : public EndToEnd {
 protected:
  void SetUp() override { cluster_.put(ns_, "a", "1"); }

  // A token of its own for each path.
  std::string secret(const std::string& path) {
    secrets_.push_back("s3cr3t-" + path + "-0123456789");
    return secrets_.back();
  }
  void keep(std::string text) { said_.push_back(std::move(text)); }
  void ask(std::string method, const std::string& path, std::vector<std::string> headers, std::string body = {}) {
    headers.push_back("X-HEADLAMP_BACKEND-TOKEN: " + backend_);
    const auto reply = http({.method = std::move(method),
                             .url = gateway_url() + path,
                             .headers = std::move(headers),
                             .body = std::move(body)});
    keep(reply.body);
    // A browser is handed its own token back in a cookie, and nowhere else.
    for (const auto& line : reply.headers) {
      if (!line.starts_with("set-cookie") && !line.starts_with("Set-Cookie")) keep(line);
    }
  }
  [[nodiscard]] std::string of_process(const std::string& file) const {
    std::ifstream in("/proc/" + std::to_string(gateway_->pid()) + "/" + file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  }
  std::string plugin() {
    const auto path = dir_.write(
        "plugin", "#!/bin/sh\necho 'asked for " + secret("none") +
                      "' > /dev/null\n"
                      "printf '{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",'\n"
                      "printf '\"status\":{\"token\":\"%s\"}}' \"$PLUGIN_TOKEN\"\n");
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return "exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plugin, interactiveMode: Never, "
           "args: [" +
           secret("argument") + "], env: [{name: PLUGIN_TOKEN, value: " + secret("plugin") + "}]}";
  }
  // A context for each way to log in, all of the one cluster.
  std::string kubeconfig() {
    dir_.write("token", secret("file"));
    const std::vector<std::pair<std::string, std::string>> users = {
        {"token", "token: " + secret("kubeconfig")},
        {"file", "tokenFile: token"},
        {"basic", "username: ann, password: " + secret("password")},
        {"plugin", plugin()},
        {"broken", "token: [" + secret("broken") + "]"},
    };
    std::string text = cluster_.kubeconfig(kCluster, server_link_.port());
    std::string contexts;
    std::string entries;
    for (const auto& [name, user] : users) {
      contexts += "\n- name: " + name + "\n  context: {cluster: c, user: " + name + "}";
      entries += "\n- name: " + name + "\n  user: {" + user + "}";
    }
    contexts += "\n- name: proxied\n  context: {cluster: proxied, user: u}";
    text.insert(text.find("contexts:") + 9, contexts);
    text.insert(text.find("users:") + 6, entries);
    text.insert(text.find("clusters:", text.find("contexts:")) + 9,
                "\n- name: proxied\n  cluster: {server: \"http://127.0.0.1:1\", proxy-url: \"http://ann:" +
                    secret("proxy") + "@127.0.0.1:1\"}");
    return text;
  }
  void expect_no_secret(const std::string& where, const std::string& text) {
    for (const auto& one : secrets_) {
      for (const auto& form : {one, to_base64url(one), net::to_base64(one)}) {
        const auto at = text.find(form);
        EXPECT_EQ(at, std::string::npos) << where << " tells " << one << ": "
                                         << text.substr(at < 100 ? 0 : at - 100, 300);
      }
    }
  }

  std::vector<std::string> secrets_;
  std::vector<std::string> said_;
  std::string backend_;
};
INSTANTIATE_TEST_SUITE_P(Clusters, TokensNeverLeave, testing::ValuesIn(cluster_kinds()), KindName());

TEST_P(TokensNeverLeave, WhateverPathTheyTake) {
  backend_ = secret("backend");
  const auto backend_file = dir_.write("backend", backend_).string();
  const auto api_file = dir_.write("api", secret("api")).string();
  const auto channel_file = dir_.write("channels", secret("channel") + ",ann").string();
  const auto options = dir_.write("options.yaml", "channels:\n  news: {}\n").string();
  use_kubeconfig(kubeconfig());
  start_gateway({"--log-level", "trace", "--backend-token-file", backend_file, "--api-tokens", api_file,
                 "--channel-tokens", channel_file, "--config", options, "--enable-dynamic-clusters", "--drain-timeout",
                 "1s"});

  const std::string list = list_path();
  ask("GET", "/config", {});
  for (const std::string name : {"east", "token", "file", "basic", "plugin", "broken", "proxied", "nowhere"}) {
    const std::string path = "/clusters/" + name + list;
    ask("GET", path, {});
    ask("GET", "/clusters/" + name + "/me", {});
    ask("GET", path, {"Authorization: Bearer " + secret("bearer-" + name)});
    ask("GET", path, {"Authorization: " + secret("scheme-" + name)});
    ask("GET", path, {"Cookie: headlamp-auth-" + name + ".0=" + secret("cookie-" + name)});
    ask("POST", "/clusters/" + name + "/set-token", {}, R"({"token":")" + secret("set-" + name) + "\"}");
    ask("POST", "/clusters/" + name + "/set-token", {}, secret("malformed-" + name));
    const std::string config = "contexts: [{name: " + name +
                               ", context: {cluster: k, user: u}}]\nclusters: [{name: k, "
                               "cluster: {server: 'http://127.0.0.1:1'}}]\nusers: [{name: u, user: {token: " +
                               secret("brought-" + name) + "}}]\n";
    ask("GET", path, {"KUBECONFIG: " + net::to_base64(config), "X-HEADLAMP-USER-ID: " + secret("user-" + name)});
    ask("GET", path, {"KUBECONFIG: " + secret("nonsense-" + name), "X-HEADLAMP-USER-ID: " + secret("id-" + name)});
  }
  ask("GET", "/api/channels", {"Authorization: Bearer " + secret("back-end")});
  ask("GET", "/channels", {"Authorization: Bearer " + secret("listener")});

  const std::string backend = "base64url.headlamp.backend.authorization.k8s.io." + to_base64url(backend_);
  const std::string bearer = "base64url.bearer.authorization.k8s.io.";
  std::vector<std::shared_ptr<RawClient>> clients;
  for (const auto& protocols : std::vector<std::vector<std::string>>{
           {backend}, {backend, bearer + to_base64url(secret("protocol"))}, {backend, bearer + secret("raw")}}) {
    clients.push_back(raw("/wsMultiplexer", {}, protocols));
    clients.push_back(raw(direct_path("watch=1"), {}, protocols));
    clients.push_back(raw("/clusters/east" + list + "/a/exec", {}, protocols));
  }
  const auto& multiplexer = clients.front();
  ASSERT_TRUE(multiplexer->connected());
  const auto requests = [&](const std::string& cluster, const std::string& extra) {
    return R"({"clusterId":")" + cluster + R"(","path":")" + list + R"(","query":"watch=1","userId":"u")" + extra +
           R"(,"type":"REQUEST"})";
  };
  for (const std::string name : {"token", "file", "basic", "plugin", "broken", "proxied"}) {
    multiplexer->send(requests(name, ""));
    multiplexer->send(requests(name, R"(,"token":")" + secret("request-" + name) + "\""));
    multiplexer->send(requests(name, R"(,"token":" )" + secret("bad-" + name) + "\""));
  }
  multiplexer->send(R"({"token":")" + secret("unrouted") + "\"}");
  multiplexer->send(requests("east", ""));
  ASSERT_TRUE(until([&] { return multiplexer->count(Type::complete, "watch=1") == 1; }));

  for (const auto& client : clients) {
    for (const auto& message : client->received()) keep(message);
    if (client->error()) keep(client->error()->message);
    keep(client->protocol());
  }
  ask("GET", "/metrics", {});
  for (const auto& text : said_) expect_no_secret("an answer", text);
  expect_no_secret("cmdline", of_process("cmdline"));
  expect_no_secret("comm", of_process("comm"));
  expect_no_secret("environ", of_process("environ"));
  gateway_->terminate();
  ASSERT_TRUE(gateway_->wait(15s));
  const auto log = gateway_->error_output() + gateway_->output();
  EXPECT_NE(log.find("/clusters/plugin"), std::string::npos) << "the log was not looked at";
  expect_no_secret("the log", log);
}

}  // namespace
}  // namespace fresnel::test

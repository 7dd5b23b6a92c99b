// The toolkit's examples do what they say, with peers on Python's `websockets`.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/support/process.hpp"
#include "tests/support/temp_dir.hpp"

namespace fresnel::test {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

// Debian's interpreter: the one that sees the package python3-websockets.
const std::string kPeer = FRESNEL_SOURCE "/tests/clients/toolkit.py";

// The last word of the process's first line.
std::string address_of(Process& server) {
  EXPECT_TRUE(server.wait_for_output("\n", 30s)) << server.error_output();
  const auto line = server.output().substr(0, server.output().find('\n'));
  return line.substr(line.rfind(' ') + 1);
}

TEST(ToolkitExamples, ChatServerTellsEverybody) {
  Process server({.argv = {FRESNEL_EXAMPLES "/example_chat_server"}});
  const auto chat = run({.argv = {"/usr/bin/python3", kPeer, "chat", address_of(server)}}, 60s);
  EXPECT_EQ(chat.output,
            "ada: has come\nada: has come\nada: all of it\nbob: all of it\nextensions: ['PerMessageDeflate']\n"
            "ada: has gone, with code 1000\ndone\n")
      << chat.error_output;
  server.terminate();
  EXPECT_EQ(server.wait(10s), ExitStatus{.code = 0});
}

TEST(ToolkitExamples, JwtServerLetsInWhoBringsASoundToken) {
  const std::string secret = "a shared secret of 32 bytes or so";
  Process server({.argv = {FRESNEL_EXAMPLES "/example_jwt_server"}, .env = {{"JWT_SECRET", secret}}});
  const auto clients = run({.argv = {"/usr/bin/python3", kPeer, "jwt", address_of(server), secret}}, 60s);
  EXPECT_EQ(clients.output,
            "none: 401\nsound: welcome, ada\nexpired: 401\nanother audience: 401\nanother secret: 401\nunsigned: 401\n"
            "cookie: welcome, ada\nrenewal: renewed\nrenewal as another: the new credential is another user's\n"
            "expiry: 4401 the credential has expired\ndone\n")
      << clients.error_output;
}

TEST(ToolkitExamples, JwtServerSaysWhatItLacks) {
  const auto server = run({.argv = {FRESNEL_EXAMPLES "/example_jwt_server"}, .env_without = {"JWT_SECRET"}}, 30s);
  EXPECT_EQ(server.status, ExitStatus{.code = 1});
  EXPECT_EQ(server.error_output, "expected one of a secret, a public key and a key set for tokens\n");
}

TEST(ToolkitExamples, FanOutReachesTheSubscribersOfAGateway) {
  const TempDir dir;
  dir.write("users", "of-ada,ada\nof-bob,bob\n");
  dir.write("back-ends", "of-the-shop\n");
  const auto config = dir.write(
      "fresnel.yaml", "channels: {news: {history-size: 10}}\nchannel-tokens: " + (dir.path() / "users").string() +
                          "\napi-tokens: " + (dir.path() / "back-ends").string() + "\n");
  const auto kubeconfig = dir.write("kubeconfig", R"({"kind":"Config","current-context":"c",
    "contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],
    "clusters":[{"name":"c","cluster":{"server":"http://127.0.0.1:1"}}],"users":[{"name":"u","user":{}}]})");
  Process gateway({.argv = {FRESNEL_BINARY, "serve", "--listen", "127.0.0.1:0", "--config", config.string(),
                            "--kubeconfig", kubeconfig.string()}});
  ASSERT_TRUE(gateway.wait_for_output("Listening on ", 30s)) << gateway.error_output();
  const auto line = gateway.output();
  const auto host = line.substr(line.find("//") + 2, line.find("/ for") - line.find("//") - 2);
  Process clients(
      {.argv = {"/usr/bin/python3", kPeer, "channels", "ws://" + host + "/channels", "news", "of-ada", "of-bob"}});
  ASSERT_TRUE(clients.wait_for_output("subscribed\n", 30s)) << clients.error_output();
  Process back_end({.argv = {FRESNEL_EXAMPLES "/example_fan_out", "http://" + host, "news"},
                    .env = {{"FRESNEL_API_TOKEN", "of-the-shop"}}});
  back_end.write_input("Hello, \"world\"\n");
  ASSERT_TRUE(clients.wait_for_output("done\n", 30s)) << clients.error_output() << back_end.output();
  const std::string message = R"({"type":"message","channel":"news","offset":1,"data":"Hello, \"world\""})";
  EXPECT_EQ(clients.output(), "subscribed\n" + message + "\n" + message + "\ndone\n");
  back_end.close_input();
  EXPECT_EQ(back_end.wait(10s), ExitStatus{.code = 0});
  EXPECT_EQ(back_end.output(), "{\"queued\":2,\"skipped\":0,\"slow\":0}\n");
}

TEST(ToolkitExamples, PoolClientAsksOverFewConnections) {
  Process server({.argv = {"/usr/bin/python3", kPeer, "echo-server"}});
  const auto url = "ws://127.0.0.1:" + address_of(server) + "/";
  const auto client = run({.argv = {FRESNEL_EXAMPLES "/example_pool_client", url, "1000", "4"}}, 60s);
  EXPECT_EQ(client.output, "1000 answers over 4 connections, 0 failures\n") << client.error_output;
  EXPECT_EQ(client.status, ExitStatus{.code = 0});
}

}  // namespace
}  // namespace fresnel::test

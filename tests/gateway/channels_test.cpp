// Channels of the gateway: browsers at /channels, back ends at /api.
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "fresnel/base/base64url.hpp"
#include "tests/gateway/fixture.hpp"
#include "tests/support/temp_dir.hpp"

namespace fresnel::test {
namespace {

namespace json = boost::json;
using ::testing::HasSubstr;

class Channels : public GatewayTest {
 protected:
  Channels() {
    options_.channels = gateway::parse_channel_rules(R"(
channels:
  news: {history-size: 10, presence: true}
  orders: {clients-publish: false}
  "chat:*": {subscribers: [ada]}
)",
                                                     "test")
                            .value();
    options_.channel_tokens = file("channel-tokens", "of-ada,ada\nof-bob,bob\n");
    options_.api_tokens = file("api-tokens", "of-the-shop\n");
  }
  std::string file(const std::string& name, const std::string& text) { return dir_.write(name, text).string(); }
  std::unique_ptr<net::MessageStream> connect(const std::string& user) {
    net::Headers headers;
    headers.add("authorization", "Bearer of-" + user);
    return open("/channels", std::move(headers)).value();
  }
  json::value say(net::MessageStream& stream, const std::string& request) {
    write(stream, request);
    return next(stream);
  }
  HttpReply post(const std::string& path, const std::string& body, const std::string& token = "of-the-shop") {
    return ask("POST", path, {"Authorization: Bearer " + token}, body);
  }

  TempDir dir_;
  gateway::GatewayOptions options_;
};

TEST_F(Channels, WhatABackEndBroadcastsReachesSubscribersOfAllThreads) {
  options_.threads = 2;
  start(options_);
  std::vector<std::unique_ptr<net::MessageStream>> clients;
  for (int i = 0; i < 16; ++i) {
    clients.push_back(connect(i % 2 == 0 ? "ada" : "bob"));
    EXPECT_EQ(say(*clients.back(), R"({"type":"subscribe","channel":"news"})").at("type"), "subscribed");
  }
  const auto reply = post("/api/broadcast", R"({"channel":"news","data":{"title":"Hello"}})");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body, "{\"queued\":16,\"skipped\":0,\"slow\":0}\n");
  for (const auto& client : clients) {
    EXPECT_EQ(json::serialize(next(*client)),
              R"({"type":"message","channel":"news","offset":1,"data":{"title":"Hello"}})");
  }
  const auto selected =
      post("/api/broadcast", R"({"channel":"news","data":"for bob","selection":{"user_ids":["bob"]}})");
  EXPECT_EQ(selected.body, "{\"queued\":8,\"skipped\":8,\"slow\":0}\n");
  EXPECT_EQ(next(*clients[1]).at("data"), "for bob");
  EXPECT_EQ(metric("fresnel_channel_deliveries_total{outcome=\"queued\"}"), 24);
  EXPECT_EQ(metric("fresnel_channel_deliveries_total{outcome=\"skipped\"}"), 8);
  EXPECT_EQ(metric("fresnel_connections{kind=\"channels\"}"), 16);
  const auto list = json::parse(get("/api/channels", {"Authorization: Bearer of-the-shop"}).body);
  EXPECT_EQ(json::serialize(list.at("channels").at(0)),
            R"({"name":"news","subscribers":16,"history_size":10,"history_lifetime_seconds":300,"presence":true,)"
            R"("slow_consumer":"drop_oldest"})");
  EXPECT_EQ(list.at("channels").at(1).at("name"), "orders");
  EXPECT_EQ(list.at("channels").as_array().size(), 2u) << "nobody has subscribed to a chat";
}

TEST_F(Channels, WhatOneThreadsClientPublishesTheOthersGet) {
  options_.threads = 2;
  start(options_);
  std::vector<std::unique_ptr<net::MessageStream>> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(connect("ada"));
    EXPECT_EQ(say(*clients.back(), R"({"type":"subscribe","channel":"chat:1"})").at("type"), "subscribed");
  }
  const auto bob = connect("bob");
  EXPECT_EQ(say(*bob, R"({"type":"subscribe","id":1,"channel":"chat:1"})").at("code"), "forbidden");
  EXPECT_EQ(say(*bob, R"({"type":"publish","channel":"orders","data":1})").at("code"), "forbidden");
  EXPECT_EQ(say(*bob, R"({"type":"subscribe","channel":"other"})").at("code"), "channel_not_found");
  EXPECT_EQ(say(*bob, R"({"type":"publish","channel":"chat:1","data":"hi"})").at("queued").as_int64(), 8);
  for (const auto& client : clients) EXPECT_EQ(next(*client).at("data"), "hi");
}

TEST_F(Channels, HistoryAndPresenceAreThoseOfTheGateway) {
  start(options_);
  const auto first = connect("ada");
  const auto position = say(*first, R"({"type":"subscribe","channel":"news"})").at("position");
  EXPECT_EQ(post("/api/broadcast", R"({"channel":"news","data":1})").status, 200);
  const auto second = connect("bob");
  const json::object subscribe{{"type", "subscribe"}, {"channel", "news"}, {"position", position}};
  EXPECT_EQ(say(*second, json::serialize(subscribe)).at("data"), 1) << "what it missed";
  EXPECT_EQ(next(*second).at("recovered"), true);
  const auto present = say(*second, R"({"type":"presence","channel":"news"})").at("present");
  EXPECT_EQ(present.as_array().size(), 2u);
}

TEST_F(Channels, AUserIsClosedAndEverybodyIsTold) {
  options_.threads = 2;
  start(options_);
  const auto ada = connect("ada");
  const auto other = connect("ada");
  const auto bob = connect("bob");
  EXPECT_EQ(post("/api/broadcast", R"({"data":"to all"})").body, "{\"queued\":3,\"skipped\":0,\"slow\":0}\n");
  for (auto* client : {ada.get(), other.get(), bob.get()}) {
    EXPECT_EQ(json::serialize(next(*client)), R"({"type":"broadcast","data":"to all"})");
  }
  const auto closed = post("/api/users/%61da/close", R"({"code":4000,"reason":"enough"})");
  EXPECT_EQ(closed.body, "{\"closed\":2}\n");
  for (auto* client : {ada.get(), other.get()}) {
    const auto end = read(*client).error();
    EXPECT_EQ(end.status, 4000);
    EXPECT_THAT(end.message, HasSubstr("enough"));
  }
  EXPECT_EQ(say(*bob, R"({"type":"subscribe","channel":"news"})").at("type"), "subscribed");
}

// Headlamp's page has a socket too; nothing of this may reach it.
TEST_F(Channels, TheMultiplexersSocketsAreLeftAlone) {
  start(options_);
  const auto multiplexer = open("/wsMultiplexer").value();
  EXPECT_EQ(post("/api/broadcast", R"({"data":"to all"})").body, "{\"queued\":0,\"skipped\":0,\"slow\":0}\n");
  write(*multiplexer, "nonsense");
  EXPECT_EQ(next(*multiplexer).at("type"), "ERROR") << "the first message it gets";
}

TEST_F(Channels, WhoMayConnect) {
  start(options_);
  const auto status = [&](net::Headers headers, std::vector<std::string> protocols = {}) {
    const auto opened = open("/channels", std::move(headers), std::move(protocols));
    return opened ? 101 : opened.error().status;
  };
  EXPECT_EQ(status({}), 401);
  EXPECT_EQ(status({{"authorization", "Bearer nonsense"}}), 401);
  EXPECT_EQ(status({{"authorization", "Bearer of-ada"}}), 101);
  EXPECT_EQ(status({{"authorization", "Bearer of-ada"}, {"origin", "https://evil.example.com"}}), 403);
  EXPECT_EQ(get("/channels", {"Authorization: Bearer of-ada"}).status, 426);
  const auto browser =
      open("/channels", {}, {"channels.fresnel.dev", "base64url.bearer.authorization.k8s.io." + to_base64url("of-ada")})
          .value();
  EXPECT_EQ(browser->protocol(), "channels.fresnel.dev");
}

TEST_F(Channels, WithoutUsersOnlyThisMachineMayConnect) {
  options_.channel_tokens.clear();
  start(options_);
  const auto socket = open("/channels").value();
  EXPECT_EQ(say(*socket, R"({"type":"subscribe","channel":"news"})").at("type"), "subscribed");
  EXPECT_EQ(say(*socket, R"({"type":"subscribe","channel":"chat:1"})").at("code"), "forbidden")
      << "nobody in particular is not among ada";
  EXPECT_EQ(open("/channels", {{"host", "rebound.example.com"}}).error().status, 401);
}

TEST_F(Channels, WithoutChannelsOrTokensThereIsNothing) {
  start();
  EXPECT_EQ(open("/channels").error().status, 404);
  EXPECT_EQ(post("/api/broadcast", "{}").status, 404);
}

TEST_F(Channels, TheApiAnswersBadRequestsClearly) {
  start(options_);
  const auto unauthorized = post("/api/broadcast", R"({"channel":"news","data":1})", "distinctive");
  EXPECT_EQ(unauthorized.status, 401);
  EXPECT_EQ(header_of(unauthorized, "www-authenticate"), "Bearer");
  EXPECT_THAT(unauthorized.body, ::testing::Not(HasSubstr("distinctive")));
  const auto unknown = post("/api/broadcast", R"({"channel":"other","data":1})");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_THAT(unknown.body, HasSubstr("there is no channel"));
  EXPECT_EQ(post("/api/broadcast", "{}").status, 400);
  EXPECT_EQ(post("/api/broadcast", R"({"data":")" + std::string(1 << 20, 'x') + "\"}").status, 413);
  EXPECT_EQ(post("/api/users/a%2/close", "").status, 400);
  EXPECT_EQ(post("/api/users//close", "").status, 404);
  EXPECT_EQ(post("/api/nothing", "").status, 404);
  const auto get_it = get("/api/broadcast", {"Authorization: Bearer of-the-shop"});
  EXPECT_EQ(get_it.status, 405);
  EXPECT_EQ(header_of(get_it, "allow"), "POST");
  EXPECT_EQ(ask("POST", "/api/channels", {"Authorization: Bearer of-the-shop"}).status, 405);
  EXPECT_EQ(ask("POST", "/api/broadcast", {"Authorization: Bearer of-the-shop", "Origin: https://evil.example.com"},
                R"({"data":1})")
                .status,
            403);
}

TEST_F(Channels, AShutdownSaysSo) {
  start(options_);
  const auto socket = connect("ada");
  EXPECT_EQ(say(*socket, R"({"type":"subscribe","channel":"news"})").at("type"), "subscribed");
  stop();
  EXPECT_EQ(read(*socket).error().status, 1001);
}

TEST_F(Channels, AFileThatCannotBeReadKeepsTheGatewayFromStarting) {
  const auto error = [&] {
    gateway::Gateway gateway(options_, gateway::Clusters::of({}));
    const auto bound = gateway.start();
    return bound ? std::string() : bound.error().message;
  };
  options_.api_tokens = (dir_.path() / "none").string();
  EXPECT_THAT(error(), HasSubstr("--api-tokens"));
  options_.api_tokens.clear();
  options_.tls_cert_file = file("nonsense", "nonsense");
  EXPECT_THAT(error(), HasSubstr("--tls-cert-file and --tls-private-key-file together"));
  options_.tls_private_key_file = options_.tls_cert_file;
  EXPECT_THAT(error(), HasSubstr("the server's certificate cannot be read"));
  options_.client_ca_file = (dir_.path() / "none").string();
  EXPECT_THAT(error(), HasSubstr("--client-ca-file: "));
}

}  // namespace
}  // namespace fresnel::test

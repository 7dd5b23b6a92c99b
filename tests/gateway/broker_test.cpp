// Two gateways that share their channels through a real nats-server.
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "tests/gateway/fixture.hpp"
#include "tests/support/nats_server.hpp"
#include "tests/support/temp_dir.hpp"

namespace fresnel::test {
namespace {

namespace json = boost::json;

class Gateways : public GatewayTest {
 protected:
  Gateways() {
    options_.channels =
        gateway::parse_channel_rules("channels: {news: {history-size: 100, presence: true}}", "test").value();
    options_.channel_tokens = dir_.write("channel-tokens", "of-ada,ada\nof-bob,bob\n").string();
    options_.api_tokens = dir_.write("api-tokens", "of-the-shop\n").string();
    options_.broker = {nats_.url()};
    options_.drain_timeout = seconds(2);
    options_.threads = 2;
    options_.listen.port = 0;
  }
  // The fixture's gateway and another.
  void start_both() {
    start(options_);
    other_ = std::make_unique<gateway::Gateway>(options_, gateway::Clusters::of({}));
    other_url_ = "http://" + other_->start().value().to_string();
  }
  std::unique_ptr<net::MessageStream> subscribe(std::string url, const std::string& user,
                                                const json::value& position = nullptr) {
    const auto here = std::exchange(url_, std::move(url));
    net::Headers headers;
    headers.add("authorization", "Bearer of-" + user);
    auto stream = open("/channels", std::move(headers)).value();
    url_ = here;
    write(*stream, json::serialize(json::object{{"type", "subscribe"}, {"channel", "news"}, {"position", position}}));
    return stream;
  }
  // The next message of a type.
  json::value until(net::MessageStream& stream, std::string_view type) {
    for (;;) {
      auto message = next(stream);
      if (message.at("type") == json::string_view(type) || message.at("type") == "") return message;
    }
  }
  HttpReply post(const std::string& url, const std::string& body) {
    return http({.method = "POST", .url = url, .headers = {"Authorization: Bearer of-the-shop"}, .body = body});
  }
  // Connecting to NATS goes on beside the gateway's start: until it is done, asking is answered at once.
  void wait_for_nats(const std::string& url) {
    HttpReply reply;
    for (int attempts = 0; reply.status != 200 && attempts < 5000; ++attempts) {
      reply = post(url + "/api/broadcast", R"({"data":"ready?"})");
    }
    ASSERT_EQ(reply.status, 200) << reply.body;
  }

  NatsServer nats_;
  TempDir dir_;
  gateway::GatewayOptions options_;
  std::unique_ptr<gateway::Gateway> other_;
  std::string other_url_;
};

TEST_F(Gateways, AreOneForChannelsPresenceAndControls) {
  options_.broker_wait = true;
  start_both();
  for (const auto& url : {url_, other_url_}) {  // completes once NATS is there
    EXPECT_EQ(post(url + "/api/broadcast", R"({"data":"ready?"})").status, 200);
  }
  const auto ada = subscribe(url_, "ada");
  const auto position = until(*ada, "subscribed").at("position");
  const auto bob = subscribe(other_url_, "bob");
  EXPECT_EQ(until(*bob, "subscribed").at("type"), "subscribed");
  EXPECT_EQ(post(other_url_ + "/api/broadcast", R"({"channel":"news","data":1})").body,
            "{\"queued\":1,\"skipped\":0,\"slow\":0}\n");
  for (auto* stream : {ada.get(), bob.get()}) EXPECT_EQ(until(*stream, "message").at("data"), 1);
  write(*bob, R"({"type":"publish","channel":"news","data":2})");
  EXPECT_EQ(until(*ada, "message").at("data"), 2);
  write(*ada, R"({"type":"presence","channel":"news"})");
  EXPECT_EQ(until(*ada, "presence").at("present").as_array().size(), 2u);
  const auto again = subscribe(other_url_, "ada", position);
  for (const int data : {1, 2}) EXPECT_EQ(until(*again, "message").at("data"), data) << "of the other gateway's time";
  EXPECT_EQ(until(*again, "subscribed").at("recovered"), true);
  EXPECT_EQ(post(url_ + "/api/broadcast", R"({"data":"to all"})").status, 200);
  for (auto* stream : {ada.get(), bob.get(), again.get()}) {
    EXPECT_EQ(until(*stream, "broadcast").at("data"), "to all");
  }
  EXPECT_EQ(post(url_ + "/api/users/bob/close", "").body, "{\"closed\":0}\n") << "bob is at the other";
  for (auto end = read(*bob);; end = read(*bob)) {
    if (end) continue;
    EXPECT_EQ(end.error().status, 1008);
    break;
  }
}

TEST_F(Gateways, SayWhenNatsIsAwayAndLoseNothingOfAHistory) {
  start_both();
  for (const auto& url : {url_, other_url_}) wait_for_nats(url);
  const auto ada = subscribe(url_, "ada");
  (void)until(*ada, "subscribed");
  nats_.kill();
  EXPECT_EQ(until(*ada, "status").at("connected"), false);
  EXPECT_EQ(post(url_ + "/api/broadcast", R"({"channel":"news","data":"lost"})").status, 503);
  EXPECT_EQ(metric("fresnel_broker_connected"), 0);
  nats_.start();
  EXPECT_EQ(until(*ada, "status").at("connected"), true);
  EXPECT_EQ(metric("fresnel_broker_connected"), 1);
  wait_for_nats(other_url_);
  EXPECT_EQ(post(other_url_ + "/api/broadcast", R"({"channel":"news","data":"kept"})").status, 200);
  EXPECT_EQ(until(*ada, "message").at("data"), "kept");
}

TEST_F(Gateways, ABrokerThatCannotBeRightKeepsTheGatewayFromStarting) {
  options_.broker_ca_file = (dir_.path() / "none").string();
  gateway::Gateway gateway(options_, gateway::Clusters::of({}));
  const auto bound = gateway.start();
  ASSERT_FALSE(bound);
  EXPECT_THAT(bound.error().message, ::testing::StartsWith("--broker: "));
}

}  // namespace
}  // namespace fresnel::test

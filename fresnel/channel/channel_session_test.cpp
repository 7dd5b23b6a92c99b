#include "fresnel/channel/channel_session.hpp"

#include <gmock/gmock.h>

#include <boost/asio/detached.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <deque>
#include <optional>

#include "fresnel/broker/memory_broker.hpp"
#include "fresnel/channel/channel_message.hpp"
#include "fresnel/net/websocket_testing.hpp"
#include "fresnel/websocket/websocket_manager.hpp"

namespace fresnel::channel {
namespace {

namespace json = boost::json;
using net::testing::client_frame;
using net::testing::handshake_request;
using net::testing::RawClient;
using net::testing::read_frame;
using net::testing::run;

// A MemoryBroker that can say that it is away, which only a broker on a network is.
class AwayBroker final : public broker::Broker {
 public:
  AwayBroker(const Executor& home, Clock& clock) : memory_(home, clock) {}
  std::unique_ptr<broker::Node> join(const Executor& executor, broker::Handlers handlers) override {
    handlers_ = handlers;
    return memory_.join(executor, std::move(handlers));
  }
  void status(bool connected) const { handlers_.on_status(connected); }
  void gap(const std::string& channel, const broker::Position& position) const { handlers_.on_gap(channel, position); }

 private:
  broker::MemoryBroker memory_;
  broker::Handlers handlers_;
};

class ChannelSessionTest : public ::testing::Test {
 protected:
  ChannelSessionTest() {
    websocket::WebSocketManagerOptions options;
    options.authentication.tokens = {{"of-ada", "ada"}, {"of-bob", "bob"}};
    manager_.emplace(io_.get_executor(), clock_, options);
    BroadcasterOptions channels;
    speak_channel_protocol(channels);
    broadcaster_.emplace(io_.get_executor(), broker_, channels);
    server_.emplace(io_.get_executor(), clock_, net::HttpServerOptions(),
                    [this](net::HttpExchange& exchange) { return handle(exchange); });
    endpoint_ = server_->listen({"127.0.0.1", 0}).value();
    (void)broadcaster_->create_channel("news", {.history_size = 10, .presence = true});
    (void)broadcaster_->create_channel("staff", {.history_size = 10, .publishers = {"ada"}, .subscribers = {"ada"}});
  }
  ~ChannelSessionTest() override {
    server_.reset();
    clients_.clear();
    for (const auto& socket : manager_->get_active_connections()) socket->abort();
    io_.restart();
    io_.poll();
    broadcaster_.reset();
    manager_.reset();
    io_.restart();
    io_.poll();
  }
  awaitable<void> handle(net::HttpExchange& exchange) {
    auto accepting = manager_->accept(exchange);
    auto accepted = co_await std::move(accepting);
    if (!accepted) co_return;
    asio::co_spawn(io_, serve_channels(*std::move(accepted), *broadcaster_), asio::detached);
  }
  RawClient& connect(const std::string& user) {
    auto& client = clients_.emplace_back(io_);
    run(io_, [&]() -> awaitable<void> {
      co_await client.connect(endpoint_);
      co_await client.send(handshake_request("Authorization: Bearer of-" + user + "\r\n"));
      co_await client.read_until("\r\n\r\n");
    });
    return client;
  }
  json::object next(RawClient& client) {
    std::string text;
    run(io_, [&]() -> awaitable<void> {
      const auto frame = co_await read_frame(client);
      text = frame.payload;
    });
    return json::parse(text).as_object();
  }
  json::object ask(RawClient& client, const std::string& request) {
    run(io_, [&]() -> awaitable<void> { co_await client.send(client_frame(1, request)); });
    return next(client);
  }

  SteadyClock clock_;
  asio::io_context io_;
  AwayBroker broker_{io_.get_executor(), clock_};
  std::optional<websocket::WebSocketManager> manager_;
  std::optional<Broadcaster> broadcaster_;
  std::optional<net::HttpServer> server_;
  net::Endpoint endpoint_;
  std::deque<RawClient> clients_;
};

TEST_F(ChannelSessionTest, SessionsMayBeginWithTheManagersSockets) {
  manager_->on_open(
      [this](const auto& socket) { asio::co_spawn(io_, serve_channels(socket, *broadcaster_), asio::detached); });
  manager_->on_message([](const auto&, const net::Message&) { FAIL() << "the session reads"; });
  endpoint_ = manager_->listen({"127.0.0.1", 0}).value();
  auto& ada = connect("ada");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ask(ada, R"({"type":"subscribe","channel":"news"})").at("type"), "subscribed");
}

TEST_F(ChannelSessionTest, SubscribersAreToldThatTheBrokerIsAwayAndWhatTheyMissed) {
  auto& ada = connect("ada");
  auto& bob = connect("bob");
  EXPECT_EQ(ask(ada, R"({"type":"subscribe","channel":"news"})").at("type"), "subscribed");
  EXPECT_EQ(ask(ada, R"({"type":"subscribe","channel":"staff"})").at("type"), "subscribed");
  broker_.status(false);
  broker_.status(false);
  EXPECT_EQ(next(ada), json::parse(R"({"type":"status","connected":false})"));
  EXPECT_EQ(ask(bob, R"({"type":"subscribe","channel":"news"})").at("type"), "subscribed");
  EXPECT_EQ(next(bob), json::parse(R"({"type":"status","connected":false})")) << "who comes now, too";
  broker_.gap("staff", {"epoch", 7});
  EXPECT_EQ(next(ada), json::parse(R"({"type":"gap","channel":"staff","position":{"epoch":"epoch","offset":7}})"))
      << "once, and before that nothing twice";
  broker_.status(true);
  for (auto* client : {&ada, &bob}) EXPECT_EQ(next(*client), json::parse(R"({"type":"status","connected":true})"));
}

TEST_F(ChannelSessionTest, WhatOnePublishesTheOthersGet) {
  auto& ada = connect("ada");
  auto& bob = connect("bob");
  EXPECT_EQ(ask(bob, R"({"type":"subscribe","id":1,"channel":"news"})").at("type"), "subscribed");
  const auto published = ask(ada, R"({"type":"publish","id":2,"channel":"news","data":{"title":"Hello"}})");
  EXPECT_EQ(published.at("type"), "published");
  EXPECT_EQ(published.at("id"), 2);
  EXPECT_EQ(published.at("queued"), 1);
  const auto message = next(bob);
  EXPECT_EQ(message, json::parse(R"({"type":"message","channel":"news","offset":1,"data":{"title":"Hello"}})"));
  EXPECT_EQ(ask(bob, R"({"type":"unsubscribe","channel":"news"})").at("type"), "unsubscribed");
  EXPECT_EQ(ask(ada, R"({"type":"publish","channel":"news","data":1})").at("queued"), 0);
}

TEST_F(ChannelSessionTest, WhoComesBackGetsWhatWasMissedBeforeTheAnswer) {
  auto& ada = connect("ada");
  const auto position = ask(ada, R"({"type":"subscribe","channel":"news"})").at("position");
  (void)ask(ada, R"({"type":"unsubscribe","channel":"news"})");
  for (const auto* data : {"1", "2"})
    (void)ask(ada, std::string(R"({"type":"publish","channel":"news","data":)") + data + "}");
  auto& back = connect("bob");
  const auto request = R"({"type":"subscribe","channel":"news","position":)" + json::serialize(position) + "}";
  EXPECT_EQ(ask(back, request).at("data"), 1);
  EXPECT_EQ(next(back).at("data"), 2);
  const auto answer = next(back);
  EXPECT_EQ(answer.at("type"), "subscribed");
  EXPECT_EQ(answer.at("recovered"), true);
  EXPECT_EQ(answer.at("position").at("offset"), 2);
  const auto lost =
      ask(connect("bob"), R"({"type":"subscribe","channel":"news","position":{"epoch":"another","offset":1}})");
  EXPECT_EQ(lost.at("recovered"), false);
}

TEST_F(ChannelSessionTest, PresenceAndHistoryAreTold) {
  auto& ada = connect("ada");
  (void)ask(ada, R"({"type":"subscribe","channel":"news"})");
  const auto presence = ask(ada, R"({"type":"presence","channel":"news"})");
  ASSERT_EQ(presence.at("present").as_array().size(), 1u);
  EXPECT_EQ(presence.at("present").at(0).at("user"), "ada");
  (void)ask(ada, R"({"type":"publish","channel":"news","data":"a"})");
  (void)next(ada);
  const auto history = ask(ada, R"({"type":"history","channel":"news"})");
  EXPECT_EQ(history.at("messages"), json::parse(R"([{"offset":1,"data":"a"}])"));
  EXPECT_EQ(ask(ada, R"({"type":"presence","channel":"staff"})").at("code"), "invalid_argument") << "it keeps none";
}

TEST_F(ChannelSessionTest, WhatIsNotAllowedOrNotThereIsSaid) {
  auto& bob = connect("bob");
  EXPECT_EQ(ask(bob, R"({"type":"subscribe","channel":"other"})").at("code"), "channel_not_found");
  EXPECT_EQ(ask(bob, R"({"type":"publish","channel":"other","data":1})").at("code"), "channel_not_found");
  EXPECT_EQ(ask(bob, R"({"type":"subscribe","channel":"staff"})").at("code"), "forbidden");
  EXPECT_EQ(ask(bob, R"({"type":"publish","channel":"staff","data":1})").at("code"), "forbidden");
  EXPECT_EQ(ask(bob, R"({"type":"history","channel":"staff"})").at("code"), "forbidden");
  EXPECT_EQ(ask(bob, R"({"type":"renew","token":"of-ada"})").at("code"), "forbidden") << "another user's";
  EXPECT_EQ(ask(bob, R"({"type":"renew","id":9,"token":"of-bob"})"), json::parse(R"({"type":"renewed","id":9})"));
  EXPECT_EQ(ask(bob, "nonsense").at("code"), "bad_request");
  EXPECT_EQ(ask(bob, R"({"type":"subscribe","id":"still here","channel":"news"})").at("id"), "still here");
}

}  // namespace
}  // namespace fresnel::channel

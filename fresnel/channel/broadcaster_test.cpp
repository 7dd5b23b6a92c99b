// Two nodes on one broker, with real sockets.
#include "fresnel/channel/broadcaster.hpp"

#include <gmock/gmock.h>

#include <boost/asio/detached.hpp>
#include <boost/json/object.hpp>
#include <deque>
#include <optional>
#include <set>

#include "fresnel/broker/memory_broker.hpp"
#include "fresnel/net/websocket_testing.hpp"
#include "fresnel/websocket/websocket_manager.hpp"

namespace fresnel::channel {
namespace {

using broker::Delivery;
using broker::Position;
using net::OutboundMessage;
using net::testing::handshake_request;
using net::testing::RawClient;
using net::testing::read_frame;
using net::testing::run;
using net::testing::run_until;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

class BroadcasterTest : public ::testing::Test {
 protected:
  // One thread of a gateway: its sockets and its end of the channels.
  struct Gateway {
    Gateway(asio::io_context& io, Clock& clock, broker::Broker& broker, BroadcasterOptions options)
        : manager(io.get_executor(), clock, with_users()) {
      options.manager = &manager;
      broadcaster.emplace(io.get_executor(), broker, options);
      manager.on_open([this](const auto& socket) { sockets.push_back(socket); });
      manager.on_message([](const auto&, const net::Message&) {});
      endpoint = manager.listen({"127.0.0.1", 0}).value();
    }
    static websocket::WebSocketManagerOptions with_users() {
      websocket::WebSocketManagerOptions options;
      options.authentication.callback =
          [](const net::ServerRequest& request) -> awaitable<result<websocket::Identity>> {
        websocket::Identity identity;
        identity.user_id = request.headers.get("x-user");
        identity.attributes["team"] = request.headers.get("x-team");
        co_return identity;
      };
      return options;
    }
    websocket::WebSocketManager manager;
    std::optional<Broadcaster> broadcaster;
    net::Endpoint endpoint;
    std::vector<SocketPtr> sockets;
  };

  ~BroadcasterTest() override {
    a_.reset();
    b_.reset();
    io_.restart();
    io_.poll();
  }
  void start(const BroadcasterOptions& options = {}) {
    a_.emplace(io_, clock_, broker_, options);
    b_.emplace(io_, clock_, broker_, options);
  }
  // The socket of a new client, whose end is clients_.back().
  SocketPtr connect(Gateway& gateway, const std::string& user = "ada", const std::string& team = "red") {
    clients_.emplace_back(io_);
    const auto before = gateway.sockets.size();
    run(io_, [&]() -> awaitable<void> {
      auto& client = clients_.back();
      co_await client.connect(gateway.endpoint);
      co_await client.send(handshake_request("X-User: " + user + "\r\nX-Team: " + team + "\r\n"));
      co_await client.read_until("\r\n\r\n");
    });
    run_until(io_, [&] { return gateway.sockets.size() > before; });
    return gateway.sockets.back();
  }
  result<Subscribed> subscribe(Gateway& gateway, const SocketPtr& socket, const std::string& channel,
                               std::optional<Position> since = {}) {
    result<Subscribed> subscribed = Error{};
    run(io_, [&]() -> awaitable<void> {
      auto subscribing = gateway.broadcaster->subscribe(socket, channel, since);
      subscribed = co_await std::move(subscribing);
    });
    return subscribed;
  }
  result<Delivery> broadcast(Gateway& gateway, const std::string& channel, const std::string& text,
                             BroadcastOptions options = {}) {
    result<Delivery> delivery = Error{};
    run(io_, [&]() -> awaitable<void> {
      auto message = OutboundMessage::text(text);
      auto broadcasting = gateway.broadcaster->broadcast(channel, std::move(message), std::move(options));
      delivery = co_await std::move(broadcasting);
    });
    return delivery;
  }
  // The next `count` messages of a client.
  std::vector<std::string> read(RawClient& client, std::size_t count) {
    std::vector<std::string> texts;
    run(io_, [&]() -> awaitable<void> {
      while (texts.size() < count) texts.push_back((co_await read_frame(client)).payload);
    });
    return texts;
  }
  void create(const std::string& name, const ChannelOptions& options = {}) {
    for (auto* gateway : {&*a_, &*b_}) ASSERT_TRUE(gateway->broadcaster->create_channel(name, options));
  }

  SteadyClock clock_;
  asio::io_context io_;
  broker::MemoryBroker broker_{io_.get_executor(), clock_};
  std::optional<Gateway> a_;
  std::optional<Gateway> b_;
  std::deque<RawClient> clients_;
};

TEST_F(BroadcasterTest, AMessageReachesTheSubscribersOfEveryGateway) {
  start();
  create("news");
  create("other");
  (void)subscribe(*a_, connect(*a_), "news");
  (void)subscribe(*b_, connect(*b_), "news");
  (void)subscribe(*b_, connect(*b_), "other");
  EXPECT_EQ(broadcast(*a_, "news", "hello").value(), (Delivery{.queued = 2}));
  EXPECT_EQ(broadcast(*b_, "other", "apart").value(), (Delivery{.queued = 1}));
  EXPECT_THAT(read(clients_[0], 1), ElementsAre("hello"));
  EXPECT_THAT(read(clients_[1], 1), ElementsAre("hello"));
  EXPECT_THAT(read(clients_[2], 1), ElementsAre("apart"));
}

TEST_F(BroadcasterTest, CallablesChooseAmongThisThreadsSocketsAndValuesEverywhere) {
  start();
  create("news");
  for (const auto* user : {"ada", "bob"}) (void)subscribe(*a_, connect(*a_, user), "news");
  for (const auto* user : {"ada", "eve"}) (void)subscribe(*b_, connect(*b_, user, "blue"), "news");
  const auto is_ada = [](const ConnectionContext& context) { return context.user_id == "ada"; };
  EXPECT_EQ(broadcast(*a_, "news", "1", {.filter = is_ada}).value(), (Delivery{.queued = 1, .skipped = 1}));
  EXPECT_EQ(broadcast(*a_, "news", "2", {.exclude = is_ada}).value(), (Delivery{.queued = 1, .skipped = 1}));
  EXPECT_EQ(broadcast(*a_, "news", "3", {.selection = {.user_ids = {"ada", "eve"}}}).value(),
            (Delivery{.queued = 3, .skipped = 1}));
  EXPECT_EQ(broadcast(*a_, "news", "4", {.selection = {.attributes = {{"team", "blue"}}}}).value(),
            (Delivery{.queued = 2, .skipped = 2}));
  EXPECT_EQ(broadcast(*a_, "news", "5", {.selection = {.exclude_connection_id = b_->sockets[0]->id()}}).value(),
            (Delivery{.queued = 3, .skipped = 1}));
  EXPECT_THAT(read(clients_[0], 3), ElementsAre("1", "3", "5"));
  EXPECT_THAT(read(clients_[1], 2), ElementsAre("2", "5"));
  EXPECT_THAT(read(clients_[2], 2), ElementsAre("3", "4"));
  EXPECT_THAT(read(clients_[3], 3), ElementsAre("3", "4", "5"));
}

TEST_F(BroadcasterTest, WhoComesBackWithAPositionGetsWhatWasMissed) {
  start();
  create("news", {.history_size = 3});
  const auto first = subscribe(*a_, connect(*a_), "news").value();
  EXPECT_FALSE(first.recovered) << "it brought no position";
  for (const auto* text : {"1", "2", "3"}) (void)broadcast(*b_, "news", text);
  const auto back = connect(*b_);
  const auto again = subscribe(*b_, back, "news", first.position).value();
  EXPECT_TRUE(again.recovered);
  EXPECT_EQ(again.replayed, 3u);
  (void)broadcast(*a_, "news", "4");
  EXPECT_THAT(read(clients_[1], 4), ElementsAre("1", "2", "3", "4"));
  const auto late = subscribe(*a_, connect(*a_), "news", first.position).value();
  EXPECT_FALSE(late.recovered) << "1 is gone";
  EXPECT_EQ(late.replayed, 0u);
  EXPECT_EQ(late.position.offset, 4u);
  (void)broadcast(*a_, "news", "5");
  EXPECT_THAT(read(clients_[2], 1), ElementsAre("5"));
}

TEST_F(BroadcasterTest, AReplayIsForWhomItWasSelected) {
  start();
  create("news", {.history_size = 10});
  const auto position = subscribe(*a_, connect(*a_), "news").value().position;
  (void)broadcast(*a_, "news", "for eve", {.selection = {.user_ids = {"eve"}}});
  (void)broadcast(*a_, "news", "for all");
  (void)subscribe(*b_, connect(*b_, "bob"), "news", position);
  EXPECT_THAT(read(clients_[1], 1), ElementsAre("for all"));
}

// Publications under way while the history is fetched come once, in order.
TEST_F(BroadcasterTest, AJoinerMissesNothingAndGetsNothingTwice) {
  start();
  create("news", {.history_size = 1000});
  const auto begin = subscribe(*a_, connect(*a_), "news").value().position;
  constexpr int kCount = 300;
  int published = 0;
  const auto publish_all = [&]() -> awaitable<void> {
    for (int i = 0; i < kCount; ++i) {
      auto message = OutboundMessage::text(std::to_string(i));
      auto broadcasting = a_->broadcaster->broadcast("news", std::move(message));
      (void)co_await std::move(broadcasting);
      ++published;
    }
  };
  std::vector<SocketPtr> joiners;
  for (int i = 0; i < 5; ++i) joiners.push_back(connect(*b_));
  asio::co_spawn(io_, publish_all(), asio::detached);
  for (std::size_t i = 0; i < joiners.size(); ++i) {
    run_until(io_, [&] { return published > static_cast<int>(40 * i); });
    EXPECT_TRUE(subscribe(*b_, joiners[i], "news", begin).value().recovered);
  }
  run_until(io_, [&] { return published == kCount; });
  std::vector<std::string> all;
  for (int i = 0; i < kCount; ++i) all.push_back(std::to_string(i));
  for (std::size_t i = 0; i < joiners.size(); ++i) EXPECT_EQ(read(clients_[1 + i], kCount), all);
}

// The history may know of a publication that has not been delivered yet.
TEST_F(BroadcasterTest, WhatCameWithTheHistoryIsNotDeliveredAgain) {
  start();
  create("news", {.history_size = 100});
  auto position = subscribe(*a_, connect(*a_), "news").value().position;
  const auto joiner = connect(*a_);
  for (int round = 0; round < 20; ++round) {
    bool published = false;
    const auto publish_one = [&]() -> awaitable<void> {
      auto message = OutboundMessage::text(std::to_string(round));
      auto broadcasting = a_->broadcaster->broadcast("news", std::move(message));
      (void)co_await std::move(broadcasting);
      published = true;
    };
    asio::co_spawn(io_, publish_one(), asio::detached);
    position = subscribe(*a_, joiner, "news", position).value().position;  // in the middle of it
    run_until(io_, [&] { return published; });
  }
  (void)broadcast(*a_, "news", "last");
  std::vector<std::string> texts;
  while (texts.empty() || texts.back() != "last") texts.push_back(read(clients_[1], 1).front());
  EXPECT_THAT(texts, SizeIs(21));
  EXPECT_THAT(std::set<std::string>(texts.begin(), texts.end()), SizeIs(21)) << "nothing twice";
}

TEST_F(BroadcasterTest, AHistoryThatDoesNotFitIsNotRecovered) {
  start({.max_message = 80u << 20});
  create("news", {.history_size = 10});
  const auto begin = subscribe(*a_, connect(*a_), "news").value().position;
  a_->sockets[0]->abort();
  for (int i = 0; i < 3; ++i) (void)broadcast(*a_, "news", std::string(30u << 20, 'x'));
  const auto back = subscribe(*a_, connect(*a_), "news", begin).value();
  EXPECT_FALSE(back.recovered) << "90 MiB at once";
  EXPECT_EQ(back.replayed, 0u);
  (void)broadcast(*a_, "news", "next");
  EXPECT_THAT(read(clients_[1], 1), ElementsAre("next"));
}

TEST_F(BroadcasterTest, PresenceIsThatOfAllGateways) {
  start();
  create("room", {.presence = true});
  const auto ada = connect(*a_, "ada");
  const auto bob = connect(*b_, "bob");
  (void)subscribe(*a_, ada, "room");
  (void)subscribe(*b_, bob, "room");
  const auto present = [&] {
    std::vector<std::string> users;
    run(io_, [&]() -> awaitable<void> {
      const auto channel = a_->broadcaster->find_channel("room").value();
      auto asking = channel.presence();
      for (const auto& one : (co_await std::move(asking)).value()) users.push_back(one.user_id);
    });
    return users;
  };
  EXPECT_THAT(present(), UnorderedElementsAre("ada", "bob"));
  EXPECT_TRUE(a_->broadcaster->unsubscribe(ada, "room"));
  EXPECT_FALSE(a_->broadcaster->unsubscribe(ada, "room"));
  EXPECT_THAT(present(), ElementsAre("bob"));
  bob->abort();
  EXPECT_THAT(present(), SizeIs(0)) << "a socket's death removes it everywhere";
  EXPECT_EQ(b_->broadcaster->find_channel("room")->subscriber_count(), 0u);
  EXPECT_EQ(broadcast(*a_, "room", "anybody?").value(), Delivery());
}

TEST_F(BroadcasterTest, TheSameNameIsTheSameChannelOnlyWithEqualOptions) {
  start();
  auto& broadcaster = *a_->broadcaster;
  EXPECT_TRUE(broadcaster.create_channel("news", {.history_size = 5}));
  EXPECT_TRUE(broadcaster.create_channel("news", {.history_size = 5}));
  EXPECT_EQ(broadcaster.create_channel("news", {.history_size = 6}).error().code, Errc::conflict);
  EXPECT_EQ(broadcaster.find_channel("news")->options().history_size, 5u);
  for (const auto* name : {"", "with space", "a*b", "\xC3\xA4"}) {
    EXPECT_EQ(broadcaster.create_channel(name).error().code, Errc::invalid_argument) << name;
  }
  EXPECT_FALSE(broadcaster.create_channel(std::string(129, 'a')));
  EXPECT_TRUE(broadcaster.create_channel(std::string(128, 'a')));
  EXPECT_TRUE(broadcaster.create_channel("user:ada@example.com/news_1-2.3"));
}

TEST_F(BroadcasterTest, AnUnknownChannelIsChannelNotFound) {
  start();
  create("news");
  const auto socket = connect(*a_);
  EXPECT_EQ(subscribe(*a_, socket, "other").error().reason, "channel_not_found");
  EXPECT_EQ(broadcast(*a_, "other", "text").error().reason, "channel_not_found");
  EXPECT_EQ(a_->broadcaster->find_channel("other").error().reason, "channel_not_found");
  const auto news = a_->broadcaster->find_channel("news").value();
  (void)subscribe(*a_, socket, "news");
  news.close();
  EXPECT_EQ(broadcast(*a_, "news", "text").error().reason, "channel_not_found");
  EXPECT_EQ(news.subscriber_count(), 0u);
  EXPECT_TRUE(socket->is_open());
}

TEST_F(BroadcasterTest, BoundsHaveNamedOutcomes) {
  start({.max_channels = 3, .max_channels_per_socket = 2, .max_message = 10});
  for (const auto* name : {"a", "b", "c"}) create(name);
  EXPECT_EQ(a_->broadcaster->create_channel("d").error().code, Errc::throttled);
  const auto socket = connect(*a_);
  EXPECT_TRUE(subscribe(*a_, socket, "a"));
  EXPECT_TRUE(subscribe(*a_, socket, "b"));
  EXPECT_TRUE(subscribe(*a_, socket, "b")) << "it has it already";
  EXPECT_EQ(subscribe(*a_, socket, "c").error().code, Errc::throttled);
  EXPECT_EQ(broadcast(*a_, "a", "eleven byte").error().code, Errc::too_large);
  socket->abort();
  EXPECT_EQ(subscribe(*a_, socket, "a").error().code, Errc::closed);
}

TEST_F(BroadcasterTest, AChannelMayBeForSomeUsersOnly) {
  start();
  create("staff", {.publishers = {"ada"}, .subscribers = {"ada", "bob"}});
  EXPECT_TRUE(subscribe(*a_, connect(*a_, "bob"), "staff"));
  EXPECT_EQ(subscribe(*a_, connect(*a_, "eve"), "staff").error().code, Errc::forbidden);
  EXPECT_FALSE(a_->broadcaster->may_publish(a_->sockets[0]->context(), "staff"));
  EXPECT_TRUE(a_->broadcaster->may_publish(connect(*a_, "ada")->context(), "staff"));
  EXPECT_FALSE(a_->broadcaster->may_publish(a_->sockets[0]->context(), "other"));
  EXPECT_FALSE(a_->broadcaster->may_publish(ConnectionContext(), "staff")) << "nobody in particular";
  create("orders", {.clients_publish = false});
  EXPECT_TRUE(a_->broadcaster->may_subscribe(a_->sockets[0]->context(), "orders"));
  EXPECT_FALSE(a_->broadcaster->may_publish(a_->sockets[0]->context(), "orders"));
  EXPECT_TRUE(broadcast(*a_, "orders", "from a program"));
}

TEST_F(BroadcasterTest, AnEnvelopeIsMadeOnceForAllSubscribersOfAThread) {
  int made = 0;
  BroadcasterOptions options;
  options.envelope = [&made](std::string_view channel, const broker::Publication& publication) {
    ++made;
    return OutboundMessage::text(std::string(channel) + " " + std::to_string(publication.offset) + " " +
                                 std::string(publication.message.payload().view()));
  };
  start(options);
  create("news", {.history_size = 5});
  for (int i = 0; i < 10; ++i) (void)subscribe(*a_, connect(*a_), "news");
  (void)broadcast(*b_, "news", "hello");
  EXPECT_EQ(made, 1);
  for (auto& client : clients_) EXPECT_THAT(read(client, 1), ElementsAre("news 1 hello"));
}

TEST_F(BroadcasterTest, AReplayIsPreparedOnceForAllWhoComeBack) {
  int made = 0;
  BroadcasterOptions options;
  options.envelope = [&made](std::string_view, const broker::Publication& publication) {
    ++made;
    return publication.message;
  };
  start(options);
  create("news", {.history_size = 2});
  const auto position = subscribe(*b_, connect(*b_), "news").value().position;
  (void)broadcast(*b_, "news", "1");
  (void)broadcast(*b_, "news", "2");
  made = 0;
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(subscribe(*a_, connect(*a_), "news", position).value().recovered);
  EXPECT_EQ(made, 2);
  for (std::size_t i = 1; i < clients_.size(); ++i) EXPECT_THAT(read(clients_[i], 2), ElementsAre("1", "2"));
  (void)broadcast(*b_, "news", "3");
  const Position one{position.epoch, 1};
  made = 0;
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(subscribe(*a_, connect(*a_), "news", one).value().recovered);
  EXPECT_EQ(made, 1) << "3 only: 2 is still there";
  made = 0;
  EXPECT_FALSE(subscribe(*a_, connect(*a_), "news", position).value().recovered);
  (void)subscribe(*a_, connect(*a_), "news");
  EXPECT_EQ(made, 0) << "nothing is prepared for those who get nothing of it";
}

TEST_F(BroadcasterTest, AChannelOnDemandLivesAsLongAsItsSubscribers) {
  BroadcasterOptions options;
  options.max_channels = 1;
  options.on_demand = [](std::string_view name) -> std::optional<ChannelOptions> {
    if (!name.starts_with("chat:")) return std::nullopt;
    return ChannelOptions{.history_size = 2, .subscribers = {"ada"}};
  };
  Delivery counted;
  options.on_delivered = [&](const Delivery& delivery) { counted += delivery; };
  start(options);
  EXPECT_EQ(subscribe(*a_, connect(*a_), "news").error().reason, "channel_not_found");
  EXPECT_EQ(subscribe(*a_, connect(*a_, "eve"), "chat:1").error().code, Errc::forbidden);
  EXPECT_EQ(a_->broadcaster->find_channel("chat:1").value().subscriber_count(), 0u);
  EXPECT_TRUE(a_->broadcaster->channels().empty()) << "asking makes no channel";
  const auto socket = connect(*a_);
  const auto position = subscribe(*a_, socket, "chat:1").value().position;
  EXPECT_THAT(a_->broadcaster->channels(), ElementsAre("chat:1"));
  EXPECT_EQ(subscribe(*a_, connect(*a_), "chat:2").error().code, Errc::throttled);
  EXPECT_EQ(broadcast(*b_, "chat:1", "hello").value(), (Delivery{.queued = 1})) << "nobody has it there";
  EXPECT_EQ(counted, (Delivery{.queued = 1}));
  EXPECT_TRUE(a_->broadcaster->unsubscribe(socket, "chat:1"));
  EXPECT_TRUE(a_->broadcaster->channels().empty());
  EXPECT_TRUE(subscribe(*a_, socket, "chat:2")) << "there is room again";
  a_->broadcaster->unsubscribe(socket, "chat:2");
  EXPECT_EQ(subscribe(*a_, socket, "chat:1", position).value().replayed, 1u) << "its history is the broker's";
  EXPECT_TRUE(a_->broadcaster->create_channel("chat:1", {.history_size = 2, .subscribers = {"ada"}}));
  a_->broadcaster->unsubscribe(socket, "chat:1");
  EXPECT_THAT(a_->broadcaster->channels(), ElementsAre("chat:1")) << "it has been created since";
}

TEST_F(BroadcasterTest, AUserIsClosedAndEverybodyIsToldOnEveryGateway) {
  start();
  for (auto* gateway : {&*a_, &*b_}) {
    (void)connect(*gateway, "ada");
    (void)connect(*gateway, "bob");
  }
  run(io_, [&]() -> awaitable<void> {
    auto message = OutboundMessage::json({{"to", "bobs"}});
    broker::Selection bobs;
    bobs.user_ids = {"bob"};
    auto telling = a_->broadcaster->broadcast_to_all(std::move(message), std::move(bobs));
    EXPECT_EQ((co_await std::move(telling)).value(), (Delivery{.queued = 2, .skipped = 2}));
    auto closing = a_->broadcaster->close_user("ada", 4001, "signed out");
    EXPECT_EQ((co_await std::move(closing)).value(), (Delivery{.queued = 2}));
    for (const std::size_t ada : {0u, 2u}) {
      const auto frame = co_await read_frame(clients_[ada]);
      EXPECT_EQ(frame.close_code(), 4001);
    }
    for (const std::size_t bob : {1u, 3u}) {
      const auto frame = co_await read_frame(clients_[bob]);
      EXPECT_EQ(frame.payload, R"({"to":"bobs"})");
    }
  });
}

TEST_F(BroadcasterTest, WhatStillRunsWhenItEndsFindsNothing) {
  start();
  create("news", {.history_size = 5});
  const auto socket = connect(*a_);
  const auto news = a_->broadcaster->find_channel("news").value();
  std::optional<result<Subscribed>> outcome;
  const auto subscribe_late = [&]() -> awaitable<void> {
    auto subscribing = a_->broadcaster->subscribe(socket, "news");
    outcome = co_await std::move(subscribing);
  };
  asio::co_spawn(io_, subscribe_late(), asio::detached);
  run_until(io_, [&] { return news.subscriber_count() == 1; });
  a_->broadcaster.reset();
  run_until(io_, [&] { return outcome.has_value(); });
  EXPECT_EQ(outcome->error().reason, "channel_not_found");
  EXPECT_EQ(news.subscriber_count(), 0u);
  socket->abort();
}

}  // namespace
}  // namespace fresnel::channel

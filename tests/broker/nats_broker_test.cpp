#include <fmt/format.h>

#include <future>
#include <stdexcept>

#include "tests/broker/fixture.hpp"
#include "tests/broker/forwarder.hpp"

namespace fresnel::broker {
namespace {

TEST_F(NatsBrokerTest, ThePresentOfAGatewayThatDiedVanish) {
  test::NatsServer server;
  test::Forwarder forwarder(io_, server.port());
  Gateway a(io_, quick(server.url()));
  a.wait_for_status(true);
  {
    Gateway b(io_, quick(forwarder.url()));
    b.wait_for_status(true);
    a->add_presence("room", {"ca", "ada"});
    b->add_presence("room", {"cb", "bob"});
    run_until(io_, [&] { return a.present("room").size() == 2; });
    forwarder.cut();
    EXPECT_THAT(a.present("room"), ElementsAre("ca")) << "who does not answer in time is not there";
    forwarder.mend();
    b.wait_for_status(false);
    b.wait_for_status(true);
    run_until(io_, [&] { return a.present("room").size() == 2; });
  }
}

TEST_F(NatsBrokerTest, NobodyWaitsForAGatewayThatSaidGoodbye) {
  test::NatsServer server;
  auto options = quick(server.url());
  options.presence_timeout = std::chrono::minutes(5);  // longer than a test may take
  Gateway a(io_, options);
  a.wait_for_status(true);
  a->add_presence("room", {"ca", "ada"});
  {
    Gateway b(io_, options);
    b.wait_for_status(true);
    b->add_presence("room", {"cb", "bob"});
    run_until(io_, [&] { return a.present("room").size() == 2; });
  }
  EXPECT_THAT(a.present("room"), ElementsAre("ca"));
}

TEST_F(NatsBrokerTest, ManyArePresent) {
  test::NatsServer server;
  auto options = quick(server.url());
  // However long a slow build takes for so many: heartbeats wait meanwhile, too.
  options.presence_timeout = std::chrono::minutes(5);
  options.alive_interval = std::chrono::minutes(1);
  Gateway a(io_, options);
  Gateway b(io_, options);
  a.wait_for_status(true);
  b.wait_for_status(true);
  for (int i = 0; i < 20'000; ++i) b->add_presence("room", {fmt::format("connection-{}", i), "somebody"});
  EXPECT_THAT(a.present("room"), SizeIs(20'000)) << "more than fits in one message";
}

TEST_F(NatsBrokerTest, AMessageThatIsTooLargeIsRefused) {
  test::NatsServer server(test::NatsServerOptions{.config = "max_payload: 2000"});
  Gateway a(io_, patient(server.url()));
  a.wait_for_status(true);
  for (const auto& limits : {HistoryLimits(), HistoryLimits{.size = 10}}) {
    const auto published = a.publish("news", std::string(2'000, 'x'), limits);
    ASSERT_FALSE(published.has_value());
    EXPECT_EQ(published.error().code, Errc::too_large);
    EXPECT_THAT(published.error().message, HasSubstr("max_payload: 2000"));
  }
}

TEST_F(NatsBrokerTest, ThoseWhoComeBackAreAnsweredFromTheLog) {
  test::NatsServer server;
  const HistoryLimits limits{.size = 50};
  Gateway a(io_, quick(server.url()));
  a.wait_for_status(true);
  Position middle;
  for (int i = 0; i < 20; ++i) {
    const auto position = a.publish("news", fmt::format("{}", i), limits).value().position;
    if (i == 9) middle = position;
  }
  a->subscribe("news", limits);
  ASSERT_THAT(a.history("news", limits).value().publications, SizeIs(20));
  const auto requests = a.stream_requests();
  for (int i = 0; i < 100; ++i) {
    const auto back = a.history("news", limits, middle).value();
    EXPECT_TRUE(back.recovered);
    EXPECT_THAT(back.publications, SizeIs(10));
  }
  EXPECT_EQ(a.stream_requests(), requests);
}

TEST_F(NatsBrokerTest, WithoutJetStreamOnlyChannelsWithoutHistory) {
  test::NatsServer server(test::NatsServerOptions{.jetstream = false});
  Gateway a(io_, quick(server.url()));
  const HistoryLimits limits{.size = 10};
  a->subscribe("plain", HistoryLimits());
  a->subscribe("kept", limits);
  a.wait_for_status(true);
  EXPECT_TRUE(a.publish("plain", "text").has_value());
  const auto published = a.publish("kept", "text", limits);
  ASSERT_FALSE(published.has_value());
  EXPECT_EQ(published.error().status, 503);
  EXPECT_THAT(published.error().message, HasSubstr("has no JetStream"));
  const auto had = a.history("kept", limits);
  ASSERT_FALSE(had.has_value());
  EXPECT_THAT(had.error().message, HasSubstr("has no JetStream"));
}

// The home executor stands still while messages pour in: what there is no room for is read from the stream.
TEST_F(NatsBrokerTest, WhatComesTooFastIsReadFromTheHistory) {
  test::NatsServer server;
  const HistoryLimits limits{.size = 1'000};
  Gateway a(io_, quick(server.url()));
  auto options = quick(server.url());
  options.max_incoming_messages = 20;
  Gateway b(io_, options);
  for (auto* gateway : {&a, &b}) {
    gateway->wait_for_status(true);
    (*gateway)->subscribe("news", limits);
    ASSERT_TRUE(gateway->history("news", limits).has_value());
  }
  std::promise<void> go_on;
  b.at_home([&] { go_on.get_future().wait(); });
  std::vector<std::string> all;
  for (int i = 0; i < 300; ++i) {
    all.push_back(fmt::format("{}", i));
    ASSERT_TRUE(a.publish("news", all.back(), limits).has_value());
  }
  go_on.set_value();
  run_until(io_, [&] { return b.told.size() >= all.size(); });
  EXPECT_EQ(b.told, all);
  EXPECT_THAT(b.gaps, IsEmpty());
}

TEST_F(NatsBrokerTest, OptionsThatCannotBeRightAreRefusedWithoutTheirSecrets) {
  SteadyClock clock;
  asio::io_context home;
  const auto failure_of = [&](const NatsBrokerOptions& options) -> std::string {
    try {
      const NatsBroker broker(home.get_executor(), clock, options);
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "none";
  };
  NatsBrokerOptions options;
  options.servers = {"nats://user:hunter2@127.0.0.1:notaport"};
  EXPECT_THAT(failure_of(options),
              ::testing::AllOf(HasSubstr("a server's URL is expected"), Not(HasSubstr("hunter2"))));
  options = NatsBrokerOptions();
  options.prefix = "with space";
  EXPECT_THAT(failure_of(options), HasSubstr("prefix"));
  options = NatsBrokerOptions();
  options.servers.clear();
  EXPECT_THAT(failure_of(options), HasSubstr("no server"));
}

TEST_F(NatsBrokerTest, AWrongPasswordIsNoEndAndInNoError) {
  test::NatsServer server(test::NatsServerOptions{.config = "authorization: {user: ada, password: right}"});
  auto url = server.url();
  auto options = quick("nats://ada:hunter2@" + url.substr(7));
  Gateway a(io_, options);
  a.wait_for_status(false);
  const auto published = a.publish("news", "text");
  ASSERT_FALSE(published.has_value());
  EXPECT_THAT(published.error().message, Not(HasSubstr("hunter2")));
  options.servers = {"nats://ada:right@" + url.substr(7)};
  Gateway b(io_, options);
  b.wait_for_status(true);
  EXPECT_TRUE(b.publish("news", "text").has_value());
}

}  // namespace
}  // namespace fresnel::broker

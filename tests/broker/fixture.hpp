// Gateways on a nats-server that a test kills and starts again.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "fresnel/broker/nats_broker.hpp"
#include "fresnel/net/testing.hpp"
#include "tests/support/nats_server.hpp"
#include "tests/support/wait.hpp"

namespace fresnel::broker {

using net::OutboundMessage;
using net::testing::run;
using net::testing::run_until;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

// A gateway with one node, its broker on a thread of its own.
class Gateway {
 public:
  Gateway(asio::io_context& io, NatsBrokerOptions options) : io_(io) {
    thread_ = std::thread([this] { home_.run(); });
    broker_ = std::make_unique<NatsBroker>(home_.get_executor(), clock_, std::move(options));
    Handlers handlers;
    handlers.on_publication = [this](const std::string&, const PublicationPtr& publication) {
      told.emplace_back(publication->message.payload().view());
      positions.push_back({publication->epoch, publication->offset});
      return Delivery{.queued = 1};
    };
    handlers.on_control = [](const Control&) { return Delivery{.queued = 1}; };
    handlers.on_status = [this](bool connected) { statuses.push_back(connected); };
    handlers.on_gap = [this](const std::string& channel, const Position& position) {
      told.push_back("gap in " + channel);
      gaps.push_back(position);
    };
    node_ = broker_->join(io_.get_executor(), std::move(handlers));
    (void)history("", HistoryLimits());  // it has joined when it gets an answer
    if (statuses.empty()) statuses.push_back(true);
  }
  ~Gateway() {
    node_.reset();
    broker_.reset();
    guard_.reset();
    thread_.join();
    io_.restart();
    io_.poll();
  }
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  Node& operator*() { return *node_; }
  Node* operator->() { return node_.get(); }
  void wait_for_status(bool connected) {
    run_until(io_, [&] { return !statuses.empty() && statuses.back() == connected; });
  }
  result<Published> publish(const std::string& channel, const std::string& text, HistoryLimits limits = {}) {
    result<Published> outcome = Published();
    run(io_, [&]() -> awaitable<void> {
      Publication publication{OutboundMessage::text(text), {}, 0, {}};
      auto publishing = node_->publish(channel, std::move(publication), limits);
      outcome = co_await std::move(publishing);
    });
    return outcome;
  }
  result<History> history(const std::string& channel, HistoryLimits limits, std::optional<Position> since = {}) {
    result<History> outcome = History();
    run(io_, [&]() -> awaitable<void> {
      auto asking = node_->history(channel, since, limits);
      outcome = co_await std::move(asking);
    });
    return outcome;
  }
  std::vector<std::string> present(const std::string& channel) {
    std::vector<std::string> connections;
    run(io_, [&]() -> awaitable<void> {
      auto asking = node_->presence(channel);
      const auto outcome = co_await std::move(asking);
      for (const auto& one : outcome.value()) connections.push_back(one.connection_id);
    });
    return connections;
  }
  // On the broker's own thread, which waits for it to return.
  void at_home(std::function<void()> work) { asio::post(home_, std::move(work)); }
  // Requests to JetStream so far.
  std::uint64_t stream_requests() {
    std::promise<std::uint64_t> count;
    asio::post(home_, [&] { count.set_value(broker_->stream_requests()); });
    return count.get_future().get();
  }

  std::vector<std::string> told;
  std::vector<Position> positions;
  std::vector<bool> statuses;
  std::vector<Position> gaps;

 private:
  asio::io_context& io_;
  asio::io_context home_;
  asio::executor_work_guard<asio::io_context::executor_type> guard_ = asio::make_work_guard(home_);
  SteadyClock clock_;
  std::thread thread_;
  std::unique_ptr<NatsBroker> broker_;
  std::unique_ptr<Node> node_;
};

class NatsBrokerTest : public ::testing::Test {
 protected:
  ~NatsBrokerTest() override {
    io_.restart();
    io_.poll();
  }
  static NatsBrokerOptions quick(const std::string& url) {
    NatsBrokerOptions options;
    options.servers = {url};
    options.reconnect_wait = milliseconds(20);
    options.max_stream_bytes = 16 * 1024 * 1024;
    options.alive_interval = milliseconds(100);
    options.presence_timeout = milliseconds(500);
    return options;
  }
  static NatsBrokerOptions patient(const std::string& url) {
    auto options = quick(url);
    options.on_disconnect = NatsBrokerOptions::OnDisconnect::wait;
    options.publish_timeout = seconds(15);
    return options;
  }

  asio::io_context io_;
  asio::executor_work_guard<asio::io_context::executor_type> guard_ = asio::make_work_guard(io_);
};

}  // namespace fresnel::broker

// A Multiplexer in virtual time on a fake gateway, and a listener that remembers what it was told.
//
// Thread safety: one thread.
#pragma once

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>
#include <vector>

#include "fresnel/base/clock.hpp"
#include "fresnel/client/multiplexer.hpp"
#include "fresnel/client/testing/events.hpp"
#include "fresnel/client/testing/fake_gateway.hpp"
#include "fresnel/wire/multiplexer_message.hpp"

namespace fresnel::client::testing {

// Everything a listener was told, in order: "ADDED a@5", "COMPLETE", "error: ...", "state: live".
struct Record {
  std::vector<std::string> told;
  std::vector<std::string> texts;  // of the events

  [[nodiscard]] SubscriptionHandlers handlers() {
    return {.on_message =
                [this](const kube::WatchEvent& event) {
                  told.push_back(brief(event));
                  texts.emplace_back(event.bytes.view());
                },
            .on_error = [this](const Error& error) { told.push_back("error: " + error.message); },
            .on_complete = [this] { told.emplace_back("COMPLETE"); }};
  }
  [[nodiscard]] SubscriptionHandlers handlers_with_state() {
    auto all = handlers();
    all.on_state = [this](const SubscriptionStatus& status) {
      told.push_back("state: " + std::string(to_string(status.state)));
    };
    return all;
  }
  std::vector<std::string> take() { return std::exchange(told, {}); }
};

inline const SubscriptionKey kPods{.cluster_id = "prod", .path = "/api/v1/pods"};
inline constexpr std::string_view kFreshQuery = "watch=1&allowWatchBookmarks=true";

class MultiplexerTest : public ::testing::Test {
 protected:
  // First, so that it outlives the coroutines that the io_context destroys.
  ManualClock clock_;
  asio::io_context io_;
  std::shared_ptr<FakeDialer> dialer_ = std::make_shared<FakeDialer>(io_.get_executor());
  MultiplexerOptions options_{.url = "http://gateway:4466", .user_id = "f0"};
  std::unique_ptr<Multiplexer> multiplexer_ = make();
  std::shared_ptr<FakeSocket> socket_;

  std::unique_ptr<Multiplexer> make() {
    return std::make_unique<Multiplexer>(io_.get_executor(), clock_, Random(7), dialer_, options_);
  }
  // Runs all that can run without time passing.
  void settle() {
    io_.restart();
    io_.poll();
  }
  void advance(Duration by) {
    clock_.advance(by);
    settle();
  }
  // Answers the dial that waits, or the next one, whatever the backoff.
  std::shared_ptr<FakeSocket> accept() {
    wait_for_dial();
    socket_ = dialer_->accept();
    settle();
    return socket_;
  }
  void wait_for_dial() {
    settle();
    while (dialer_->waiting() == 0) {
      ASSERT_TRUE(clock_.advance_to_next());
      settle();
    }
  }
  void drop() {
    socket_->drop();
    settle();
  }
  void push(const wire::ServerMessage& message) {
    socket_->push(wire::encode(message));
    settle();
  }
  // Messages of the watch that was requested with `query`.
  void data(std::string event, std::string_view query = kFreshQuery) {
    push(message(wire::ServerMessage::Type::data, query, std::move(event)));
  }
  void complete(std::string_view query = kFreshQuery) { push(message(wire::ServerMessage::Type::complete, query)); }
  void refuse(const Error& error, std::string_view query = kFreshQuery) {
    push(message(wire::ServerMessage::Type::error, query, wire::encode_error_data(error)));
  }
  void upstream(wire::UpstreamStatus::State state, std::string error, std::string_view request_query) {
    auto status = message(wire::ServerMessage::Type::status, "", wire::encode_status_data({state, std::move(error)}));
    status.request_query = request_query;
    push(status);
  }
  static wire::ServerMessage message(wire::ServerMessage::Type type, std::string_view query, std::string data = "") {
    return {.type = type,
            .cluster_id = "prod",
            .path = "/api/v1/pods",
            .query = std::string(query),
            .user_id = "f0",
            .data = std::move(data)};
  }
  // What the client sent, as "REQUEST watch=1&...".
  std::vector<std::string> sent() {
    std::vector<std::string> messages;
    for (const auto& text : socket_->take_sent()) {
      const auto parsed = wire::parse_client_message(text).value();
      const bool is_request = parsed.type == wire::ClientMessage::Type::request;
      messages.push_back((is_request ? "REQUEST " : "CLOSE ") + parsed.query);
    }
    return messages;
  }
  // The outcome of connect(), once it has one.
  std::shared_ptr<std::optional<result<void>>> connect() {
    auto outcome = std::make_shared<std::optional<result<void>>>();
    asio::co_spawn(io_, connect_into(*multiplexer_, outcome), [](std::exception_ptr thrown) {
      if (thrown) std::rethrow_exception(thrown);
    });
    settle();
    return outcome;
  }
  static awaitable<void> connect_into(Multiplexer& multiplexer, std::shared_ptr<std::optional<result<void>>> outcome) {
    const auto connected = co_await multiplexer.connect();
    outcome->emplace(connected);
  }
};

}  // namespace fresnel::client::testing

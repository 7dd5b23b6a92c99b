#include "fresnel/cli/event_source.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include "fresnel/client/testing/events.hpp"
#include "fresnel/client/testing/fake_gateway.hpp"
#include "fresnel/kube/testing/fake_transport.hpp"
#include "fresnel/wire/multiplexer_message.hpp"

namespace fresnel::cli {
namespace {

using client::testing::pod_event;
using testing::ElementsAre;

class EventSourceTest : public testing::Test {
 protected:
  // What the handlers were told: "a ADDED web", "a synced", "a live".
  SourceHandlers handlers() {
    SourceHandlers handlers;
    handlers.on_event = [this](const std::string& cluster, const kube::WatchEvent& event) {
      told_.push_back(cluster + " " + std::string(to_string(event.type)) + " " + std::string(event.name) +
                      (event.has_columns ? " with columns" : ""));
    };
    handlers.on_synced = [this](const std::string& cluster) { told_.push_back(cluster + " synced"); };
    handlers.on_state = [this](const std::string& cluster, LinkState state, const Error& error) {
      told_.push_back(cluster + " " + std::string(to_string(state)) +
                      (error.message.empty() ? "" : ": " + error.message));
    };
    return handlers;
  }

  std::vector<std::string> poll() {
    io_.restart();
    io_.poll();
    return std::exchange(told_, {});
  }

  ManualClock clock_;
  Random random_{7};
  kube::FakeTransport transport_;
  std::vector<std::string> told_;
  asio::io_context io_;
};

using DirectSourceTest = EventSourceTest;

TEST_F(DirectSourceTest, TellsTheExistingObjectsThenEveryChange) {
  transport_.answer("/api/v1/pods?limit=500",
                    {200, R"({"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"7"},"items":[
                      {"metadata":{"name":"web","uid":"u1","resourceVersion":"5"}}]})"});
  kube::FakeAnswer watch{200, pod_event("MODIFIED", "web", "8") + "\n" + client::testing::bookmark_event("9") + "\n" +
                                  pod_event("DELETED", "web", "10") + "\n"};
  watch.stays_open = true;
  transport_.answer("/api/v1/pods", watch);
  DirectSource source(io_.get_executor(), clock_, random_, transport_, handlers());
  source.follow({.name = "a", .server = "http://k"}, {.path = "/api/v1/pods"});
  EXPECT_THAT(poll(),
              ElementsAre("a connecting", "a ADDED web", "a synced", "a live", "a MODIFIED web", "a DELETED web"));
}

TEST_F(DirectSourceTest, ATablesColumnsComeWithItsFirstRow) {
  transport_.answer("/api/v1/pods?limit=500",
                    {200, R"({"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"7"},
      "columnDefinitions":[{"name":"Name"}],"rows":[
        {"cells":["a"],"object":{"metadata":{"name":"a","uid":"u1","resourceVersion":"5"}}},
        {"cells":["b"],"object":{"metadata":{"name":"b","uid":"u2","resourceVersion":"6"}}}]})"});
  kube::FakeAnswer watch;
  watch.stays_open = true;
  transport_.answer("/api/v1/pods", watch);
  DirectSource source(io_.get_executor(), clock_, random_, transport_, handlers());
  source.follow({.name = "a", .server = "http://k"}, {.path = "/api/v1/pods", .accept = "application/json;as=Table"});
  EXPECT_THAT(poll(), ElementsAre("a connecting", "a ADDED a with columns", "a ADDED b", "a synced", "a live"));
}

TEST_F(DirectSourceTest, FailsBeforeAndReconnectsAfterTheFirstList) {
  transport_.answer("/api/v1/pods?limit=500", {503, "overloaded"});
  DirectSource source(io_.get_executor(), clock_, random_, transport_, handlers());
  source.follow({.name = "a", .server = "http://k"}, {.path = "/api/v1/pods"});
  EXPECT_THAT(poll(), ElementsAre("a connecting", "a failed: the server answered with HTTP status 503: overloaded"));

  transport_.answer("/api/v1/pods?limit=500",
                    {200, R"({"kind":"PodList","metadata":{"resourceVersion":"7"},"items":[]})"});
  kube::FakeAnswer cut{200, ""};
  cut.read_error = Error{Errc::closed, "connection reset"};
  transport_.answer("/api/v1/pods", cut);
  clock_.advance(seconds(31));
  EXPECT_THAT(poll(), ElementsAre("a synced", "a live", "a reconnecting: connection reset"));
}

TEST_F(DirectSourceTest, ADestroyedSourceIsSilent) {
  transport_.answer("/api/v1/pods", {503, "overloaded"});
  auto source = std::make_unique<DirectSource>(io_.get_executor(), clock_, random_, transport_, handlers());
  source->follow({.name = "a", .server = "http://k"}, {.path = "/api/v1/pods"});
  (void)poll();
  source.reset();
  clock_.advance(seconds(60));
  EXPECT_TRUE(poll().empty());
}

class GatewaySourceTest : public EventSourceTest {
 protected:
  // Answers the REQUEST that the client sent.
  void push(const wire::ClientMessage& request, wire::ServerMessage::Type type, std::string data = {}) {
    socket_->push(encode(
        wire::ServerMessage{type, request.cluster_id, request.path, request.query, request.user_id, std::move(data)}));
  }

  std::shared_ptr<client::testing::FakeDialer> dialer_ =
      std::make_shared<client::testing::FakeDialer>(io_.get_executor());
  std::shared_ptr<client::testing::FakeSocket> socket_;
};

TEST_F(GatewaySourceTest, FollowsEveryClusterOverOneSocket) {
  GatewaySource source(io_.get_executor(), clock_, Random(7), dialer_, "http://gw:4466", handlers());
  source.follow({.name = "a"}, {.path = "/api/v1/pods", .query = "labelSelector=x", .accept = "application/json"});
  source.follow({.name = "b"}, {.path = "/api/v1/pods", .accept = "application/json"});
  (void)poll();
  socket_ = dialer_->accept();
  (void)poll();
  EXPECT_EQ(dialer_->requests.size(), 1u);
  const auto sent = socket_->take_sent();
  ASSERT_EQ(sent.size(), 2u);
  const auto a = wire::parse_client_message(sent[0]).value();
  const auto b = wire::parse_client_message(sent[1]).value();
  EXPECT_EQ(a.cluster_id, "a");
  EXPECT_THAT(a.query, testing::HasSubstr("labelSelector=x"));

  push(b, wire::ServerMessage::Type::data, pod_event("ADDED", "web", "5"));
  push(b, wire::ServerMessage::Type::complete);
  push(b, wire::ServerMessage::Type::data, pod_event("DELETED", "web", "6"));
  const auto told = poll();
  EXPECT_THAT(told, testing::IsSupersetOf({"b ADDED web", "b synced", "b live", "b DELETED web"}));
  for (const auto& entry : told) EXPECT_TRUE(entry.starts_with("b ")) << entry;
}

TEST_F(GatewaySourceTest, ARefusalSaysWhy) {
  GatewaySource source(io_.get_executor(), clock_, Random(7), dialer_, "http://gw:4466", handlers());
  source.follow({.name = "a"}, {.path = "/api/v1/pods"});
  (void)poll();
  socket_ = dialer_->accept();
  (void)poll();
  const auto request = wire::parse_client_message(socket_->take_sent().at(0)).value();
  push(request, wire::ServerMessage::Type::error, R"({"error":"pods is forbidden","code":403,"reason":"Forbidden"})");
  EXPECT_THAT(poll(), testing::Contains("a failed: pods is forbidden"));
}

}  // namespace
}  // namespace fresnel::cli

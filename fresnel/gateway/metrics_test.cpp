#include "fresnel/gateway/metrics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fresnel::gateway {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Metrics, ExposesRequestsByCode) {
  Metrics metrics;
  const hub::HubMetrics hub;
  metrics.count_request(200);
  metrics.count_request(200);
  metrics.count_request(403);
  metrics.count_request(0);
  metrics.count_request(-1);
  metrics.count_request(100000);
  const auto text = metrics.expose(hub);
  EXPECT_THAT(text, HasSubstr("# TYPE fresnel_http_requests_total counter"));
  EXPECT_THAT(text, HasSubstr("fresnel_http_requests_total{code=\"200\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("fresnel_http_requests_total{code=\"403\"} 1\n"));
  EXPECT_THAT(text, Not(HasSubstr("code=\"0\"")));
}

TEST(Metrics, ConnectionsCountWhileTheyLive) {
  Metrics metrics;
  const hub::HubMetrics hub;
  {
    const auto one = metrics.open(ConnectionKind::multiplexer);
    const auto two = metrics.open(ConnectionKind::multiplexer);
    EXPECT_THAT(metrics.expose(hub), HasSubstr("fresnel_connections{kind=\"multiplexer\"} 2\n"));
  }
  EXPECT_THAT(metrics.expose(hub), HasSubstr("fresnel_connections{kind=\"multiplexer\"} 0\n"));
  EXPECT_THAT(metrics.expose(hub), HasSubstr("fresnel_connections_total{kind=\"multiplexer\"} 2\n"));
}

TEST(Metrics, ExposesTheHubByCluster) {
  const Metrics metrics;
  hub::HubMetrics hub;
  hub.for_cluster("pro\"d")->events_in = 7;
  hub.for_cluster("pro\"d")->upstream_watches = 1;
  hub.for_cluster("test")->events_out = 9;
  hub.for_cluster("test")->escaped = 5;
  hub.for_cluster("test")->compressed = 6;
  const auto text = metrics.expose(hub);
  EXPECT_THAT(text, HasSubstr("fresnel_events_in_total{cluster=\"pro\\\"d\"} 7\n"));
  EXPECT_THAT(text, HasSubstr("fresnel_upstream_watches{cluster=\"pro\\\"d\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("fresnel_events_out_total{cluster=\"test\"} 9\n"));
  EXPECT_THAT(text, HasSubstr("fresnel_events_escaped_total{cluster=\"test\"} 5\n"));
  EXPECT_THAT(text, HasSubstr("fresnel_events_compressed_total{cluster=\"test\"} 6\n"));
  EXPECT_THAT(text, HasSubstr("fresnel_relists_total{cluster=\"test\"} 0\n"));
}

TEST(Metrics, BadInputByKind) {
  Metrics metrics;
  metrics.count_bad_input(BadInput::unknown_cluster);
  metrics.sessions().oversized_messages = 1;
  metrics.sessions().malformed_messages = 3;
  metrics.sessions().slow_closes = 2;
  metrics.sessions().lagging_subscriptions = 4;
  metrics.sessions().conflated_events = 5;
  const auto text = metrics.expose(hub::HubMetrics());
  EXPECT_THAT(text, HasSubstr("fresnel_bad_client_input_total{kind=\"unknown_cluster\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("fresnel_bad_client_input_total{kind=\"oversized_message\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("fresnel_bad_client_input_total{kind=\"malformed_message\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("fresnel_bad_client_input_total{kind=\"origin\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("fresnel_slow_closes_total 2\n"));
  EXPECT_THAT(text, HasSubstr("fresnel_lagging_subscriptions 4\n"));
  EXPECT_THAT(text, HasSubstr("fresnel_conflated_events_total 5\n"));
}

}  // namespace
}  // namespace fresnel::gateway

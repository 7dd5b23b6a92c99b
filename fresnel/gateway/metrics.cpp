#include "fresnel/gateway/metrics.hpp"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <utility>
#include <vector>

#include "fresnel/base/version.hpp"

namespace fresnel::gateway {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

MetricFamily family(std::string name, std::string help, MetricType type) {
  MetricFamily family;
  family.name = std::move(name);
  family.help = std::move(help);
  family.type = type;
  return family;
}

void add(MetricFamily& family, std::string label, std::string_view value, double number) {
  ClientMetric metric;
  metric.label.push_back({std::move(label), std::string(value)});
  (family.type == MetricType::Gauge ? metric.gauge.value : metric.counter.value) = number;
  family.metric.push_back(std::move(metric));
}

// The families of the hub's counters, one sample a cluster.
std::vector<MetricFamily> collect_clusters(const hub::HubMetrics& hub) {
  std::vector<MetricFamily> families;
  families.push_back(family("fresnel_upstream_watches", "Watches open at API servers", MetricType::Gauge));
  families.push_back(family("fresnel_subscriptions", "Subscriptions of clients to watches", MetricType::Gauge));
  families.push_back(family("fresnel_events_in_total", "Watch events received from API servers", MetricType::Counter));
  families.push_back(family("fresnel_events_out_total", "Watch events handed to subscriptions", MetricType::Counter));
  families.push_back(family("fresnel_events_escaped_total",
                            "Watch events escaped for multiplexers, once for all of them", MetricType::Counter));
  families.push_back(family("fresnel_events_compressed_total", "Texts of watch events compressed, once for all clients",
                            MetricType::Counter));
  families.push_back(family("fresnel_relists_total", "Lists made anew after a watch had expired", MetricType::Counter));
  families.push_back(
      family("fresnel_expired_joins_total", "Subscriptions resumed from a version that was gone", MetricType::Counter));
  hub.visit([&](const std::string& cluster, const hub::ClusterMetrics& metrics) {
    const double values[] = {
        static_cast<double>(metrics.upstream_watches.load()), static_cast<double>(metrics.subscriptions.load()),
        static_cast<double>(metrics.events_in.load()),        static_cast<double>(metrics.events_out.load()),
        static_cast<double>(metrics.escaped.load()),          static_cast<double>(metrics.compressed.load()),
        static_cast<double>(metrics.relists.load()),          static_cast<double>(metrics.expired.load()),
    };
    for (std::size_t i = 0; i < families.size(); ++i) add(families[i], "cluster", cluster, values[i]);
  });
  return families;
}

}  // namespace

std::string_view to_string(ConnectionKind kind) noexcept {
  switch (kind) {
    case ConnectionKind::multiplexer: return "multiplexer";
    case ConnectionKind::direct: return "direct";
    case ConnectionKind::tunnel: return "tunnel";
    case ConnectionKind::channels: return "channels";
  }
  return "unknown";
}

std::string_view to_string(BadInput kind) noexcept {
  switch (kind) {
    case BadInput::origin: return "origin";
    case BadInput::unauthorized: return "unauthorized";
    case BadInput::path: return "path";
    case BadInput::unknown_cluster: return "unknown_cluster";
    case BadInput::handshake: return "handshake";
    case BadInput::request_body: return "request_body";
  }
  return "unknown";
}

void Metrics::count_request(int status) noexcept {
  if (status > 0 && status < kStatuses) requests_[static_cast<std::size_t>(status)].fetch_add(1, kRelaxed);
}

void Metrics::count_bad_input(BadInput kind) noexcept {
  bad_inputs_[static_cast<std::size_t>(kind)].fetch_add(1, kRelaxed);
}

Metrics::Open Metrics::open(ConnectionKind kind) noexcept {
  opened_[static_cast<std::size_t>(kind)].fetch_add(1, kRelaxed);
  return Open(open_[static_cast<std::size_t>(kind)]);
}

void Metrics::count_delivery(const broker::Delivery& delivery) noexcept {
  channel_queued_.fetch_add(delivery.queued, kRelaxed);
  channel_skipped_.fetch_add(delivery.skipped, kRelaxed);
  channel_slow_.fetch_add(delivery.slow, kRelaxed);
}

std::string Metrics::expose(const hub::HubMetrics& hub) const {
  std::vector<MetricFamily> families = collect_clusters(hub);
  auto open = family("fresnel_connections", "Open WebSockets and tunnels", MetricType::Gauge);
  auto opened = family("fresnel_connections_total", "WebSockets and tunnels opened", MetricType::Counter);
  for (std::size_t i = 0; i < kConnectionKinds; ++i) {
    const auto kind = to_string(static_cast<ConnectionKind>(i));
    add(open, "kind", kind, static_cast<double>(open_[i].load()));
    add(opened, "kind", kind, static_cast<double>(opened_[i].load()));
  }
  auto bad = family("fresnel_bad_client_input_total", "Requests and messages refused as wrong", MetricType::Counter);
  for (std::size_t i = 0; i < kBadInputs; ++i) {
    add(bad, "kind", to_string(static_cast<BadInput>(i)), static_cast<double>(bad_inputs_[i].load()));
  }
  const std::pair<std::string_view, const std::atomic<std::uint64_t>*> messages[] = {
      {"malformed_message", &sessions_.malformed_messages},
      {"binary_message", &sessions_.binary_messages},
      {"oversized_message", &sessions_.oversized_messages},
      {"refused_request", &sessions_.refused_requests},
  };
  for (const auto& [kind, count] : messages) add(bad, "kind", kind, static_cast<double>(count->load()));
  auto slow =
      family("fresnel_slow_closes_total", "Clients closed because they let too many answers wait", MetricType::Counter);
  slow.metric.emplace_back().counter.value = static_cast<double>(sessions_.slow_closes.load());
  auto lagging =
      family("fresnel_lagging_subscriptions", "Subscriptions whose clients read too slowly, now", MetricType::Gauge);
  lagging.metric.emplace_back().gauge.value = static_cast<double>(sessions_.lagging_subscriptions.load());
  auto conflated =
      family("fresnel_conflated_events_total",
             "Events not sent to a lagging subscription because newer ones took their place", MetricType::Counter);
  conflated.metric.emplace_back().counter.value = static_cast<double>(sessions_.conflated_events.load());
  auto delivered = family("fresnel_channel_deliveries_total",
                          "Channel messages handed to subscribers (slow: of those queued, to readers that lag)",
                          MetricType::Counter);
  add(delivered, "outcome", "queued", static_cast<double>(channel_queued_.load()));
  add(delivered, "outcome", "skipped", static_cast<double>(channel_skipped_.load()));
  add(delivered, "outcome", "slow", static_cast<double>(channel_slow_.load()));
  auto connected =
      family("fresnel_broker_connected", "1 while other gateways' channels can be reached", MetricType::Gauge);
  connected.metric.emplace_back().gauge.value = broker_connected_.load() ? 1 : 0;
  auto requests = family("fresnel_http_requests_total", "HTTP exchanges finished, by status", MetricType::Counter);
  for (std::size_t status = 0; status < requests_.size(); ++status) {
    const auto count = requests_[status].load();
    if (count != 0) add(requests, "code", std::to_string(status), static_cast<double>(count));
  }
  auto build = family("fresnel_build_info", "The version in its label", MetricType::Gauge);
  add(build, "version", kVersion, 1);
  for (auto* more : {&open, &opened, &bad, &slow, &lagging, &conflated, &delivered, &connected, &requests, &build})
    families.push_back(std::move(*more));
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace fresnel::gateway

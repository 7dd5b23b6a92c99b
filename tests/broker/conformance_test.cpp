// Two gateways, each with a NatsBroker, on one nats-server.
#include <fmt/format.h>

#include "fresnel/broker/conformance_testing.hpp"
#include "fresnel/broker/nats_broker.hpp"
#include "tests/support/nats_server.hpp"

namespace fresnel::broker {
namespace {

std::vector<std::unique_ptr<Broker>> nats_brokers(const Executor& home, Clock& clock) {
  static test::NatsServer server;
  static int installations = 0;
  NatsBrokerOptions options;
  options.servers = {server.url()};
  options.prefix = fmt::format("conformance.{}", ++installations);
  options.max_stream_bytes = 1024 * 1024;  // the server sets it aside for each installation's streams
  std::vector<std::unique_ptr<Broker>> brokers;
  for (int i = 0; i < 2; ++i) brokers.push_back(std::make_unique<NatsBroker>(home, clock, options));
  return brokers;
}

INSTANTIATE_TEST_SUITE_P(Nats, BrokerConformanceTest,
                         ::testing::Values(BrokerKind{"SameThread", false, nats_brokers},
                                           BrokerKind{"OtherThread", true, nats_brokers}),
                         [](const auto& kind) { return kind.param.name; });

}  // namespace
}  // namespace fresnel::broker

#include "fresnel/broker/conformance_testing.hpp"
#include "fresnel/broker/memory_broker.hpp"

namespace fresnel::broker {
namespace {

std::vector<std::unique_ptr<Broker>> memory_brokers(const Executor& home, Clock& clock) {
  std::vector<std::unique_ptr<Broker>> brokers;
  brokers.push_back(std::make_unique<MemoryBroker>(home, clock));
  return brokers;
}

INSTANTIATE_TEST_SUITE_P(Memory, BrokerConformanceTest,
                         ::testing::Values(BrokerKind{"SameThread", false, memory_brokers},
                                           BrokerKind{"OtherThread", true, memory_brokers}),
                         [](const auto& kind) { return kind.param.name; });

}  // namespace
}  // namespace fresnel::broker

// What one event costs however many read it: escaped behind any prefix, then compressed.
#include <benchmark/benchmark.h>

#include <string>

#include "fresnel/hub/published_event.hpp"

namespace fresnel::hub {
namespace {

// An event shaped like a pod's, `size` bytes in all.
kube::WatchEvent pod_event(std::size_t size) {
  std::string text =
      R"({"type":"MODIFIED","object":{"kind":"Pod","metadata":{"uid":"u","name":"web-0","resourceVersion":"7"},)";
  text += R"("status":{)";
  for (int i = 0; text.size() + 64 < size; ++i) text += R"("condition-)" + std::to_string(i * 7919) + R"(":"True",)";
  text += R"("phase":"Running"}}})";
  return kube::parse_watch_event(SharedBytes(std::move(text))).value();
}

void publish_event(benchmark::State& state) {
  const auto event = pod_event(static_cast<std::size_t>(state.range(0)));
  const auto forms = Forms::of(true, state.range(1) != 0);
  ClusterMetrics counters;
  for (auto _ : state) benchmark::DoNotOptimize(publish(event, forms, counters));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(publish_event)->ArgNames({"bytes", "deflate"})->ArgsProduct({{512, 3584, 16384}, {0, 1}});

}  // namespace
}  // namespace fresnel::hub

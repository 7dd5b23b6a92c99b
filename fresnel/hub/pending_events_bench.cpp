// What a lagging subscription costs an event: one entry an object, moved to the end by each change.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "fresnel/hub/pending_events.hpp"

namespace fresnel::hub {
namespace {

std::vector<EventPtr> changes_of(std::size_t objects) {
  ClusterMetrics counters;
  std::vector<EventPtr> events;
  for (std::size_t i = 0; i < objects; ++i) {
    const auto number = std::to_string(i);
    std::string text = R"({"type":"MODIFIED","object":{"metadata":{"uid":"5f0c1d2e-0000-4000-8000-)" + number +
                       R"(","name":"web-)" + number + R"(","resourceVersion":")" + number + R"("}}})";
    events.push_back(publish(kube::parse_watch_event(SharedBytes(std::move(text))).value(), Forms(), counters));
  }
  return events;
}

void conflate_event(benchmark::State& state) {
  const auto events = changes_of(static_cast<std::size_t>(state.range(0)));
  PendingEvents pending;
  std::size_t next = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(pending.push(events[next]));
    next = next + 1 == events.size() ? 0 : next + 1;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(conflate_event)->Arg(100)->Arg(10'000);

void drain_event(benchmark::State& state) {
  const auto events = changes_of(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    state.PauseTiming();
    PendingEvents pending;
    for (const auto& event : events) (void)pending.push(event);
    state.ResumeTiming();
    while (!pending.empty()) benchmark::DoNotOptimize(pending.pop());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(drain_event)->Arg(10'000);

}  // namespace
}  // namespace fresnel::hub

// A store follows a watch: one event at a time, of any of its objects. The existing frontend's list update is
// O(objects).
//
// bare_map is the reference: a hash map's find and assignment of the same events, which is the least that keeping the
// newest event of each object can cost. What counts is the ratio to it in the same run.
#include <benchmark/benchmark.h>

#include <string>
#include <unordered_map>
#include <vector>

#include "fresnel/client/object_store.hpp"
#include "fresnel/kube/testing/cpu_clock.hpp"
#include "fresnel/kube/testing/peak_memory.hpp"
#include "fresnel/kube/testing/pod_feed.hpp"

namespace fresnel::client {
namespace {

using kube::testing::CpuClock;
using kube::testing::PeakMemory;
using kube::testing::PodFeed;

constexpr std::size_t kPodSize = 3600;
constexpr std::size_t kBatch = 1000;    // events made between two measurements: as fresh in the cache as a socket's
constexpr std::size_t kBatches = 1000;  // 1 M events

void sizes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgName("objects")->Arg(1'000)->Arg(10'000)->Arg(100'000)->Iterations(kBatches)->UseManualTime();
}

void apply_parsed(benchmark::State& state) {
  PodFeed feed(static_cast<std::size_t>(state.range(0)), kPodSize);
  ObjectStore store;
  std::size_t told = 0;
  store.on_change([&told](const ObjectStore::Change&) { ++told; });
  for (auto& text : feed.initial()) store.apply(PodFeed::parsed(text));
  for (auto _ : state) {
    auto events = PodFeed::parsed(feed.changes(kBatch));
    const CpuClock clock;
    for (auto& event : events) store.apply(std::move(event));
    state.SetIterationTime(clock.seconds());
  }
  if (told != store.size() + kBatch * static_cast<std::size_t>(state.iterations()))
    state.SkipWithError("changes are missing");
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kBatch));
}
BENCHMARK(apply_parsed)->Name("object_store_apply_parsed")->Apply(sizes);

void bare_map(benchmark::State& state) {
  PodFeed feed(static_cast<std::size_t>(state.range(0)), kPodSize);
  std::unordered_map<std::string, kube::WatchEvent, kube::TextHash, std::equal_to<>> map;
  for (auto& event : PodFeed::parsed(feed.initial())) map.emplace(event.uid, event);
  for (auto _ : state) {
    auto events = PodFeed::parsed(feed.changes(kBatch));
    const CpuClock clock;
    for (auto& event : events) map.find(event.uid)->second = std::move(event);
    state.SetIterationTime(clock.seconds());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kBatch));
}
BENCHMARK(bare_map)->Name("object_store_reference_bare_map")->Apply(sizes);

// From the bytes of the socket: copied once, parsed, applied.
void apply_raw(benchmark::State& state) {
  PodFeed feed(static_cast<std::size_t>(state.range(0)), kPodSize);
  ObjectStore store;
  for (auto& text : feed.initial()) store.apply(PodFeed::parsed(text));
  for (auto _ : state) {
    const auto texts = feed.changes(kBatch);
    const CpuClock clock;
    for (const auto& text : texts) store.apply(PodFeed::parsed(text));
    state.SetIterationTime(clock.seconds());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kBatch));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(kBatch * kPodSize));
}
BENCHMARK(apply_raw)->Name("object_store_apply_raw")->Apply(sizes);

// A reader that looks after each change: pointers are copied, objects are not.
void snapshot_after_a_change(benchmark::State& state) {
  PodFeed feed(static_cast<std::size_t>(state.range(0)), 512);
  ObjectStore store;
  for (auto& text : feed.initial()) store.apply(PodFeed::parsed(text));
  benchmark::DoNotOptimize(store.snapshot().get());
  for (auto _ : state) {
    auto event = PodFeed::parsed(feed.change());
    const CpuClock clock;
    store.apply(std::move(event));
    benchmark::DoNotOptimize(store.snapshot().get());
    state.SetIterationTime(clock.seconds());
  }
}
BENCHMARK(snapshot_after_a_change)
    ->Name("object_store_snapshot_after_a_change")
    ->ArgName("objects")
    ->Arg(1'000)
    ->Arg(10'000)
    ->Arg(100'000)
    ->UseManualTime();

// What a store of 10,000 pods takes beside the pods' bytes, while it is fed and once it has been.
void memory(benchmark::State& state) {
  constexpr std::size_t kPods = 10'000;
  PodFeed feed(kPods, kPodSize);
  for (auto _ : state) {
    const PeakMemory resident;
    ObjectStore store;
    for (std::size_t round = 0; round < 5 * kPods; ++round) store.apply(PodFeed::parsed(feed.change()));
    benchmark::DoNotOptimize(store.snapshot().get());
    const auto bytes = static_cast<double>(store.size() * kPodSize);
    state.counters["peak_over_bytes"] = resident.peak() / bytes;
    state.counters["resident_over_bytes"] = resident.now() / bytes;
  }
}
BENCHMARK(memory)->Name("object_store_memory")->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace fresnel::client

// A list is read, follows its watch one event at a time, and is compared with what it has become while nobody watched.
// The reference for the updates is object_store_reference_bare_map (client/object_store_bench.cpp) in the same run.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "fresnel/kube/kube_list.hpp"
#include "fresnel/kube/object_index.hpp"
#include "fresnel/kube/testing/cpu_clock.hpp"
#include "fresnel/kube/testing/peak_memory.hpp"
#include "fresnel/kube/testing/pod_feed.hpp"

namespace fresnel::kube {
namespace {

using testing::CpuClock;
using testing::PeakMemory;
using testing::PodFeed;

constexpr std::size_t kPodSize = 3600;
constexpr std::size_t kBatch = 1000;
constexpr std::size_t kBatches = 1000;  // 1 M events

void sizes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgName("objects")->Arg(1'000)->Arg(10'000)->Arg(100'000)->Iterations(kBatches)->UseManualTime();
}

void update_parsed(benchmark::State& state) {
  PodFeed feed(static_cast<std::size_t>(state.range(0)), kPodSize);
  KubeList list("prod");
  if (!list.set(feed.list())) state.SkipWithError("not a list");
  for (auto _ : state) {
    auto events = PodFeed::parsed(feed.changes(kBatch));
    const CpuClock clock;
    for (auto& event : events) list.apply_update(std::move(event));
    state.SetIterationTime(clock.seconds());
  }
  if (list.size() != static_cast<std::size_t>(state.range(0))) state.SkipWithError("objects are missing");
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kBatch));
}
BENCHMARK(update_parsed)->Name("kube_list_update_parsed")->Apply(sizes);

// From the bytes of the socket: copied once, parsed, applied.
void update_raw(benchmark::State& state) {
  PodFeed feed(static_cast<std::size_t>(state.range(0)), kPodSize);
  KubeList list("prod");
  if (!list.set(feed.list())) state.SkipWithError("not a list");
  for (auto _ : state) {
    const auto texts = feed.changes(kBatch);
    const CpuClock clock;
    for (const auto& text : texts) list.apply_update(PodFeed::parsed(text));
    state.SetIterationTime(clock.seconds());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kBatch));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(kBatch * kPodSize));
}
BENCHMARK(update_raw)->Name("kube_list_update_raw")->Apply(sizes);

// A list response of 10,000 pods is read. The response itself is handed over and counts.
void read_a_list(benchmark::State& state) {
  constexpr std::size_t kPods = 10'000;
  PodFeed feed(kPods, kPodSize);
  const std::string text = feed.list();
  const auto bytes = static_cast<double>(text.size());
  for (auto _ : state) {
    const PeakMemory resident;
    std::string response = text;
    KubeList list("prod");
    if (!list.set(std::move(response))) state.SkipWithError("not a list");
    response = {};
    state.counters["peak_over_bytes"] = resident.peak() / bytes;
    state.counters["resident_over_bytes"] = resident.now() / bytes;
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kPods));
}
BENCHMARK(read_a_list)->Name("kube_list_read_memory")->Iterations(3)->Unit(benchmark::kMillisecond);

// After a break: 100,000 objects, of which one in `one_in` is new, one changed and one gone.
void difference(benchmark::State& state) {
  constexpr std::size_t kPods = 100'000;
  const auto one_in = static_cast<std::size_t>(state.range(0));
  PodFeed feed(kPods, kPodSize);
  ObjectIndex known;
  ListPage list;
  std::string last_version;
  {
    auto events = PodFeed::parsed(feed.initial());
    last_version = events.back().resource_version;
    for (std::size_t i = 0; i < kPods; ++i) {
      if (one_in == 0 || i % one_in != 0) known.apply(events[i]);                      // what is not known is new
      if (one_in == 0 || i % one_in != 1) list.items.push_back(std::move(events[i]));  // what is not listed is gone
    }
  }
  if (one_in > 0) {
    for (std::size_t i = 2; i < list.items.size(); i += one_in) {
      list.items[i] = with_type_and_version(list.items[i], WatchEvent::Type::added, std::to_string(2'000'000'000 + i));
    }
  }
  list.resource_version = "3000000000";
  std::size_t changes = 0;
  for (auto _ : state) changes = relist_difference(known, last_version, list).size();
  state.counters["changes"] = static_cast<double>(changes);
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kPods));
}
BENCHMARK(difference)
    ->Name("relist_difference_of_100000")
    ->ArgName("one_in")
    ->Arg(0)
    ->Arg(100)
    ->Arg(3)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace fresnel::kube

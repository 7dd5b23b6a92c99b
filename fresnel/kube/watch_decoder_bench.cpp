// A watch's body becomes events: framed by line, each parsed once for type, uid, namespace, name and version.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "fresnel/kube/watch_decoder.hpp"

namespace fresnel::kube {
namespace {

constexpr int kEvents = 64;

std::string watch_body(std::size_t event_size) {
  std::string body;
  for (int i = 0; i < kEvents; ++i) {
    const auto number = std::to_string(i);
    std::string event = R"({"type":"MODIFIED","object":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web-)" +
                        number + R"(","namespace":"shop","uid":"8f1b9c0e-)" + number + R"(","resourceVersion":"10)" +
                        number + R"("},"spec":{"env":[)";
    while (event.size() + 64 < event_size) event += R"({"name":"LEVEL","value":"info"},)";
    event += R"({"name":"END","value":""}]}}})";
    body += event + '\n';
  }
  return body;
}

void decode_watch(benchmark::State& state) {
  const auto body = watch_body(static_cast<std::size_t>(state.range(0)));
  std::vector<WatchEvent> events;
  for (auto _ : state) {
    WatchDecoder decoder;
    events.clear();
    // In pieces of 16 KiB, as TLS records arrive.
    for (std::size_t at = 0; at < body.size(); at += 16384) {
      if (!decoder.decode(std::string_view(body).substr(at, 16384), events)) state.SkipWithError("not a watch");
    }
    benchmark::DoNotOptimize(events.data());
  }
  if (events.size() != kEvents) state.SkipWithError("events are missing");
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(body.size()));
  state.SetItemsProcessed(state.iterations() * kEvents);
}
BENCHMARK(decode_watch)->Arg(512)->Arg(3584)->Arg(65536);

}  // namespace
}  // namespace fresnel::kube

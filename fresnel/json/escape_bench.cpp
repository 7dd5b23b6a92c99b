// An event's text is escaped once, for every subscriber (wire/prepared_frame.hpp).
#include <benchmark/benchmark.h>

#include <string>

#include "fresnel/json/escape.hpp"

namespace fresnel::json {
namespace {

// A text shaped like a pod: short strings between quotation marks, `size` bytes in all.
std::string pod_like(std::size_t size) {
  std::string text = R"({"type":"MODIFIED","object":{"kind":"Pod","metadata":{"name":"web-6f9c","labels":{)";
  while (text.size() < size) text += R"("app.kubernetes.io/name":"web","pod-template-hash":"6f9c8d7b5",)";
  text.resize(size);
  return text;
}

void escape_event(benchmark::State& state) {
  const auto text = pod_like(static_cast<std::size_t>(state.range(0)));
  std::string out;
  for (auto _ : state) {
    out.clear();
    append_escaped(out, text);
    benchmark::DoNotOptimize(out.data());
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(escape_event)->Arg(512)->Arg(3584)->Arg(65536);

}  // namespace
}  // namespace fresnel::json

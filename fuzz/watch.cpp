// A watch's bytes, in pieces of any size, and lists. What is found lies within the event's own text, wherever it was
// cut.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "fresnel/kube/list_page.hpp"
#include "fresnel/kube/watch_decoder.hpp"

using namespace fresnel::kube;

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

void check_event(const WatchEvent& event) {
  const auto all = event.bytes.view();
  for (const auto field : {event.uid, event.namespace_, event.name, event.resource_version, event.object_view()}) {
    check(field.empty() || (field.data() >= all.data() && field.data() + field.size() <= all.data() + all.size()));
  }
  for (const auto type : {WatchEvent::Type::added, WatchEvent::Type::deleted}) {
    const auto other = with_type(event, type);
    check(other.uid == event.uid && other.name == event.name && other.resource_version == event.resource_version);
  }
  (void)with_type_and_version(event, WatchEvent::Type::deleted, "12345");
  (void)with_columns(event, R"([{"name":"Name"}])");
  (void)without_columns(event);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t piece = 1 + data[0] % 64;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::vector<WatchEvent> whole;
  std::vector<WatchEvent> pieces;
  WatchDecoder one;
  const auto at_once = one.decode(text, whole);
  WatchDecoder other;
  bool well = true;
  for (std::size_t at = 0; at < text.size() && well; at += piece) {
    well = other.decode(text.substr(at, piece), pieces).has_value();
  }
  check(at_once.has_value() == well && whole.size() == pieces.size());
  for (std::size_t i = 0; i < whole.size(); ++i) {
    check(whole[i].bytes == pieces[i].bytes && whole[i].uid == pieces[i].uid);
    check_event(whole[i]);
  }
  if (const auto page = parse_list_page(std::string(text))) {
    for (const auto& item : page->items) check_event(item);
  }
  return 0;
}

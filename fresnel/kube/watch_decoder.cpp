#include "fresnel/kube/watch_decoder.hpp"

#include <utility>

namespace fresnel::kube {

result<void> WatchDecoder::decode(std::string_view bytes, std::vector<WatchEvent>& events) {
  while (!bytes.empty()) {
    const auto newline = bytes.find('\n');
    const std::string_view piece = bytes.substr(0, newline);
    if (partial_.size() + piece.size() > max_event_) {
      return Error{Errc::too_large, "a watch event is larger than " + std::to_string(max_event_) + " bytes"};
    }
    if (newline == std::string_view::npos) {
      partial_.append(piece);
      return {};
    }
    bytes.remove_prefix(newline + 1);
    // The one copy of an event's text, made with room for the parser behind it.
    std::string line = std::exchange(partial_, {});
    line.reserve(line.size() + piece.size() + kParserPadding);
    line.append(piece);
    if (line.ends_with('\r')) line.pop_back();
    if (line.empty()) continue;
    auto event = parse_watch_event(SharedBytes(std::move(line)));
    if (!event) return event.error();
    events.push_back(*std::move(event));
  }
  return {};
}

}  // namespace fresnel::kube

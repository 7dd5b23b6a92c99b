#include "fresnel/kube/watch_event.hpp"

#include <simdjson.h>

#include <array>
#include <charconv>
#include <utility>

#include "fresnel/json/escape.hpp"

namespace fresnel::kube {
namespace {

namespace ondemand = simdjson::ondemand;

constexpr std::array<std::pair<std::string_view, WatchEvent::Type>, 5> kTypes{{
    {"ADDED", WatchEvent::Type::added},
    {"MODIFIED", WatchEvent::Type::modified},
    {"DELETED", WatchEvent::Type::deleted},
    {"BOOKMARK", WatchEvent::Type::bookmark},
    {"ERROR", WatchEvent::Type::error},
}};

// Extracts an event's fields: simdjson reads `parsed`, a copy of `text` or `text` itself, and what is found refers to
// `text`. simdjson throws on malformed text.
class Extractor {
 public:
  Extractor(WatchEvent& event, std::string_view text, const char* parsed)
      : event_(event), text_(text), parsed_(parsed) {}

  void read_event(ondemand::document& document) {
    for (auto field : document.get_object()) {
      const auto key = field.key().value();
      if (key == "type") {
        set_type(in_quotes(field.value()));
      } else if (key == "object") {
        auto object = field.value().get_object().value();
        event_.object = range(trimmed(object.raw_json()));
        if (object.reset().error() == simdjson::SUCCESS) read_object(object);
      }
    }
  }

 private:
  static std::string_view trimmed(std::string_view text) {
    while (!text.empty() && static_cast<unsigned char>(text.back()) <= ' ') text.remove_suffix(1);
    return text;
  }

  // The text between a string's quotes, as it stands in the bytes. What is read here (types, names, uids, versions)
  // is never escaped. Empty for values that are no strings.
  [[nodiscard]] std::string_view in_quotes(ondemand::value value) const {
    const std::string_view token = trimmed(value.raw_json_token());
    if (token.size() < 2 || token.front() != '"') return {};
    return view(range(token.substr(1, token.size() - 2)));
  }

  // `part` of what simdjson reads.
  [[nodiscard]] ByteRange range(std::string_view part) const {
    return {static_cast<std::size_t>(part.data() - parsed_), part.size()};
  }
  [[nodiscard]] std::string_view view(ByteRange place) const {
    return place.offset <= text_.size() ? text_.substr(place.offset, place.size) : std::string_view();
  }

  void set_type(std::string_view type) {
    for (const auto& [name, value] : kTypes) {
      if (name == type) event_.type = value;
    }
  }

  void read_object(ondemand::object& object) {
    for (auto field : object) {
      const auto key = field.key().value();
      if (key == "metadata") {
        read_metadata(field.value());
      } else if (key == "kind") {
        event_.is_table = in_quotes(field.value()) == "Table";
      } else if (key == "code") {
        std::int64_t code = 0;
        if (field.value().get_int64().get(code) == simdjson::SUCCESS) event_.status_code = static_cast<int>(code);
      } else if (key == "columnDefinitions") {
        read_columns(field.value());
      } else if (key == "rows") {
        read_rows(field.value());
      }
    }
  }

  void read_columns(ondemand::value value) {
    if (value.type().value() == ondemand::json_type::array) {
      auto array = value.get_array().value();
      event_.columns_place = range(trimmed(array.raw_json()));
      event_.has_columns = event_.columns_place.size > 2;
    } else {
      event_.columns_place = range(trimmed(value.raw_json_token()));  // null in every event but the first
    }
  }

  // A Table holds its identity in its one row's object; what the Table's own metadata said is replaced.
  void read_rows(ondemand::value value) {
    if (value.type().value() != ondemand::json_type::array) return;
    for (auto row : value.get_array()) {
      for (auto field : row.get_object()) {
        if (!(field.key().value() == "object")) continue;
        for (auto part : field.value().get_object()) {
          if (part.key().value() == "metadata") read_metadata(part.value());
        }
      }
    }
  }

  void read_metadata(ondemand::value value) {
    for (auto field : value.get_object()) {
      const auto key = field.key().value();
      if (key == "resourceVersion") {
        event_.resource_version = in_quotes(field.value());
      } else if (key == "uid") {
        event_.uid = in_quotes(field.value());
      } else if (key == "namespace") {
        event_.namespace_ = in_quotes(field.value());
      } else if (key == "name") {
        event_.name = in_quotes(field.value());
      }
    }
  }

  WatchEvent& event_;
  std::string_view text_;
  const char* parsed_;
};

Error malformed(std::string_view why) {
  return Error{Errc::protocol, "a watch event is no JSON object with type and object: " + std::string(why)};
}

// Whether everything that was found in the object stands there.
bool is_within_object(const WatchEvent& event, std::string_view text) {
  const char* const begin = text.data() + event.object.offset;
  const char* const end = begin + event.object.size;
  const auto holds = [&](std::string_view view) {
    return view.empty() || (view.data() >= begin && view.data() + view.size() <= end);
  };
  const auto& columns = event.columns_place;
  const bool columns_fit =
      columns.size == 0 || (columns.offset >= event.object.offset &&
                            columns.offset + columns.size <= event.object.offset + event.object.size);
  return event.object.offset + event.object.size <= text.size() && columns_fit && holds(event.uid) &&
         holds(event.namespace_) && holds(event.name) && holds(event.resource_version);
}

std::string padded(std::size_t size) {
  std::string text;
  text.reserve(size + kParserPadding);
  return text;
}

WatchEvent parsed_or_unknown(std::string text) {
  auto event = parse_watch_event(SharedBytes(std::move(text)));
  return event ? *std::move(event) : WatchEvent{};
}

}  // namespace

std::string padded_for_parser(std::string text) {
  const std::size_t wanted = text.size() + kParserPadding;
  const std::size_t too_much = wanted + text.size() / 4 + 1024;
  if (text.capacity() >= wanted && text.capacity() <= too_much) return text;
  std::string fitting = padded(text.size());
  fitting.append(text);
  return fitting;
}

std::string full_name(const WatchEvent& event) {
  std::string text(event.namespace_);
  return text.append("/").append(event.name);
}

std::string_view to_string(WatchEvent::Type type) noexcept {
  for (const auto& [name, value] : kTypes) {
    if (value == type) return name;
  }
  return "UNKNOWN";
}

result<WatchEvent> parse_watch_event(SharedBytes bytes) {
  static thread_local ondemand::parser parser;
  WatchEvent event;
  const std::string_view text = bytes.view();
  // simdjson stops at what it needs and would pass a text without its last brace.
  const auto last = text.find_last_not_of(" \t\r\n");
  if (last == std::string_view::npos || text[last] != '}') return malformed("it does not end with a brace");
  try {
    ondemand::document document;
    simdjson::padded_string copy;
    if (bytes.capacity() >= text.size() + simdjson::SIMDJSON_PADDING) {
      document = parser.iterate(text.data(), text.size(), bytes.capacity());
      Extractor(event, text, text.data()).read_event(document);
    } else {
      copy = simdjson::padded_string(text);
      document = parser.iterate(copy);
      Extractor(event, text, copy.data()).read_event(document);
    }
  } catch (const simdjson::simdjson_error& error) {
    return malformed(error.what());
  }
  if (event.object.size == 0) return malformed("there is no object");
  // simdjson skips without a check what is no JSON (an open bracket in a Table's columns), and may go on in other
  // parts.
  if (!is_within_object(event, text)) return malformed("its brackets do not match");
  event.bytes = std::move(bytes);
  return event;
}

std::string make_event_text(WatchEvent::Type type, std::string_view object, std::string_view kind,
                            std::string_view api_version) {
  std::string text = padded(object.size() + kind.size() + api_version.size() + 64);
  text.append(R"({"type":")").append(to_string(type)).append(R"(","object":)");
  const bool typed = object.find(R"("kind":)") < object.find(R"("metadata":)") && object.starts_with("{\"");
  if (typed || kind.empty() || !object.starts_with('{')) {
    text.append(object);
  } else {
    text.append(R"({"kind":")").append(kind).append(R"(","apiVersion":")").append(api_version).append(R"(",)");
    text.append(object.substr(1));
  }
  text.push_back('}');
  return text;
}

WatchEvent with_type(const WatchEvent& event, WatchEvent::Type type) {
  if (event.type == type) return event;
  if (event.object.size == 0) return {};
  WatchEvent made = event;
  made.type = type;
  made.bytes = SharedBytes(make_event_text(type, event.object_view(), {}, {}));
  // The object is the same, so nothing is parsed again: its places stand as far from its start as before.
  made.object.offset = made.bytes.size() - event.object.size - 1;
  if (made.columns_place.size > 0) made.columns_place.offset += made.object.offset - event.object.offset;
  const char* const object = event.object_view().data();
  for (std::string_view* view : {&made.uid, &made.namespace_, &made.name, &made.resource_version}) {
    if (!view->empty())
      *view = made.object_view().substr(static_cast<std::size_t>(view->data() - object), view->size());
  }
  return made;
}

WatchEvent with_type_and_version(const WatchEvent& event, WatchEvent::Type type, std::string_view resource_version) {
  const std::string_view old = event.resource_version;
  if (old.empty() || old == resource_version) return with_type(event, type);
  std::string object(event.object_view());
  object.replace(static_cast<std::size_t>(old.data() - event.object_view().data()), old.size(), resource_version);
  return parsed_or_unknown(make_event_text(type, object, {}, {}));
}

WatchEvent with_columns(const WatchEvent& event, std::string_view columns) {
  if (!event.is_table || event.has_columns || columns.empty()) return event;
  const std::string_view all = event.bytes.view();
  std::string text = padded(all.size() + columns.size() + 32);
  if (event.columns_place.size > 0) {
    text.append(all.substr(0, event.columns_place.offset)).append(columns);
    text.append(all.substr(event.columns_place.offset + event.columns_place.size));
  } else {
    text.append(all.substr(0, event.object.offset + 1)).append(R"("columnDefinitions":)").append(columns);
    text.append(",").append(all.substr(event.object.offset + 1));
  }
  return parsed_or_unknown(std::move(text));
}

WatchEvent without_columns(const WatchEvent& event) {
  if (!event.has_columns) return event;
  const std::string_view all = event.bytes.view();
  std::string text = padded(all.size());
  text.append(all.substr(0, event.columns_place.offset)).append("null");
  text.append(all.substr(event.columns_place.offset + event.columns_place.size));
  return parsed_or_unknown(std::move(text));
}

namespace {

std::string_view status_reason(const Error& error) noexcept {
  if (!error.reason.empty()) return error.reason;
  switch (error.code) {
    case Errc::invalid_argument: return "BadRequest";
    case Errc::unauthorized: return "Unauthorized";
    case Errc::forbidden: return "Forbidden";
    case Errc::not_found: return "NotFound";
    case Errc::throttled: return "TooManyRequests";
    case Errc::timeout: return "Timeout";
    default: return "InternalError";
  }
}

}  // namespace

WatchEvent make_error_event(const Error& error) {
  std::string text = padded(error.message.size() + 160);
  text.append(R"({"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",)");
  text.append(R"("message":)");
  json::append_quoted(text, error.message);
  text.append(R"(,"reason":)");
  json::append_quoted(text, status_reason(error));
  text.append(R"(,"code":)").append(std::to_string(http_status_of(error))).append("}}");
  return parsed_or_unknown(std::move(text));
}

WatchEvent make_expired_event(std::string_view message) {
  return make_error_event({Errc::gone, std::string(message), 410, "Expired"});
}

WatchEvent make_bookmark_event(std::string_view kind, std::string_view api_version, std::string_view resource_version,
                               bool ends_initial) {
  const auto head = [](std::string_view of_kind, std::string_view of_version) {
    std::string text = R"({"kind":")";
    return text.append(of_kind).append(R"(","apiVersion":")").append(of_version).append(R"(","metadata":)");
  };
  std::string metadata = R"({"resourceVersion":")";
  metadata.append(resource_version).append(R"(","creationTimestamp":null)");
  if (ends_initial) metadata.append(R"(,"annotations":{"k8s.io/initial-events-end":"true"})");
  metadata.push_back('}');
  std::string object = head(kind, api_version);
  if (kind == "Table") {
    object.append(R"({},"columnDefinitions":null,"rows":[{"cells":[],"object":)");
    object.append(head("PartialObjectMetadata", api_version)).append(metadata).append("}}]}");
  } else {
    object.append(metadata).append("}");
  }
  auto event = parsed_or_unknown(make_event_text(WatchEvent::Type::bookmark, object, {}, {}));
  event.ends_initial = ends_initial;
  return event;
}

std::optional<std::uint64_t> parse_resource_version(std::string_view text) noexcept {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number == 0) return std::nullopt;
  return number;
}

}  // namespace fresnel::kube

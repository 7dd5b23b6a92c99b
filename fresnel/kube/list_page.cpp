#include "fresnel/kube/list_page.hpp"

#include <simdjson.h>

namespace fresnel::kube {
namespace {

namespace ondemand = simdjson::ondemand;

// kind and apiVersion may stand behind the items (servers sort the fields of custom resources), so the document is
// walked once for these and once for the items.
void read_head(ondemand::document& document, ListPage& page) {
  for (auto field : document.get_object()) {
    const auto key = field.key().value();
    if (key == "kind") {
      page.list_kind = std::string_view(field.value().get_string());
    } else if (key == "apiVersion") {
      page.api_version = std::string_view(field.value().get_string());
    } else if (key == "metadata") {
      for (auto part : field.value().get_object()) {
        const auto name = part.key().value();
        if (name == "resourceVersion") {
          page.resource_version = std::string_view(part.value().get_string());
        } else if (name == "continue") {
          page.continue_token = std::string_view(part.value().get_string());
        } else if (name == "remainingItemCount") {
          std::int64_t count = 0;
          if (part.value().get_int64().get(count) == simdjson::SUCCESS) page.remaining_item_count = count;
        }
      }
    } else if (key == "columnDefinitions" && field.value().type().value() == ondemand::json_type::array) {
      page.columns = std::string_view(field.value().get_array().value().raw_json());
    }
  }
}

result<void> add_item(ListPage& page, std::string text) {
  auto event = parse_watch_event(SharedBytes(std::move(text)));
  if (!event) return event.error();
  page.items.push_back(*std::move(event));
  return {};
}

result<void> read_items(ondemand::document& document, ListPage& page) {
  const bool is_table = page.list_kind == "Table";
  page.kind = page.list_kind;
  if (page.kind.ends_with("List")) page.kind.resize(page.kind.size() - 4);
  for (auto field : document.get_object()) {
    const auto key = field.key().value();
    if (!(is_table ? key == "rows" : key == "items")) continue;
    auto value = field.value().value();
    if (value.type().value() != ondemand::json_type::array) continue;
    for (auto item : value.get_array()) {
      const std::string_view raw = item.get_object().value().raw_json();
      std::string text;
      if (is_table) {
        std::string object = R"({"kind":"Table","apiVersion":")" + page.api_version + R"(","metadata":{},"rows":[)";
        object.append(raw).append("]}");
        text = make_event_text(WatchEvent::Type::added, object, {}, {});
      } else {
        text = make_event_text(WatchEvent::Type::added, raw, page.kind, page.api_version);
      }
      auto added = add_item(page, std::move(text));
      if (!added) return added.error();
    }
  }
  return {};
}

}  // namespace

result<ListPage> parse_list_page(std::string body) {
  // A parser of its own: the events' parser works while this one's document is being walked.
  ondemand::parser parser;
  ListPage page;
  body.reserve(body.size() + simdjson::SIMDJSON_PADDING);
  try {
    ondemand::document document = parser.iterate(body.data(), body.size(), body.capacity());
    read_head(document, page);
    const bool is_list = page.list_kind.ends_with("List") || page.list_kind == "Table";
    if (!is_list) {
      return Error{Errc::protocol, "expected a List or a Table, the server sent kind \"" + page.list_kind + "\""};
    }
    document.rewind();
    auto read = read_items(document, page);
    if (!read) return read.error();
  } catch (const simdjson::simdjson_error& error) {
    return Error{Errc::protocol, std::string("the list is no valid JSON: ") + error.what()};
  }
  return page;
}

}  // namespace fresnel::kube

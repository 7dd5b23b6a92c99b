#include "fresnel/kube/list_page.hpp"

#include <simdjson.h>

namespace fresnel::kube {
namespace {

namespace ondemand = simdjson::ondemand;

struct Head {
  std::string kind;
  std::string api_version;
};

// kind and apiVersion may stand behind the items (servers sort the fields of custom resources), so the document is
// walked once for these and once for the items.
Head read_head(ondemand::document& document, ListPage& page) {
  Head head;
  for (auto field : document.get_object()) {
    const auto key = field.key().value();
    if (key == "kind") {
      head.kind = std::string_view(field.value().get_string());
    } else if (key == "apiVersion") {
      head.api_version = std::string_view(field.value().get_string());
    } else if (key == "metadata") {
      for (auto part : field.value().get_object()) {
        const auto name = part.key().value();
        if (name == "resourceVersion") {
          page.resource_version = std::string_view(part.value().get_string());
        } else if (name == "continue") {
          page.continue_token = std::string_view(part.value().get_string());
        }
      }
    } else if (key == "columnDefinitions" && field.value().type().value() == ondemand::json_type::array) {
      page.columns = std::string_view(field.value().get_array().value().raw_json());
    }
  }
  return head;
}

result<void> add_item(ListPage& page, std::string text) {
  auto event = parse_watch_event(SharedBytes(std::move(text)));
  if (!event) return event.error();
  page.items.push_back(*std::move(event));
  return {};
}

result<void> read_items(ondemand::document& document, const Head& head, ListPage& page) {
  const bool is_table = head.kind == "Table";
  std::string& kind = page.kind;
  kind = head.kind;
  if (kind.ends_with("List")) kind.resize(kind.size() - 4);
  page.api_version = head.api_version;
  for (auto field : document.get_object()) {
    const auto key = field.key().value();
    if (!(is_table ? key == "rows" : key == "items")) continue;
    auto value = field.value().value();
    if (value.type().value() != ondemand::json_type::array) continue;
    for (auto item : value.get_array()) {
      const std::string_view raw = item.get_object().value().raw_json();
      std::string text;
      if (is_table) {
        std::string object = R"({"kind":"Table","apiVersion":")" + head.api_version + R"(","metadata":{},"rows":[)";
        object.append(raw).append("]}");
        text = make_event_text(WatchEvent::Type::added, object, {}, {});
      } else {
        text = make_event_text(WatchEvent::Type::added, raw, kind, head.api_version);
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
  Head head;
  body.reserve(body.size() + simdjson::SIMDJSON_PADDING);
  try {
    ondemand::document document = parser.iterate(body.data(), body.size(), body.capacity());
    head = read_head(document, page);
    const bool is_list = head.kind.ends_with("List") || head.kind == "Table";
    if (!is_list) {
      return Error{Errc::protocol, "expected a List or a Table, the server sent kind \"" + head.kind + "\""};
    }
    document.rewind();
    auto read = read_items(document, head, page);
    if (!read) return read.error();
  } catch (const simdjson::simdjson_error& error) {
    return Error{Errc::protocol, std::string("the list is no valid JSON: ") + error.what()};
  }
  return page;
}

}  // namespace fresnel::kube

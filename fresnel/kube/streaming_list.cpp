#include "fresnel/kube/streaming_list.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <utility>

#include "fresnel/kube/api_client.hpp"

namespace fresnel::kube {
namespace {

namespace json = boost::json;

constexpr std::string_view kEnd = R"("k8s.io/initial-events-end":"true")";

std::string string_member(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

}  // namespace

result<void> StreamingList::take(std::vector<WatchEvent> events) {
  for (auto& event : events) {
    if (complete()) {
      rest_.push_back(std::move(event));
    } else if (event.type == WatchEvent::Type::error) {
      return error_of_status(event.object_view());
    } else if (event.type == WatchEvent::Type::bookmark) {
      auto taken = take_bookmark(event);
      if (!taken) return taken;
    } else if (event.changes_an_object()) {
      if (event.has_columns) {
        page_.columns = event.bytes.view().substr(event.columns_place.offset, event.columns_place.size);
        event = without_columns(event);
      }
      objects_.apply(event);
    }
  }
  return {};
}

// The end tells what an empty list could not: kind and version.
result<void> StreamingList::take_bookmark(const WatchEvent& event) {
  if (event.object_view().find(kEnd) == std::string_view::npos) return {};
  boost::system::error_code failed;
  const auto text = event.object_view();
  const auto object = json::parse(json::string_view(text.data(), text.size()), failed);
  if (failed || !object.is_object() || !parse_resource_version(event.resource_version)) {
    return Error{Errc::protocol, "the bookmark that ends a streaming list has no resourceVersion"};
  }
  page_.kind = string_member(object.get_object(), "kind");
  page_.list_kind = page_.kind == "Table" ? page_.kind : page_.kind + "List";
  page_.api_version = string_member(object.get_object(), "apiVersion");
  page_.resource_version = event.resource_version;
  return {};
}

ListPage StreamingList::take_page() {
  page_.items = objects_.snapshot();
  return std::move(page_);
}

}  // namespace fresnel::kube

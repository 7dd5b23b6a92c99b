#include "fresnel/client/watch_query.hpp"

#include "fresnel/kube/watch_event.hpp"

namespace fresnel::client {

WatchQuery::WatchQuery(std::string_view query) {
  if (query.starts_with('?')) query.remove_prefix(1);
  while (!query.empty()) {
    const auto end = query.find('&');
    const auto parameter = query.substr(0, end);
    query = end == std::string_view::npos ? std::string_view() : query.substr(end + 1);
    const auto equals = parameter.find('=');
    const auto name = parameter.substr(0, equals);
    const auto value = equals == std::string_view::npos ? std::string_view() : parameter.substr(equals + 1);
    if (name == "resourceVersion") {
      start_version_ = kube::parse_resource_version(value) ? value : std::string_view();
    } else if (name == "allowWatchBookmarks") {
      wants_bookmarks_ = value != "false" && value != "0";
    } else if (!parameter.empty() && name != "watch") {
      if (!parameters_.empty()) parameters_ += '&';
      parameters_ += parameter;
    }
  }
}

std::string WatchQuery::wire(std::string_view resource_version, std::uint64_t tag) const {
  std::string query = "watch=1";
  if (!parameters_.empty()) query.append("&").append(parameters_);
  query += "&allowWatchBookmarks=true";
  if (tag != 0) query.append("&pretty=").append(std::to_string(tag));
  if (!resource_version.empty()) query.append("&resourceVersion=").append(resource_version);
  return query;
}

}  // namespace fresnel::client

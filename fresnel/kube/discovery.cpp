#include "fresnel/kube/discovery.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/parse.hpp>
#include <exception>
#include <iterator>
#include <utility>

namespace fresnel::kube {
namespace {

namespace json = boost::json;

// One group version in precedence order, and where its document is.
struct GroupVersion {
  std::string group;
  std::string version;

  [[nodiscard]] std::string path() const {
    return group.empty() ? "/api/" + version : "/apis/" + group + "/" + version;
  }
  [[nodiscard]] std::string name() const { return group.empty() ? version : group + "/" + version; }
};

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; });
  return out;
}

const json::value* member(const json::value& value, std::string_view key) {
  return value.is_object() ? value.get_object().if_contains(key) : nullptr;
}

std::string text(const json::value& value, std::string_view key) {
  const auto* found = member(value, key);
  return found != nullptr && found->is_string() ? std::string(found->get_string()) : std::string();
}

// The array under `key`, empty when there is none.
const json::array& array(const json::value& value, std::string_view key) {
  static const json::array kEmpty;
  const auto* found = member(value, key);
  return found != nullptr && found->is_array() ? found->get_array() : kEmpty;
}

std::vector<std::string> texts(const json::value& value, std::string_view key) {
  std::vector<std::string> all;
  for (const auto& element : array(value, key)) {
    if (element.is_string()) all.emplace_back(element.get_string());
  }
  return all;
}

awaitable<result<json::value>> fetch(ApiClient& client, std::string path) {
  ApiRequest request{.path = path, .max_body = 16u << 20};
  auto response = co_await client.request(std::move(request));
  if (!response) co_return response.error();
  boost::system::error_code failed;
  auto document = json::parse(response->body, failed);
  if (failed || !document.is_object()) {
    co_return Error{Errc::protocol, "discovery: " + path + " is no JSON object"};
  }
  co_return document;
}

std::vector<ApiResource> parse_resources(const GroupVersion& where, const json::value& document) {
  std::vector<ApiResource> resources;
  for (const auto& entry : array(document, "resources")) {
    ApiResource resource;
    resource.name = text(entry, "name");
    // Subresources ("pods/log") are no resources of their own.
    if (resource.name.empty() || resource.name.find('/') != std::string::npos) continue;
    resource.group = where.group;
    resource.version = where.version;
    resource.kind = text(entry, "kind");
    resource.singular = text(entry, "singularName");
    // Servers before 1.27 leave built-in resources' singular names empty; it has always been the kind in lower case.
    if (resource.singular.empty()) resource.singular = lower(resource.kind);
    const auto* namespaced = member(entry, "namespaced");
    resource.namespaced = namespaced != nullptr && namespaced->is_bool() && namespaced->get_bool();
    resource.verbs = texts(entry, "verbs");
    resource.short_names = texts(entry, "shortNames");
    resources.push_back(std::move(resource));
  }
  return resources;
}

// The versions of /api, then those of /apis: groups in the server's order, in a group the preferred version first.
std::vector<GroupVersion> order_versions(const json::value& core, const json::value& groups) {
  std::vector<GroupVersion> all;
  for (const auto& version : texts(core, "versions")) all.push_back({"", version});
  for (const auto& group : array(groups, "groups")) {
    const std::string name = text(group, "name");
    const auto* preferred_entry = member(group, "preferredVersion");
    const std::string preferred = preferred_entry != nullptr ? text(*preferred_entry, "version") : std::string();
    if (!preferred.empty()) all.push_back({name, preferred});
    for (const auto& entry : array(group, "versions")) {
      const std::string version = text(entry, "version");
      if (!version.empty() && version != preferred) all.push_back({name, version});
    }
  }
  return all;
}

using Documents = std::vector<result<json::value>>;

// What several coroutines fetch together: each takes the next path until none is left.
struct Fetching {
  ApiClient& client;
  std::vector<std::string> paths;
  Documents documents;
  std::size_t next = 0;
};

awaitable<void> fetch_next_ones(Fetching& work) {
  while (work.next < work.paths.size()) {
    const std::size_t i = work.next++;
    auto document = co_await fetch(work.client, work.paths[i]);
    work.documents[i] = std::move(document);
  }
}

// Fetches all paths, several at once; a cancelled caller cancels every one.
awaitable<Documents> fetch_all(ApiClient& client, std::vector<std::string> paths) {
  // Over HTTP/2 they share a connection; a gateway or proxy that speaks HTTP/1.1 sees as many connections.
  constexpr std::size_t kMostAtOnce = 12;
  Fetching work{client, std::move(paths), {}, 0};
  work.documents.assign(work.paths.size(), Error{Errc::cancelled, "cancelled"});
  const auto executor = co_await asio::this_coro::executor;
  const auto start = [&] { return asio::co_spawn(executor, fetch_next_ones(work), asio::deferred); };
  std::vector<decltype(start())> operations;
  for (std::size_t i = 0; i < std::min(work.paths.size(), kMostAtOnce); ++i) operations.push_back(start());
  if (!operations.empty()) {
    auto group = asio::experimental::make_parallel_group(std::move(operations));
    co_await group.async_wait(asio::experimental::wait_for_all(), asio::use_awaitable);
  }
  co_return std::move(work.documents);
}

// "deploy.apps" or "deployments.v1.apps": what the name may mean, as kubectl's ParseResourceArg splits it.
struct Reading {
  std::string name;
  std::string version;  // empty: any
  std::string group;    // empty: any, unless core_only
  bool core_only = false;
};

std::vector<Reading> readings(const std::string& arg) {
  const auto first = arg.find('.');
  if (first == std::string::npos) return {{arg, "", "", false}};
  const std::string name = arg.substr(0, first);
  const std::string rest = arg.substr(first + 1);
  std::vector<Reading> all;
  if (const auto second = rest.find('.'); second != std::string::npos) {
    const std::string group = rest.substr(second + 1);
    all.push_back({name, rest.substr(0, second), group, group.empty()});  // "pods.v1." is the core group's
  }
  all.push_back({name, "", rest, rest.empty()});
  return all;
}

enum class GroupMatch { exact, prefix };

bool in_scope(const ApiResource& resource, const Reading& reading, GroupMatch match) {
  if (!reading.version.empty() && resource.version != reading.version) return false;
  if (reading.core_only) return resource.group.empty();
  if (reading.group.empty()) return true;
  return match == GroupMatch::exact ? resource.group == reading.group : resource.group.starts_with(reading.group);
}

// What a name is compared with, strongest first.
constexpr bool (*kTiers[])(const ApiResource&, const std::string&) = {
    [](const ApiResource& r, const std::string& name) { return lower(r.name) == name || lower(r.singular) == name; },
    [](const ApiResource& r, const std::string& name) {
      return std::find(r.short_names.begin(), r.short_names.end(), name) != r.short_names.end();
    },
    [](const ApiResource& r, const std::string& name) { return lower(r.kind) == name; },
};

}  // namespace

bool ApiResource::can(std::string_view verb) const noexcept {
  return std::find(verbs.begin(), verbs.end(), verb) != verbs.end();
}

std::string ApiResource::group_version() const { return GroupVersion{group, version}.name(); }

std::string ApiResource::qualified_name() const { return group.empty() ? name : name + "." + group; }

std::string ApiResource::list_path(std::string_view ns) const {
  const std::string root = GroupVersion{group, version}.path();
  if (!namespaced || ns.empty()) return root + "/" + name;
  return root + "/namespaces/" + percent_encode(ns) + "/" + name;
}

std::string ApiResource::object_path(std::string_view ns, std::string_view object_name) const {
  return list_path(ns) + "/" + percent_encode(object_name);
}

result<ApiResource> ResourceCatalog::find(std::string_view name) const {
  const std::string wanted = lower(name);
  for (const auto match : {GroupMatch::exact, GroupMatch::prefix}) {
    for (const Reading& reading : readings(wanted)) {
      for (const auto& tier : kTiers) {
        const auto it = std::find_if(resources_.begin(), resources_.end(), [&](const ApiResource& resource) {
          return in_scope(resource, reading, match) && tier(resource, reading.name);
        });
        if (it != resources_.end()) return *it;
      }
    }
  }
  std::string message = fmt::format("the server doesn't have a resource type \"{}\"", name.substr(0, name.find('.')));
  for (const auto& [group_version, error] : errors_) {
    message += fmt::format("; {} could not be read: {}", group_version, error.message);
  }
  return Error{Errc::not_found, std::move(message)};
}

awaitable<result<ResourceCatalog>> discover(ApiClient& client) {
  std::vector<std::string> roots = {"/api", "/apis"};
  auto root = co_await fetch_all(client, std::move(roots));
  for (auto& document : root) {
    // A server may lack the core group or all others; any other failure would silently change what names mean.
    if (!document && document.error().code != Errc::not_found) co_return document.error();
    if (!document) document = json::value(json::object());
  }
  const auto versions = order_versions(*root[0], *root[1]);

  std::vector<std::string> paths;
  for (const auto& version : versions) paths.push_back(version.path());
  auto documents = co_await fetch_all(client, std::move(paths));

  std::vector<ApiResource> resources;
  std::vector<ResourceCatalog::GroupError> errors;
  for (std::size_t i = 0; i < versions.size(); ++i) {
    if (!documents[i]) {
      if (documents[i].error().code == Errc::cancelled) co_return documents[i].error();
      errors.push_back({versions[i].name(), documents[i].error()});
      continue;
    }
    auto found = parse_resources(versions[i], *documents[i]);
    std::move(found.begin(), found.end(), std::back_inserter(resources));
  }
  ResourceCatalog catalog(std::move(resources), std::move(errors));
  co_return catalog;
}

}  // namespace fresnel::kube

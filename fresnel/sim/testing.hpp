// What the tests of this layer share: a cluster's pure core at a fixed time, and requests to it without sockets.
//
// Thread safety: one thread.
#pragma once

#include <boost/json/parse.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "fresnel/sim/api.hpp"
#include "fresnel/sim/resources.hpp"
#include "fresnel/sim/store.hpp"

namespace fresnel::sim::testing {

inline json::value parsed(std::string_view text) { return json::parse(text); }

inline json::object object_of(std::string_view text) { return json::parse(text).as_object(); }

inline json::object config_map(std::string_view name, json::object labels = {}) {
  json::object metadata{{"name", name}};
  if (!labels.empty()) metadata["labels"] = std::move(labels);
  return {{"kind", "ConfigMap"}, {"apiVersion", "v1"}, {"metadata", std::move(metadata)}};
}

inline json::object pod(std::string_view name, std::string_view node = "") {
  json::object spec{{"containers", json::array{json::object{{"name", "c"}, {"image", "nginx"}}}}};
  if (!node.empty()) spec["nodeName"] = node;
  return {{"kind", "Pod"}, {"apiVersion", "v1"}, {"metadata", json::object{{"name", name}}}, {"spec", std::move(spec)}};
}

inline json::object widget_definition() {
  return object_of(R"({"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition",
    "metadata":{"name":"widgets.example.com"},"spec":{"group":"example.com","scope":"Namespaced",
    "names":{"plural":"widgets","kind":"Widget","shortNames":["wd"]},"versions":[{"name":"v1","served":true,
    "storage":true,"subresources":{"status":{}},"additionalPrinterColumns":[
      {"name":"Size","type":"integer","jsonPath":".spec.size"},
      {"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}]}]}})");
}

// 2026-11-21T13:00:00Z, and a seed that never changes.
inline ResourcesOptions fixed_options() {
  return {.wall_clock = [] { return *from_rfc3339("2026-11-21T13:00:00Z"); }, .seed = 7};
}

struct Core {
  explicit Core(ResourcesOptions options = fixed_options()) : resources(store, std::move(options)) {}

  [[nodiscard]] ResourceTypePtr type(std::string_view name) const { return resources.types().named(name); }
  ObjectPtr create(std::string_view type_name, json::object object, std::string_view ns = "default") {
    return resources.create(type(type_name), ns, std::move(object)).value();
  }

  Store store;
  Resources resources;
};

// The API on such a core: request("GET", "/api/v1/pods") and what it answers.
struct ApiFixture : Core {
  explicit ApiFixture(ResourcesOptions options = fixed_options()) : Core(std::move(options)) {}

  [[nodiscard]] Answer answer(std::string method, std::string target, std::string body = {},
                              net::Headers headers = {}) {
    net::ServerRequest request{.method = std::move(method), .target = std::move(target), .body = std::move(body)};
    request.headers = std::move(headers);
    request.upgrade = request.headers.has("upgrade");
    return api.handle(request);
  }
  [[nodiscard]] Response request(std::string method, std::string target, std::string body = {},
                                 net::Headers headers = {}) {
    return std::get<Response>(answer(std::move(method), std::move(target), std::move(body), std::move(headers)));
  }
  [[nodiscard]] json::value get(std::string target, std::string accept = "application/json") {
    return parsed(request("GET", std::move(target), "", {{"accept", std::move(accept)}}).body);
  }

  Authorizer authorizer;
  Api api{resources, authorizer};
};

// What a watch has for now, one parsed event each.
inline std::vector<json::value> drain(WatchStream& stream, WallTime now = {}) {
  std::vector<json::value> events;
  for (std::string line; stream.next(line, now); line.clear()) events.push_back(parsed(line));
  return events;
}

// "ADDED a@5", for comparing sequences.
inline std::string summary(const json::value& event) {
  std::string text(string_at(event, {"type"}));
  text += " ";
  text += string_at(event, {"object", "metadata", "name"});
  text += "@";
  text += string_at(event, {"object", "metadata", "resourceVersion"});
  return text;
}

inline std::vector<std::string> summaries(const std::vector<json::value>& events) {
  std::vector<std::string> all;
  for (const auto& event : events) all.push_back(summary(event));
  return all;
}

}  // namespace fresnel::sim::testing

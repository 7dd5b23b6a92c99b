// Watch events for the client's tests, as a kube-apiserver writes them.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "fresnel/kube/watch_event.hpp"

namespace fresnel::client::testing {

inline constexpr std::string_view kTableAccept = "application/json;as=Table;v=v1;g=meta.k8s.io";

// A pod "name" in namespace "default" whose uid is "uid-<name>".
inline std::string pod_event(std::string_view type, std::string_view name, std::string_view version) {
  return fmt::format(R"({{"type":"{}","object":{{"kind":"Pod","apiVersion":"v1","metadata":{{"name":"{}",)"
                     R"("namespace":"default","uid":"uid-{}","resourceVersion":"{}"}}}}}})",
                     type, name, name, version);
}

inline std::string pod_event(std::string_view type, std::string_view name, std::uint64_t version) {
  return pod_event(type, name, std::to_string(version));
}

inline std::string bookmark_event(std::string_view version) {
  return fmt::format(
      R"({{"type":"BOOKMARK","object":{{"kind":"Pod","apiVersion":"v1","metadata":{{"resourceVersion":"{}"}}}}}})",
      version);
}

inline std::string error_event(int code, std::string_view reason) {
  return fmt::format(
      R"({{"type":"ERROR","object":{{"kind":"Status","apiVersion":"v1","metadata":{{)"
      R"("resourceVersion":"999999"}},"status":"Failure","message":"it is {}","reason":"{}","code":{}}}}})",
      reason, reason, code);
}

// A Table of one row; `columns` is the JSON of columnDefinitions, "null" in every event but the first.
inline std::string table_event(std::string_view type, std::string_view name, std::string_view version,
                               std::string_view columns) {
  return fmt::format(
      R"({{"type":"{}","object":{{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{{"resourceVersion":"{}"}},)"
      R"("columnDefinitions":{},"rows":[{{"cells":["{}"],"object":{{"kind":"PartialObjectMetadata",)"
      R"("apiVersion":"meta.k8s.io/v1","metadata":{{"name":"{}","namespace":"default","uid":"uid-{}",)"
      R"("resourceVersion":"{}"}}}}}}]}}}})",
      type, version, columns, name, name, name, version);
}

inline kube::WatchEvent parsed(std::string text) {
  return kube::parse_watch_event(SharedBytes(std::move(text))).value();
}

// "ADDED a@5": what the tests compare.
inline std::string brief(const kube::WatchEvent& event) {
  return fmt::format("{} {}@{}", kube::to_string(event.type), event.name, event.resource_version);
}

}  // namespace fresnel::client::testing

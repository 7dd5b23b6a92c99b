// The requests that both servers must answer alike. Each script works in a namespace of its own, and sends objects
// with every default filled in, because the simulation fills in hardly any.
//
// Thread safety: one thread each.
#pragma once

#include <string>
#include <vector>

#include "tests/conformance/transcript.hpp"

namespace fresnel::conformance {

struct Script {
  std::string name;
  void (*run)(Transcript& transcript);
};

[[nodiscard]] const std::vector<Script>& scripts();

void config_maps(Transcript& t);
void pods(Transcript& t);
void namespaces(Transcript& t);
void deployments(Transcript& t);
void events(Transcript& t);
void custom_resources(Transcript& t);
void watches(Transcript& t);
void bookmarks(Transcript& t);
void refusals(Transcript& t);
void access(Transcript& t);
void discovery(Transcript& t);

// Makes a namespace, without recording it, and returns its path.
std::string make_namespace(Transcript& t, const std::string& name);
// Waits until the server's watch cache has seen this object.
void wait_for_cache(Transcript& t, const std::string& list_path, const json::value& object);
[[nodiscard]] std::string version_of(const json::value& object);

inline const std::string kMergePatch = "application/merge-patch+json";
inline const std::string kStrategicPatch = "application/strategic-merge-patch+json";
inline const std::string kTable = "application/json;as=Table;v=v1;g=meta.k8s.io";
inline const std::string kMetadata = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
inline const std::string kMetadataList = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";

}  // namespace fresnel::conformance

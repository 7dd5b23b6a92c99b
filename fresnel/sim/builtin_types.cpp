// The built-in types. Names, short names and categories are those of kube-apiserver 1.20's discovery documents; so is
// what a bookmark's object holds for each kind.
#include "fresnel/sim/resource_type.hpp"

namespace fresnel::sim {
namespace {

constexpr const char* kTemplate = R"("template":{"metadata":{"creationTimestamp":null},"spec":{"containers":null}})";

ResourceType core(std::string plural, std::string kind, std::vector<std::string> short_names = {}) {
  return {.group = "",
          .version = "v1",
          .plural = std::move(plural),
          .kind = std::move(kind),
          .short_names = std::move(short_names)};
}

ResourceType pods() {
  auto type = core("pods", "Pod", {"po"});
  type.categories = {"all"};
  type.has_status = true;
  type.field_labels = {"spec.nodeName", "spec.restartPolicy", "spec.schedulerName",      "spec.serviceAccountName",
                       "status.phase",  "status.podIP",       "status.nominatedNodeName"};
  type.terse_field_errors = true;
  type.bookmark_rest = R"(,"spec":{"containers":null},"status":{})";
  return type;
}

ResourceType events() {
  auto type = core("events", "Event", {"ev"});
  type.field_labels = {"involvedObject.kind",
                       "involvedObject.namespace",
                       "involvedObject.name",
                       "involvedObject.uid",
                       "involvedObject.apiVersion",
                       "involvedObject.resourceVersion",
                       "involvedObject.fieldPath",
                       "reason",
                       "source",
                       "type"};
  type.terse_field_errors = true;
  type.bookmark_rest =
      R"(,"involvedObject":{},"source":{},"firstTimestamp":null,"lastTimestamp":null,"eventTime":null,)"
      R"("reportingComponent":"","reportingInstance":"")";
  return type;
}

void add_core(std::vector<ResourceType>& types) {
  types.push_back(pods());
  types.push_back(events());
  types.push_back(core("configmaps", "ConfigMap", {"cm"}));
  auto secrets = core("secrets", "Secret");
  secrets.field_labels = {"type"};
  secrets.terse_field_errors = true;
  types.push_back(std::move(secrets));
  auto services = core("services", "Service", {"svc"});
  services.categories = {"all"};
  services.has_status = true;
  services.deletes_collection = false;
  services.bookmark_rest = R"(,"spec":{},"status":{"loadBalancer":{}})";
  types.push_back(std::move(services));
  auto namespaces = core("namespaces", "Namespace", {"ns"});
  namespaces.namespaced = false;
  namespaces.has_status = true;
  namespaces.deletes_collection = false;
  namespaces.field_labels = {"status.phase"};
  namespaces.terse_field_errors = true;
  namespaces.bookmark_rest = R"(,"spec":{},"status":{})";
  types.push_back(std::move(namespaces));
  auto nodes = core("nodes", "Node", {"no"});
  nodes.namespaced = false;
  nodes.has_status = true;
  nodes.field_labels = {"spec.unschedulable"};
  nodes.terse_field_errors = true;
  nodes.bookmark_rest =
      R"(,"spec":{},"status":{"daemonEndpoints":{"kubeletEndpoint":{"Port":0}},"nodeInfo":{"machineID":"",)"
      R"("systemUUID":"","bootID":"","kernelVersion":"","osImage":"","containerRuntimeVersion":"","kubeletVersion":"",)"
      R"("kubeProxyVersion":"","operatingSystem":"","architecture":""}})";
  types.push_back(std::move(nodes));
  types.push_back(core("serviceaccounts", "ServiceAccount", {"sa"}));
  auto endpoints = core("endpoints", "Endpoints", {"ep"});
  types.push_back(std::move(endpoints));
  auto volumes = core("persistentvolumes", "PersistentVolume", {"pv"});
  volumes.namespaced = false;
  volumes.has_status = true;
  volumes.bookmark_rest = R"(,"spec":{},"status":{})";
  types.push_back(std::move(volumes));
  auto claims = core("persistentvolumeclaims", "PersistentVolumeClaim", {"pvc"});
  claims.has_status = true;
  claims.bookmark_rest = R"(,"spec":{"resources":{}},"status":{})";
  types.push_back(std::move(claims));
}

ResourceType workload(std::string group, std::string plural, std::string kind, std::vector<std::string> short_names,
                      std::string bookmark_rest) {
  return {.group = std::move(group),
          .version = "v1",
          .plural = std::move(plural),
          .kind = std::move(kind),
          .short_names = std::move(short_names),
          .categories = {"all"},
          .has_status = true,
          .has_generation = true,
          .bookmark_rest = std::move(bookmark_rest)};
}

void add_workloads(std::vector<ResourceType>& types) {
  const std::string pod_template = kTemplate;
  types.push_back(
      workload("apps", "deployments", "Deployment", {"deploy"},
               R"(,"spec":{"replicas":0,"selector":null,)" + pod_template + R"(,"strategy":{}},"status":{})"));
  types.push_back(
      workload("apps", "replicasets", "ReplicaSet", {"rs"},
               R"(,"spec":{"replicas":0,"selector":null,)" + pod_template + R"(},"status":{"replicas":0})"));
  types.push_back(workload("apps", "statefulsets", "StatefulSet", {"sts"},
                           R"(,"spec":{"replicas":0,"selector":null,)" + pod_template +
                               R"(,"serviceName":"","updateStrategy":{}},"status":{"replicas":0})"));
  types.push_back(workload("apps", "daemonsets", "DaemonSet", {"ds"},
                           R"(,"spec":{"selector":null,)" + pod_template +
                               R"(,"updateStrategy":{}},"status":{"currentNumberScheduled":0,"numberMisscheduled":0,)"
                               R"("desiredNumberScheduled":0,"numberReady":0})"));
  types.push_back(workload("batch", "jobs", "Job", {}, R"(,"spec":{)" + pod_template + R"(},"status":{})"));
  types.back().has_generation = false;
  types.push_back(workload("batch", "cronjobs", "CronJob", {"cj"},
                           R"(,"spec":{"schedule":"","concurrencyPolicy":"","suspend":null,"jobTemplate":{"metadata":)"
                           R"({"creationTimestamp":null},"spec":{)" +
                               pod_template + R"(}},"successfulJobsHistoryLimit":null},"status":{})"));
  types.back().has_generation = false;
  types.push_back({.group = "networking.k8s.io",
                   .version = "v1",
                   .plural = "ingresses",
                   .kind = "Ingress",
                   .short_names = {"ing"},
                   .has_status = true,
                   .has_generation = true,
                   .bookmark_rest = R"(,"spec":{},"status":{"loadBalancer":{}})"});
  types.push_back({.group = "apiextensions.k8s.io",
                   .version = "v1",
                   .plural = "customresourcedefinitions",
                   .kind = "CustomResourceDefinition",
                   .namespaced = false,
                   .short_names = {"crd", "crds"},
                   .categories = {"api-extensions"},
                   .has_status = true,
                   .has_generation = true,
                   .bookmark_rest =
                       R"(,"spec":{"group":"","names":{"plural":"","kind":""},"scope":"","versions":null},)"
                       R"("status":{"conditions":null,"acceptedNames":{"plural":"","kind":""},)"
                       R"("storedVersions":null})"});
}

}  // namespace

std::vector<ResourceTypePtr> builtin_types() {
  std::vector<ResourceType> types;
  add_core(types);
  add_workloads(types);
  std::vector<ResourceTypePtr> shared;
  for (auto& type : types) {
    type.list_kind = type.kind + "List";
    shared.push_back(std::make_shared<const ResourceType>(std::move(type)));
  }
  return shared;
}

}  // namespace fresnel::sim

// The tables of the built-in types, cell by cell as pkg/printers/internalversion/printers.go of Kubernetes 1.20.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "fresnel/sim/printer.hpp"

namespace fresnel::sim {
namespace {

constexpr std::string_view kNone = "<none>";

TableColumn named() { return {"Name", "string", "name", "Name must be unique within a namespace.", 0}; }
TableColumn text(std::string name) { return {.name = std::move(name)}; }
TableColumn number(std::string name) { return {.name = std::move(name), .type = "integer"}; }
TableColumn age() { return {"Age", "string", "", "The time since the object was created.", 0}; }
TableColumn wide(TableColumn column) {
  column.priority = 1;
  return column;
}

json::value cell(std::string_view value) { return json::string(value); }
json::value or_none(std::string_view value) { return cell(value.empty() ? kNone : value); }
json::value name_of(const json::object& object) { return cell(string_at(object, {"metadata", "name"})); }
json::value age_cell(const json::object& object, WallTime now) {
  return cell(age_of(string_at(object, {"metadata", "creationTimestamp"}), now));
}

template <class Each>
std::string joined(const json::array& values, Each each, std::string_view separator = ",") {
  std::string all;
  for (const auto& value : values) {
    const std::string part(each(value));
    if (part.empty()) continue;
    if (!all.empty()) all += separator;
    all += part;
  }
  return all;
}

std::string member_list(const json::array& values, std::string_view member) {
  return joined(values, [&](const json::value& value) { return string_at(value, {member}); });
}

const json::array& template_containers(const json::object& object) {
  return array_at(object, {"spec", "template", "spec", "containers"});
}

std::string labels_text(const json::object& labels) {
  std::map<std::string_view, std::string_view> sorted;
  for (const auto& [key, value] : labels) {
    if (value.is_string()) sorted.emplace(key, view(value.get_string()));
  }
  std::string all;
  for (const auto& [key, value] : sorted) all += fmt::format("{}{}={}", all.empty() ? "" : ",", key, value);
  return all;
}

std::string expression_text(const json::value& expression) {
  const auto key = string_at(expression, {"key"});
  const auto op = string_at(expression, {"operator"});
  if (op == "Exists") return std::string(key);
  if (op == "DoesNotExist") return fmt::format("!{}", key);
  const auto values = joined(array_at(expression, {"values"}), [](const json::value& value) {
    return value.is_string() ? view(value.get_string()) : std::string_view();
  });
  return fmt::format("{} {} ({})", key, op == "In" ? "in" : "notin", values);
}

// A LabelSelector as kubectl writes it.
std::string selector_text(const json::object& object, JsonPath path) {
  const auto& selector = object_at(object, path);
  auto all = labels_text(object_at(selector, {"matchLabels"}));
  const auto expressions = joined(array_at(selector, {"matchExpressions"}), expression_text);
  if (!all.empty() && !expressions.empty()) all += ",";
  return all + expressions;
}

// --- pods

std::string ended_reason(const json::value& terminated) {
  const auto reason = string_at(terminated, {"reason"});
  if (!reason.empty()) return std::string(reason);
  if (const auto signal = int_at(terminated, {"signal"}); signal != 0) return fmt::format("Signal:{}", signal);
  return fmt::format("ExitCode:{}", int_at(terminated, {"exitCode"}));
}

struct PodSummary {
  std::string reason;
  std::int64_t restarts = 0;
  std::int64_t ready = 0;
};

// True when an init container has not ended well yet: the pod's reason is then its.
bool summarize_init(const json::object& pod, PodSummary& summary) {
  const auto& statuses = array_at(pod, {"status", "initContainerStatuses"});
  for (std::size_t i = 0; i < statuses.size(); ++i) {
    const auto& status = statuses[i];
    summary.restarts += int_at(status, {"restartCount"});
    const auto* terminated = find(status, {"state", "terminated"});
    const auto waiting = string_at(status, {"state", "waiting", "reason"});
    if (terminated != nullptr && int_at(*terminated, {"exitCode"}) == 0) continue;
    if (terminated != nullptr) {
      summary.reason = "Init:" + ended_reason(*terminated);
    } else if (!waiting.empty() && waiting != "PodInitializing") {
      summary.reason = fmt::format("Init:{}", waiting);
    } else {
      summary.reason = fmt::format("Init:{}/{}", i, array_at(pod, {"spec", "initContainers"}).size());
    }
    return true;
  }
  return false;
}

bool has_condition(const json::object& object, std::string_view type) {
  const auto& conditions = array_at(object, {"status", "conditions"});
  return std::any_of(conditions.begin(), conditions.end(), [&](const json::value& condition) {
    return string_at(condition, {"type"}) == type && string_at(condition, {"status"}) == "True";
  });
}

void summarize_containers(const json::object& pod, PodSummary& summary) {
  summary.restarts = 0;
  bool running = false;
  const auto& statuses = array_at(pod, {"status", "containerStatuses"});
  for (auto status = statuses.rbegin(); status != statuses.rend(); ++status) {
    summary.restarts += int_at(*status, {"restartCount"});
    const auto waiting = string_at(*status, {"state", "waiting", "reason"});
    const auto* terminated = find(*status, {"state", "terminated"});
    if (!waiting.empty()) {
      summary.reason = waiting;
    } else if (terminated != nullptr) {
      summary.reason = ended_reason(*terminated);
    } else if (bool_at(*status, {"ready"}) && find(*status, {"state", "running"}) != nullptr) {
      running = true;
      ++summary.ready;
    }
  }
  if (summary.reason == "Completed" && running) summary.reason = has_condition(pod, "Ready") ? "Running" : "NotReady";
}

PodSummary summary_of(const json::object& pod) {
  PodSummary summary;
  summary.reason = string_at(pod, {"status", "reason"});
  if (summary.reason.empty()) summary.reason = string_at(pod, {"status", "phase"});
  if (!summarize_init(pod, summary)) summarize_containers(pod, summary);
  if (!string_at(pod, {"metadata", "deletionTimestamp"}).empty()) {
    summary.reason = summary.reason == "NodeLost" ? "Unknown" : "Terminating";
  }
  return summary;
}

json::array pod_cells(const json::object& pod, WallTime now) {
  const auto summary = summary_of(pod);
  const auto& gates = array_at(pod, {"spec", "readinessGates"});
  const auto open = std::count_if(gates.begin(), gates.end(), [&](const json::value& gate) {
    return has_condition(pod, string_at(gate, {"conditionType"}));
  });
  const auto ready = fmt::format("{}/{}", summary.ready, array_at(pod, {"spec", "containers"}).size());
  return {name_of(pod),
          cell(ready),
          cell(summary.reason),
          summary.restarts,
          age_cell(pod, now),
          or_none(string_at(pod, {"status", "podIP"})),
          or_none(string_at(pod, {"spec", "nodeName"})),
          or_none(string_at(pod, {"status", "nominatedNodeName"})),
          gates.empty() ? cell(kNone) : cell(fmt::format("{}/{}", open, gates.size()))};
}

// --- workloads

json::array deployment_cells(const json::object& object, WallTime now) {
  const auto ready =
      fmt::format("{}/{}", int_at(object, {"status", "readyReplicas"}), int_at(object, {"spec", "replicas"}));
  return {name_of(object),
          cell(ready),
          int_at(object, {"status", "updatedReplicas"}),
          int_at(object, {"status", "availableReplicas"}),
          age_cell(object, now),
          cell(member_list(template_containers(object), "name")),
          cell(member_list(template_containers(object), "image")),
          cell(selector_text(object, {"spec", "selector"}))};
}

json::array replica_set_cells(const json::object& object, WallTime now) {
  return {name_of(object),
          int_at(object, {"spec", "replicas"}),
          int_at(object, {"status", "replicas"}),
          int_at(object, {"status", "readyReplicas"}),
          age_cell(object, now),
          cell(member_list(template_containers(object), "name")),
          cell(member_list(template_containers(object), "image")),
          or_none(selector_text(object, {"spec", "selector"}))};
}

json::array stateful_set_cells(const json::object& object, WallTime now) {
  const auto ready =
      fmt::format("{}/{}", int_at(object, {"status", "readyReplicas"}), int_at(object, {"spec", "replicas"}));
  return {name_of(object), cell(ready), age_cell(object, now), cell(member_list(template_containers(object), "name")),
          cell(member_list(template_containers(object), "image"))};
}

json::array daemon_set_cells(const json::object& object, WallTime now) {
  return {name_of(object),
          int_at(object, {"status", "desiredNumberScheduled"}),
          int_at(object, {"status", "currentNumberScheduled"}),
          int_at(object, {"status", "numberReady"}),
          int_at(object, {"status", "updatedNumberScheduled"}),
          int_at(object, {"status", "numberAvailable"}),
          or_none(labels_text(object_at(object, {"spec", "template", "spec", "nodeSelector"}))),
          age_cell(object, now),
          cell(member_list(template_containers(object), "name")),
          cell(member_list(template_containers(object), "image")),
          or_none(selector_text(object, {"spec", "selector"}))};
}

std::string job_duration(const json::object& job, WallTime now) {
  const auto start = from_rfc3339(string_at(job, {"status", "startTime"}));
  if (!start) return "";
  const auto end = from_rfc3339(string_at(job, {"status", "completionTime"}));
  return human_duration(std::chrono::floor<std::chrono::seconds>(end.value_or(now) - *start));
}

json::array job_cells(const json::object& job, WallTime now) {
  const auto succeeded = int_at(job, {"status", "succeeded"});
  const auto parallelism = int_at(job, {"spec", "parallelism"});
  std::string completions = fmt::format("{}/1", succeeded);
  if (find(job, {"spec", "completions"}) != nullptr) {
    completions = fmt::format("{}/{}", succeeded, int_at(job, {"spec", "completions"}));
  } else if (parallelism > 1) {
    completions = fmt::format("{}/1 of {}", succeeded, parallelism);
  }
  return {name_of(job),
          cell(completions),
          cell(job_duration(job, now)),
          age_cell(job, now),
          cell(member_list(template_containers(job), "name")),
          cell(member_list(template_containers(job), "image")),
          or_none(selector_text(job, {"spec", "selector"}))};
}

json::array cron_job_cells(const json::object& job, WallTime now) {
  const auto last = string_at(job, {"status", "lastScheduleTime"});
  const auto& containers = array_at(job, {"spec", "jobTemplate", "spec", "template", "spec", "containers"});
  return {name_of(job),
          cell(string_at(job, {"spec", "schedule"})),
          cell(bool_at(job, {"spec", "suspend"}) ? "True" : "False"),
          array_at(job, {"status", "active"}).size(),
          last.empty() ? cell(kNone) : cell(age_of(last, now)),
          age_cell(job, now),
          cell(member_list(containers, "name")),
          cell(member_list(containers, "image")),
          or_none(selector_text(job, {"spec", "jobTemplate", "spec", "selector"}))};
}

// --- the rest

json::array namespace_cells(const json::object& object, WallTime now) {
  return {name_of(object), cell(string_at(object, {"status", "phase"})), age_cell(object, now)};
}

std::string node_roles(const json::object& node) {
  constexpr std::string_view kPrefix = "node-role.kubernetes.io/";
  std::vector<std::string> roles;
  for (const auto& [key, value] : object_at(node, {"metadata", "labels"})) {
    const std::string_view name = key;
    if (name.substr(0, kPrefix.size()) == kPrefix) roles.emplace_back(name.substr(kPrefix.size()));
  }
  std::sort(roles.begin(), roles.end());
  std::string all;
  for (const auto& role : roles) all += (all.empty() ? "" : ",") + role;
  return all;
}

std::string_view node_address(const json::object& node, std::string_view type) {
  for (const auto& address : array_at(node, {"status", "addresses"})) {
    if (string_at(address, {"type"}) == type) return string_at(address, {"address"});
  }
  return kNone;
}

json::array node_cells(const json::object& node, WallTime now) {
  std::string status = "Unknown";
  for (const auto& condition : array_at(node, {"status", "conditions"})) {
    if (string_at(condition, {"type"}) != "Ready") continue;
    status = string_at(condition, {"status"}) == "True" ? "Ready" : "NotReady";
  }
  if (bool_at(node, {"spec", "unschedulable"})) status += ",SchedulingDisabled";
  const auto info = [&](std::string_view member) {
    const auto value = string_at(node, {"status", "nodeInfo", member});
    return cell(value.empty() ? "<unknown>" : value);
  };
  return {name_of(node),
          cell(status),
          or_none(node_roles(node)),
          age_cell(node, now),
          cell(string_at(node, {"status", "nodeInfo", "kubeletVersion"})),
          cell(node_address(node, "InternalIP")),
          cell(node_address(node, "ExternalIP")),
          info("osImage"),
          info("kernelVersion"),
          info("containerRuntimeVersion")};
}

json::array event_cells(const json::object& event, WallTime now) {
  auto first = age_of(string_at(event, {"firstTimestamp"}), now);
  if (first == "<unknown>") first = age_of(string_at(event, {"eventTime"}), now);
  auto last = age_of(string_at(event, {"lastTimestamp"}), now);
  if (last == "<unknown>") last = first;
  std::string target(string_at(event, {"involvedObject", "kind"}));
  std::transform(target.begin(), target.end(), target.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  const auto name = string_at(event, {"involvedObject", "name"});
  if (!name.empty()) target += fmt::format("/{}", name);
  std::string source(string_at(event, {"source", "component"}));
  const auto host = string_at(event, {"source", "host"});
  if (!host.empty()) source += fmt::format(", {}", host);
  auto message = std::string(string_at(event, {"message"}));
  while (!message.empty() && message.back() == '\n') message.pop_back();
  return {cell(last),
          cell(string_at(event, {"type"})),
          cell(string_at(event, {"reason"})),
          cell(target),
          cell(string_at(event, {"involvedObject", "fieldPath"})),
          cell(source),
          cell(message),
          cell(first),
          std::max<std::int64_t>(1, int_at(event, {"count"})),
          name_of(event)};
}

json::array config_map_cells(const json::object& object, WallTime now) {
  const auto size = object_at(object, {"data"}).size() + object_at(object, {"binaryData"}).size();
  return {name_of(object), size, age_cell(object, now)};
}

json::array secret_cells(const json::object& object, WallTime now) {
  return {name_of(object), cell(string_at(object, {"type"})), object_at(object, {"data"}).size(),
          age_cell(object, now)};
}

json::array service_account_cells(const json::object& object, WallTime now) {
  return {name_of(object), array_at(object, {"secrets"}).size(), age_cell(object, now)};
}

std::string service_ports(const json::object& service) {
  return joined(array_at(service, {"spec", "ports"}), [](const json::value& port) {
    const auto protocol = string_at(port, {"protocol"});
    const auto node_port = int_at(port, {"nodePort"});
    const auto middle = node_port == 0 ? std::string() : fmt::format(":{}", node_port);
    return fmt::format("{}{}/{}", int_at(port, {"port"}), middle, protocol.empty() ? "TCP" : protocol);
  });
}

json::array service_cells(const json::object& service, WallTime now) {
  const auto type = string_at(service, {"spec", "type"});
  auto external = joined(array_at(service, {"spec", "externalIPs"}), [](const json::value& address) {
    return address.is_string() ? view(address.get_string()) : std::string_view();
  });
  if (type == "ExternalName") external = string_at(service, {"spec", "externalName"});
  if (type == "LoadBalancer" && external.empty()) {
    external = member_list(array_at(service, {"status", "loadBalancer", "ingress"}), "ip");
    if (external.empty()) external = "<pending>";
  }
  return {name_of(service),
          cell(type.empty() ? "ClusterIP" : type),
          or_none(string_at(service, {"spec", "clusterIP"})),
          or_none(external),
          or_none(service_ports(service)),
          age_cell(service, now),
          or_none(labels_text(object_at(service, {"spec", "selector"})))};
}

json::array endpoints_cells(const json::object& object, WallTime now) {
  std::string all;
  for (const auto& subset : array_at(object, {"subsets"})) {
    for (const auto& port : array_at(subset, {"ports"})) {
      for (const auto& address : array_at(subset, {"addresses"})) {
        all += fmt::format("{}{}:{}", all.empty() ? "" : ",", string_at(address, {"ip"}), int_at(port, {"port"}));
      }
    }
  }
  return {name_of(object), or_none(all), age_cell(object, now)};
}

std::string access_modes(const json::object& object, JsonPath path) {
  return joined(array_at(object, path), [](const json::value& mode) -> std::string_view {
    const auto name = mode.is_string() ? view(mode.get_string()) : std::string_view();
    if (name == "ReadWriteOnce") return "RWO";
    if (name == "ReadOnlyMany") return "ROX";
    return name == "ReadWriteMany" ? "RWX" : name;
  });
}

json::array volume_cells(const json::object& volume, WallTime now) {
  const auto claim = string_at(volume, {"spec", "claimRef", "name"});
  const auto claimed =
      claim.empty() ? "" : fmt::format("{}/{}", string_at(volume, {"spec", "claimRef", "namespace"}), claim);
  return {name_of(volume),
          cell(string_at(volume, {"spec", "capacity", "storage"})),
          cell(access_modes(volume, {"spec", "accessModes"})),
          cell(string_at(volume, {"spec", "persistentVolumeReclaimPolicy"})),
          cell(string_at(volume, {"status", "phase"})),
          cell(claimed),
          cell(string_at(volume, {"spec", "storageClassName"})),
          cell(string_at(volume, {"status", "reason"})),
          age_cell(volume, now),
          cell(string_at(volume, {"spec", "volumeMode"}))};
}

json::array claim_cells(const json::object& claim, WallTime now) {
  const bool bound = !string_at(claim, {"spec", "volumeName"}).empty();
  return {name_of(claim),
          cell(string_at(claim, {"status", "phase"})),
          cell(string_at(claim, {"spec", "volumeName"})),
          cell(bound ? string_at(claim, {"status", "capacity", "storage"}) : ""),
          cell(bound ? access_modes(claim, {"status", "accessModes"}) : ""),
          cell(string_at(claim, {"spec", "storageClassName"})),
          age_cell(claim, now),
          cell(string_at(claim, {"spec", "volumeMode"}))};
}

json::array ingress_cells(const json::object& ingress, WallTime now) {
  auto hosts = member_list(array_at(ingress, {"spec", "rules"}), "host");
  return {name_of(ingress),
          or_none(string_at(ingress, {"spec", "ingressClassName"})),
          cell(hosts.empty() ? "*" : hosts),
          cell(member_list(array_at(ingress, {"status", "loadBalancer", "ingress"}), "ip")),
          cell(array_at(ingress, {"spec", "tls"}).empty() ? "80" : "80, 443"),
          age_cell(ingress, now)};
}

using Printers = std::map<std::string, BuiltinPrinter, std::less<>>;

void add_workloads(Printers& printers) {
  const auto containers = wide(text("Containers")), images = wide(text("Images")), selector = wide(text("Selector"));
  printers["pods"] = {{named(), text("Ready"), text("Status"), number("Restarts"), age(), wide(text("IP")),
                       wide(text("Node")), wide(text("Nominated Node")), wide(text("Readiness Gates"))},
                      pod_cells};
  printers["deployments.apps"] = {
      {named(), text("Ready"), text("Up-to-date"), text("Available"), age(), containers, images, selector},
      deployment_cells};
  printers["replicasets.apps"] = {
      {named(), number("Desired"), number("Current"), number("Ready"), age(), containers, images, selector},
      replica_set_cells};
  printers["statefulsets.apps"] = {{named(), text("Ready"), age(), containers, images}, stateful_set_cells};
  printers["daemonsets.apps"] = {{named(), number("Desired"), number("Current"), number("Ready"), number("Up-to-date"),
                                  number("Available"), text("Node Selector"), age(), containers, images, selector},
                                 daemon_set_cells};
  printers["jobs.batch"] = {{named(), text("Completions"), text("Duration"), age(), containers, images, selector},
                            job_cells};
  TableColumn suspend{.name = "Suspend", .type = "boolean"};
  printers["cronjobs.batch"] = {{named(), text("Schedule"), std::move(suspend), number("Active"), text("Last Schedule"),
                                 age(), containers, images, selector},
                                cron_job_cells};
}

void add_others(Printers& printers) {
  printers["namespaces"] = {{named(), text("Status"), age()}, namespace_cells};
  printers["nodes"] = {{named(), text("Status"), text("Roles"), age(), text("Version"), wide(text("Internal-IP")),
                        wide(text("External-IP")), wide(text("OS-Image")), wide(text("Kernel-Version")),
                        wide(text("Container-Runtime"))},
                       node_cells};
  printers["events"] = {
      {text("Last Seen"), text("Type"), text("Reason"), text("Object"), wide(text("Subobject")), wide(text("Source")),
       text("Message"), wide(text("First Seen")), wide(text("Count")), wide(named())},
      event_cells};
  printers["configmaps"] = {{named(), text("Data"), age()}, config_map_cells};
  printers["secrets"] = {{named(), text("Type"), text("Data"), age()}, secret_cells};
  printers["serviceaccounts"] = {{named(), text("Secrets"), age()}, service_account_cells};
  printers["services"] = {
      {named(), text("Type"), text("Cluster-IP"), text("External-IP"), text("Port(s)"), age(), wide(text("Selector"))},
      service_cells};
  printers["endpoints"] = {{named(), text("Endpoints"), age()}, endpoints_cells};
  printers["persistentvolumes"] = {
      {named(), text("Capacity"), text("Access Modes"), text("Reclaim Policy"), text("Status"), text("Claim"),
       text("StorageClass"), text("Reason"), age(), wide(text("VolumeMode"))},
      volume_cells};
  printers["persistentvolumeclaims"] = {{named(), text("Status"), text("Volume"), text("Capacity"),
                                         text("Access Modes"), text("StorageClass"), age(), wide(text("VolumeMode"))},
                                        claim_cells};
  printers["ingresses.networking.k8s.io"] = {
      {named(), text("Class"), text("Hosts"), text("Address"), text("Ports"), age()}, ingress_cells};
}

}  // namespace

const BuiltinPrinter* builtin_printer(const ResourceType& type) {
  static const Printers kPrinters = [] {
    Printers printers;
    add_workloads(printers);
    add_others(printers);
    return printers;
  }();
  if (type.custom) return nullptr;
  const auto found = kPrinters.find(type.qualified_name());
  return found == kPrinters.end() ? nullptr : &found->second;
}

}  // namespace fresnel::sim

// The half of Resources that deletes.
#include <fmt/format.h>

#include <algorithm>

#include "fresnel/sim/custom_resources.hpp"
#include "fresnel/sim/resources.hpp"

namespace fresnel::sim {
namespace {

constexpr std::string_view kImmortal[] = {"default", "kube-system", "kube-public"};
constexpr std::int64_t kDefaultGraceSeconds = 30;

// How long a pod may take to end (kube-apiserver's pod strategy, CheckGracefulDelete).
std::int64_t grace_of(const json::object& pod, const DeleteOptions& options) {
  const auto phase = string_at(pod, {"status", "phase"});
  if (string_at(pod, {"spec", "nodeName"}).empty() || phase == "Failed" || phase == "Succeeded") return 0;
  if (options.grace_period_seconds) return std::max<std::int64_t>(0, *options.grace_period_seconds);
  return int_at(pod, {"spec", "terminationGracePeriodSeconds"}, kDefaultGraceSeconds);
}

Status precondition_failed(const ResourceType& type, const Object& existing, std::string why) {
  ResourceType by_kind;
  by_kind.plural = type.kind;
  by_kind.group = type.group;
  return conflict(by_kind, existing.name(), std::move(why));
}

}  // namespace

outcome<> Resources::check_preconditions(const ResourceType& type, const Object& existing,
                                         const DeleteOptions& options) const {
  if (!options.uid.empty() && options.uid != existing.uid()) {
    return precondition_failed(
        type, existing,
        fmt::format("the UID in the precondition ({}) does not match the UID in record ({}). The object might have "
                    "been deleted and then recreated",
                    options.uid, existing.uid()));
  }
  if (!options.resource_version.empty() && options.resource_version != std::to_string(existing.revision())) {
    return precondition_failed(
        type, existing,
        fmt::format("the ResourceVersion in the precondition ({}) does not match the ResourceVersion in record ({}). "
                    "The object might have been modified",
                    options.resource_version, existing.revision()));
  }
  return {};
}

ObjectPtr Resources::mark_deleted(const ResourceTypePtr& type, const Object& existing, std::int64_t grace_seconds) {
  auto object = existing.parse();
  auto& metadata = ensure_object(object, "metadata");
  metadata["deletionTimestamp"] = to_rfc3339(options_.wall_clock() + std::chrono::seconds(grace_seconds));
  metadata["deletionGracePeriodSeconds"] = grace_seconds;
  if (type->has_generation) metadata["generation"] = int_at(object, {"metadata", "generation"}) + 1;
  return store_.put(type, std::move(object));
}

outcome<Deleted> Resources::remove(const ResourceTypePtr& type, std::string_view ns, std::string_view name,
                                   DeleteOptions options) {
  const auto existing = store_.get(*type, type->namespaced ? ns : "", name);
  if (!existing) return not_found(*type, name);
  if (const auto checked = check_preconditions(*type, *existing, options); !checked) return checked.error();
  if (type->is("", "namespaces")) {
    const auto* immortal = std::find(std::begin(kImmortal), std::end(kImmortal), name);
    if (immortal != std::end(kImmortal)) return refused(*type, name, "this namespace may not be deleted");
  }
  if (options.dry_run) return Deleted{existing, true};
  if (type->is("", "namespaces")) return remove_namespace(type, *existing);
  if (type->is("", "pods")) return remove_pod(type, *existing, options);
  if (type->is("apiextensions.k8s.io", "customresourcedefinitions")) return remove_definition(type, *existing);

  const auto object = existing->parse();
  if (!array_at(object, {"metadata", "finalizers"}).empty()) {
    if (!string_at(object, {"metadata", "deletionTimestamp"}).empty()) return Deleted{existing, false};
    return Deleted{mark_deleted(type, *existing, 0), false};
  }
  store_.erase(*type, existing->ns(), name);
  return Deleted{existing, true};
}

// kube-apiserver first writes the end's time into the pod, then, when there is nothing to wait for, deletes it: two
// revisions.
outcome<Deleted> Resources::remove_pod(const ResourceTypePtr& type, const Object& pod, const DeleteOptions& options) {
  const auto value = pod.parse();
  const auto grace = grace_of(value, options);
  const bool pending = !string_at(value, {"metadata", "deletionTimestamp"}).empty();
  const auto waiting = int_at(value, {"metadata", "deletionGracePeriodSeconds"});
  auto last = store_.get(*type, pod.ns(), pod.name());
  if (!pending || grace < waiting) last = mark_deleted(type, pod, grace);
  if (!array_at(value, {"metadata", "finalizers"}).empty()) return Deleted{last, false};
  if (grace > 0) {
    if (!options_.finish_deletions) return Deleted{last, false};
    // The kubelet has stopped the containers and deletes the pod for good.
    mark_deleted(type, *last, 0);
  }
  store_.erase(*type, pod.ns(), pod.name());
  return Deleted{last, true};
}

outcome<Deleted> Resources::remove_namespace(const ResourceTypePtr& type, const Object& ns) {
  auto object = ns.parse();
  auto last = store_.get(*type, "", ns.name());
  if (string_at(object, {"metadata", "deletionTimestamp"}).empty()) {
    ensure_object(object, "metadata")["deletionTimestamp"] = timestamp();
    ensure_object(object, "status")["phase"] = "Terminating";
    last = store_.put(type, std::move(object));
  }
  if (!options_.finish_deletions) return Deleted{last, false};
  empty_namespace(ns.name());
  store_.erase(*type, "", ns.name());
  return Deleted{last, false};
}

void Resources::empty_namespace(std::string_view ns) {
  for (const auto& type : types_.all()) {
    if (!type->namespaced) continue;
    for (const auto& object : store_.list(*type, ns)) store_.erase(*type, ns, object->name());
  }
}

// The real one holds the definition with a finalizer until its objects are gone, a moment later.
outcome<Deleted> Resources::remove_definition(const ResourceTypePtr& type, const Object& definition) {
  auto object = definition.parse();
  const auto defined = type_of(object);
  auto& metadata = ensure_object(object, "metadata");
  metadata["deletionTimestamp"] = timestamp();
  metadata["finalizers"] = json::array{"customresourcecleanup.apiextensions.k8s.io"};
  object["status"] = terminating_status(object, timestamp());
  const auto last = store_.put(type, std::move(object));
  for (const auto& instance : store_.list(*defined, "")) store_.erase(*defined, instance->ns(), instance->name());
  types_.remove(*defined);
  store_.erase(*type, "", definition.name());
  return Deleted{last, false};
}

outcome<std::vector<ObjectPtr>> Resources::remove_all(const ResourceTypePtr& type, std::string_view ns,
                                                      const Selector& selector, DeleteOptions options) {
  std::vector<ObjectPtr> matching;
  for (auto& object : store_.list(*type, type->namespaced ? ns : "")) {
    if (selector.matches(*object)) matching.push_back(std::move(object));
  }
  for (const auto& object : matching) {
    const auto removed = remove(type, object->ns(), object->name(), options);
    if (!removed && removed.error().code != 404) return removed.error();
  }
  return matching;
}

}  // namespace fresnel::sim

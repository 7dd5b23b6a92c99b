// The rules of the resources, on top of Store: what create, update, patch and delete mean for each type. This is also
// how a program changes the simulated cluster from inside, with the same effects as over HTTP:
//
//   auto pods = resources.types().named("pods");
//   resources.create(pods, "default", pod);
//   resources.patch(pods, "default", "web-1", {{"status", {{"phase", "Running"}}}}, {.part = Part::status});
//   resources.remove(pods, "default", "web-1");
//
// There are no controllers and no kubelet. With `finish_deletions` their part in a deletion is played at once: a
// namespace's objects and then the namespace itself go, a scheduled pod's graceful deletion ends. Without it the
// objects stay with their deletionTimestamp, as on a bare kube-apiserver. Owner references and the propagation policy
// of a deletion are kept but not acted upon. A pod's spec may be changed, which kube-apiserver mostly forbids.
//
// Thread safety: one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "fresnel/base/backoff.hpp"
#include "fresnel/sim/object.hpp"
#include "fresnel/sim/resource_type.hpp"
#include "fresnel/sim/selector.hpp"
#include "fresnel/sim/status.hpp"
#include "fresnel/sim/store.hpp"
#include "fresnel/sim/timestamp.hpp"

namespace fresnel::sim {

// Which part of an object a write is for: what belongs to another part is left as it was.
enum class Part { main, status, finalize };

enum class PatchKind { merge, strategic };

struct WriteOptions {
  Part part = Part::main;
  PatchKind patch = PatchKind::merge;
  bool dry_run = false;
  // create() takes the object's status as it is, which a request over HTTP cannot ask for.
  bool keep_status = false;
};

struct DeleteOptions {
  std::optional<std::int64_t> grace_period_seconds = {};
  std::string uid = {};  // preconditions; empty: none
  std::string resource_version = {};
  bool dry_run = false;
};

struct Deleted {
  ObjectPtr object;   // as it was last
  bool gone = false;  // false: it waits for its finalizers, its namespace's contents or its kubelet
};

struct ResourcesOptions {
  bool finish_deletions = true;
  std::function<WallTime()> wall_clock = [] { return std::chrono::system_clock::now(); };
  std::uint64_t seed = std::random_device()();  // of uids and generated names
};

class Resources {
 public:
  // Creates the namespaces default, kube-system, kube-public and kube-node-lease. `store` must be empty.
  Resources(Store& store, ResourcesOptions options);

  [[nodiscard]] Store& store() noexcept { return store_; }
  [[nodiscard]] const ResourceTypes& types() const noexcept { return types_; }
  [[nodiscard]] WallTime now() const { return options_.wall_clock(); }

  [[nodiscard]] outcome<ObjectPtr> create(const ResourceTypePtr& type, std::string_view ns, json::object object,
                                          WriteOptions options = {});
  [[nodiscard]] outcome<ObjectPtr> update(const ResourceTypePtr& type, std::string_view ns, std::string_view name,
                                          json::object object, WriteOptions options = {});
  [[nodiscard]] outcome<ObjectPtr> patch(const ResourceTypePtr& type, std::string_view ns, std::string_view name,
                                         const json::object& patch, WriteOptions options = {});
  [[nodiscard]] outcome<Deleted> remove(const ResourceTypePtr& type, std::string_view ns, std::string_view name,
                                        DeleteOptions options = {});
  // Deletes what matches; returns the objects as they were.
  [[nodiscard]] outcome<std::vector<ObjectPtr>> remove_all(const ResourceTypePtr& type, std::string_view ns,
                                                           const Selector& selector, DeleteOptions options = {});

 private:
  outcome<> check_body(const ResourceType& type, std::string_view ns, json::object& object) const;
  outcome<> check_namespace(const ResourceType& type, std::string_view ns, const json::object& object) const;
  outcome<> check_versions(const ResourceType& type, const Object& existing, const json::object& object) const;
  outcome<> check_preconditions(const ResourceType& type, const Object& existing, const DeleteOptions& options) const;
  void give_identity(const ResourceType& type, std::string_view ns, json::object& metadata);
  ObjectPtr mark_deleted(const ResourceTypePtr& type, const Object& existing, std::int64_t grace_seconds);
  outcome<Deleted> remove_pod(const ResourceTypePtr& type, const Object& pod, const DeleteOptions& options);
  outcome<Deleted> remove_namespace(const ResourceTypePtr& type, const Object& ns);
  outcome<Deleted> remove_definition(const ResourceTypePtr& type, const Object& definition);
  void empty_namespace(std::string_view ns);
  std::string new_uid();
  std::string new_suffix();
  [[nodiscard]] std::string timestamp() const { return to_rfc3339(options_.wall_clock()); }

  Store& store_;
  ResourceTypes types_;
  ResourcesOptions options_;
  Random random_;
};

}  // namespace fresnel::sim

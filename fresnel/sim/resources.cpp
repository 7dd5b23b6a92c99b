#include "fresnel/sim/resources.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "fresnel/sim/custom_resources.hpp"
#include "fresnel/sim/defaults.hpp"
#include "fresnel/sim/patch.hpp"

namespace fresnel::sim {
namespace {

// Set by the server alone; what a client sends for them is dropped.
constexpr std::string_view kSystemMetadata[] = {
    "uid",        "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
    "generation", "selfLink",          "managedFields"};

bool is_definition(const ResourceType& type) { return type.is("apiextensions.k8s.io", "customresourcedefinitions"); }

bool has_finalizers(const json::object& object) { return !array_at(object, {"metadata", "finalizers"}).empty(); }

bool is_being_deleted(const json::object& object) {
  return !string_at(object, {"metadata", "deletionTimestamp"}).empty();
}

bool same_member(const json::object& a, const json::object& b, std::string_view name) {
  const auto* in_a = a.if_contains(name);
  const auto* in_b = b.if_contains(name);
  return (in_a == nullptr) == (in_b == nullptr) && (in_a == nullptr || *in_a == *in_b);
}

void copy_member(const json::object& from, json::object& to, std::string_view name) {
  if (const auto* member = from.if_contains(name)) {
    to[name] = *member;
  } else {
    erase_member(to, name);
  }
}

// True when something other than metadata and, where it is a part of its own, status differs.
bool desired_state_differs(const ResourceType& type, const json::object& a, const json::object& b) {
  const auto differs = [&](const json::object& one, const json::object& other) {
    return std::any_of(one.begin(), one.end(), [&](const json::key_value_pair& member) {
      const std::string_view name = member.key();
      if (name == "metadata" || (name == "status" && type.has_status)) return false;
      return !same_member(one, other, name);
    });
  };
  if (differs(a, b) || differs(b, a)) return true;
  // Deployments hand their annotations down to their replica sets, so these count too.
  return type.is("apps", "deployments") &&
         object_at(a, {"metadata", "annotations"}) != object_at(b, {"metadata", "annotations"});
}

// `next` with everything that this part may not change taken from `old`.
json::object limited_to(Part part, const ResourceType& type, const json::object& old, json::object next) {
  if (part == Part::main) {
    if (type.has_status) copy_member(old, next, "status");
  } else if (part == Part::finalize) {
    auto whole = old;
    copy_member(next, whole, "metadata");
    copy_member(object_at(next, {"spec"}), ensure_object(whole, "spec"), "finalizers");
    if (array_at(whole, {"spec", "finalizers"}).empty()) erase_member(ensure_object(whole, "spec"), "finalizers");
    next = std::move(whole);
  } else {
    auto whole = old;
    copy_member(next, whole, "status");
    // The node agents' types let a status write change labels and annotations too.
    if (type.is("", "pods") || type.is("", "nodes") || type.is("", "namespaces")) {
      copy_member(next, whole, "metadata");
    }
    next = std::move(whole);
  }
  auto& metadata = ensure_object(next, "metadata");
  const auto& old_metadata = object_at(old, {"metadata"});
  for (const auto name : kSystemMetadata) copy_member(old_metadata, metadata, name);
  for (const auto* name : {"name", "namespace", "generateName"}) copy_member(old_metadata, metadata, name);
  if (type.has_generation && desired_state_differs(type, old, next)) {
    metadata["generation"] = int_at(old, {"metadata", "generation"}) + 1;
  }
  return next;
}

bool same_object(json::object a, json::object b) {
  for (auto* object : {&a, &b}) erase_member(ensure_object(*object, "metadata"), "resourceVersion");
  return a == b;
}

}  // namespace

Resources::Resources(Store& store, ResourcesOptions options)
    : store_(store), options_(std::move(options)), random_(options_.seed) {
  const auto namespaces = types_.named("namespaces");
  for (const auto* name : {"kube-system", "kube-public", "kube-node-lease", "default"}) {
    create(namespaces, "", json::object{{"metadata", json::object{{"name", name}}}}).value();
  }
}

std::string Resources::new_uid() {
  const auto high = (random_() & ~0xF000ull) | 0x4000ull;  // version 4 (RFC 4122 section 4.4)
  const auto low = (random_() & ~(0xC000ull << 48)) | (0x8000ull << 48);
  return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", high >> 32, (high >> 16) & 0xFFFF, high & 0xFFFF, low >> 48,
                     low & 0xFFFF'FFFF'FFFF);
}

std::string Resources::new_suffix() {
  constexpr std::string_view kLetters = "bcdfghjklmnpqrstvwxz2456789";
  std::string suffix;
  for (int i = 0; i < 5; ++i) suffix += kLetters[random_() % kLetters.size()];
  return suffix;
}

outcome<> Resources::check_body(const ResourceType& type, std::string_view ns, json::object& object) const {
  const auto kind = string_at(object, {"kind"});
  if (!kind.empty() && kind != type.kind) {
    if (type.custom) {
      Status::Cause cause{"FieldValueInvalid", fmt::format("Invalid value: \"{}\": must be {}", kind, type.kind),
                          "kind"};
      return invalid(type.group, kind, string_at(object, {"metadata", "name"}), {std::move(cause)});
    }
    return bad_request(fmt::format(
        "{} in version \"{}\" cannot be handled as a {}: converting (v1.{}) to (core.{}): unknown conversion", kind,
        type.version, type.kind, kind, type.kind));
  }
  const auto version = string_at(object, {"apiVersion"});
  if (!version.empty() && version != type.group_version()) {
    return bad_request(fmt::format("the API version in the data ({}) does not match the expected API version ({})",
                                   version, type.group_version()));
  }
  auto& metadata = ensure_object(object, "metadata");
  const auto in_object = string_at(metadata, {"namespace"});
  if (!in_object.empty() && in_object != ns) {
    return bad_request("the namespace of the provided object does not match the namespace sent on the request");
  }
  if (type.namespaced) metadata["namespace"] = ns;
  return {};
}

// The admission plug-in NamespaceLifecycle.
outcome<> Resources::check_namespace(const ResourceType& type, std::string_view ns, const json::object& object) const {
  if (!type.namespaced) return {};
  const auto namespaces = types_.named("namespaces");
  const auto found = store_.get(*namespaces, "", ns);
  if (!found) return not_found(*namespaces, ns);
  if (is_being_deleted(found->parse())) {
    auto status =
        refused(type, string_at(object, {"metadata", "name"}),
                fmt::format("unable to create new content in namespace {} because it is being terminated", ns));
    status.causes.push_back(
        {"NamespaceTerminating", fmt::format("namespace {} is being terminated", ns), "metadata.namespace"});
    return status;
  }
  return {};
}

void Resources::give_identity(const ResourceType& type, std::string_view ns, json::object& metadata) {
  for (const auto name : kSystemMetadata) erase_member(metadata, name);
  const std::string prefix(string_at(metadata, {"generateName"}));
  if (string_at(metadata, {"name"}).empty() && !prefix.empty()) {
    std::string name;
    do {
      name = prefix + new_suffix();
    } while (store_.get(type, type.namespaced ? ns : "", name));
    metadata["name"] = name;
  }
  metadata["uid"] = new_uid();
  metadata["creationTimestamp"] = timestamp();
  if (type.has_generation) metadata["generation"] = 1;
}

outcome<ObjectPtr> Resources::create(const ResourceTypePtr& type, std::string_view ns, json::object object,
                                     WriteOptions options) {
  if (!type->namespaced) ns = "";
  if (const auto checked = check_body(*type, ns, object); !checked) return checked.error();
  auto& metadata = ensure_object(object, "metadata");
  if (!string_at(metadata, {"resourceVersion"}).empty()) {
    return internal_error("resourceVersion should not be set on objects to be created");
  }
  if (const auto checked = check_namespace(*type, ns, object); !checked) return checked.error();
  give_identity(*type, ns, metadata);
  set_defaults(*type, object);
  if (type->has_status && !(options.keep_status && object.contains("status"))) {
    auto status = initial_status(*type, object);
    if (status.is_null()) {
      erase_member(object, "status");
    } else {
      object["status"] = std::move(status);
    }
  }
  if (const auto valid = validate(*type, object); !valid) return valid.error();
  const std::string name(string_at(object, {"metadata", "name"}));
  if (store_.get(*type, ns, name)) return already_exists(*type, name);
  if (options.dry_run) return Object::make(type, std::move(object), 0);
  if (!is_definition(*type)) return store_.put(type, std::move(object));

  object["status"] = json::object{{"conditions", nullptr},
                                  {"acceptedNames", json::object{{"plural", ""}, {"kind", ""}}},
                                  {"storedVersions", established_status(object, "").at("storedVersions")}};
  auto created = store_.put(type, object);
  types_.add(type_of(object));
  object["status"] = established_status(object, timestamp());
  store_.put(type, std::move(object));
  return created;
}

outcome<> Resources::check_versions(const ResourceType& type, const Object& existing,
                                    const json::object& object) const {
  const auto uid = string_at(object, {"metadata", "uid"});
  if (!uid.empty() && uid != existing.uid()) {
    return conflict(
        type, existing.name(),
        fmt::format("Precondition failed: UID in precondition: {}, UID in object meta: {}", uid, existing.uid()));
  }
  const auto version = string_at(object, {"metadata", "resourceVersion"});
  if (version.empty()) {
    if (!type.custom) return {};
    return invalid(
        type.group, type.plural, existing.name(),
        {{"FieldValueInvalid", "Invalid value: 0x0: must be specified for an update", "metadata.resourceVersion"}});
  }
  Revision revision = 0;
  const auto [end, failed] = std::from_chars(version.data(), version.data() + version.size(), revision);
  if (failed != std::errc() || end != version.data() + version.size()) {
    return internal_error(fmt::format("strconv.ParseUint: parsing \"{}\": invalid syntax", version));
  }
  if (revision != existing.revision()) return modified_meanwhile(type, existing.name());
  return {};
}

outcome<ObjectPtr> Resources::update(const ResourceTypePtr& type, std::string_view ns, std::string_view name,
                                     json::object object, WriteOptions options) {
  if (!type->namespaced) ns = "";
  if (const auto checked = check_body(*type, ns, object); !checked) return checked.error();
  const auto in_object = string_at(object, {"metadata", "name"});
  if (in_object.empty()) {
    return bad_request("the name of the object ( based on URL) was undeterminable: name must be provided");
  }
  if (in_object != name) {
    return bad_request(
        fmt::format("the name of the object ({}) does not match the name on the URL ({})", in_object, name));
  }
  const auto existing = store_.get(*type, ns, name);
  if (!existing) return not_found(*type, name);
  if (const auto checked = check_versions(*type, *existing, object); !checked) return checked.error();
  const auto old = existing->parse();
  auto next = limited_to(options.part, *type, old, std::move(object));
  if (const auto valid = validate(*type, next); !valid) return valid.error();

  if (is_being_deleted(next) && !has_finalizers(next)) {
    // What the deletion waited for has been taken away: the last write shows in the deletion's event only.
    const bool waited =
        has_finalizers(old) || (options.part == Part::finalize && array_at(next, {"spec", "finalizers"}).empty());
    if (waited) {
      auto last = Object::make(type, std::move(next), existing->revision());
      if (!options.dry_run) store_.erase(*type, ns, name);
      return last;
    }
  }
  if (same_object(old, next)) return existing;
  if (options.dry_run) return Object::make(type, std::move(next), existing->revision());
  if (is_definition(*type)) types_.add(type_of(next));
  return store_.put(type, std::move(next));
}

outcome<ObjectPtr> Resources::patch(const ResourceTypePtr& type, std::string_view ns, std::string_view name,
                                    const json::object& patch, WriteOptions options) {
  const auto existing = store_.get(*type, type->namespaced ? ns : "", name);
  if (!existing) return not_found(*type, name);
  auto object = existing->parse();
  if (options.patch == PatchKind::strategic) {
    apply_strategic_merge_patch(object, patch);
  } else {
    apply_merge_patch(object, patch);
  }
  return update(type, ns, name, std::move(object), options);
}

}  // namespace fresnel::sim

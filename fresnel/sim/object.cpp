#include "fresnel/sim/object.hpp"

#include <boost/json/parse.hpp>

namespace fresnel::sim {
namespace {

constexpr std::string_view kMetadataOrder[] = {
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
};

json::object in_order(const json::object& metadata, Revision revision) {
  json::object ordered;
  for (const auto name : kMetadataOrder) {
    if (name == "resourceVersion") {
      if (revision != 0) ordered[name] = std::to_string(revision);
    } else if (const auto* member = metadata.if_contains(name)) {
      ordered[name] = *member;
    }
  }
  for (const auto& [name, member] : metadata) {
    if (name != "resourceVersion" && !ordered.contains(name)) ordered[name] = member;
  }
  return ordered;
}

// A dotted path of a field label; the value as text.
std::string field_value(const json::object& value, std::string_view path) {
  const json::object* object = &value;
  for (;;) {
    const auto dot = path.find('.');
    const auto* member = object->if_contains(path.substr(0, dot));
    if (member == nullptr) return {};
    if (dot == std::string_view::npos) {
      if (member->is_string()) return std::string(view(member->get_string()));
      return member->is_bool() ? (member->get_bool() ? "true" : "false") : "";
    }
    object = member->if_object();
    if (object == nullptr) return {};
    path.remove_prefix(dot + 1);
  }
}

}  // namespace

ObjectPtr Object::make(ResourceTypePtr type, json::object value, Revision revision) {
  auto object = std::shared_ptr<Object>(new Object);
  object->type_ = std::move(type);
  object->revision_ = revision;
  object->encode(value);
  object->index(value);
  return object;
}

void Object::encode(const json::object& value) {
  std::string text = R"({"kind":)" + json::serialize(json::string(type_->kind)) + R"(,"apiVersion":)" +
                     json::serialize(json::string(type_->group_version())) + ",";
  rest_begin_ = text.size();
  text += R"("metadata":)";
  metadata_begin_ = text.size();
  const auto metadata = json::serialize(in_order(object_at(value, {"metadata"}), revision_));
  // Everything before resourceVersion is a plain string, so the first match is the member itself: a quotation mark
  // inside a string would be escaped.
  constexpr std::string_view kVersion = R"("resourceVersion":")";
  version_begin_ = metadata_begin_ + metadata.find(kVersion) + kVersion.size();
  version_size_ = std::to_string(revision_).size();
  text += metadata;
  metadata_end_ = text.size();
  for (const auto& [name, member] : value) {
    if (name == "kind" || name == "apiVersion" || name == "metadata") continue;
    text += "," + json::serialize(json::string(name)) + ":" + json::serialize(member);
  }
  text += "}";
  text_ = SharedBytes(std::move(text));
}

void Object::index(const json::object& value) {
  ns_ = string_at(value, {"metadata", "namespace"});
  name_ = string_at(value, {"metadata", "name"});
  uid_ = string_at(value, {"metadata", "uid"});
  for (const auto& [key, label] : object_at(value, {"metadata", "labels"})) {
    if (label.is_string()) labels_.emplace_back(key, view(label.get_string()));
  }
  for (const auto& path : type_->field_labels) {
    // An event's "source" is the component's name.
    auto text = field_value(value, path == "source" ? "source.component" : path);
    if (path == "spec.unschedulable" && text.empty()) text = "false";
    if (!text.empty()) fields_.emplace_back(path, std::move(text));
  }
}

ObjectPtr Object::at(Revision revision) const {
  auto copy = std::shared_ptr<Object>(new Object(*this));
  const auto digits = std::to_string(revision);
  std::string text(text_.view());
  text.replace(version_begin_, version_size_, digits);
  copy->metadata_end_ += digits.size() - version_size_;
  copy->version_size_ = digits.size();
  copy->revision_ = revision;
  copy->text_ = SharedBytes(std::move(text));
  return copy;
}

json::object Object::parse() const { return json::parse(text_.view()).as_object(); }

const std::string* Object::label(std::string_view key) const noexcept {
  for (const auto& [name, value] : labels_) {
    if (name == key) return &value;
  }
  return nullptr;
}

std::string_view Object::field(std::string_view path) const noexcept {
  if (path == "metadata.name") return name_;
  if (path == "metadata.namespace") return ns_;
  for (const auto& [name, value] : fields_) {
    if (name == path) return value;
  }
  return {};
}

}  // namespace fresnel::sim

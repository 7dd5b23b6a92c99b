#include "fresnel/kube/kubeconfig_sections.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

namespace fresnel::kube {
namespace {

// Adds the entries of one list ("clusters": [{"name": ..., "cluster": {...}}]) whose names are new.
result<void> merge_list(const YAML::Node& root, const std::string& file, const char* list, const char* kind,
                        std::vector<Section>& into) {
  const YAML::Node entries = root[list];
  if (!entries || entries.IsNull()) return {};
  const auto wrong = [&](std::string_view problem) {
    return Error{Errc::invalid_argument, fmt::format("kubeconfig {}: {}: {}", file, list, problem)};
  };
  if (!entries.IsSequence()) return wrong("expected a list");
  for (const YAML::Node& entry : entries) {
    if (!entry.IsMap()) return wrong("expected entries of a name and a " + std::string(kind));
    const YAML::Node name = entry["name"];
    if (!name || !name.IsScalar() || name.Scalar().empty()) {
      return wrong("an entry has no name; expected a name and a " + std::string(kind));
    }
    const YAML::Node body = entry[kind];
    if (body && !body.IsNull() && !body.IsMap()) {
      return wrong(fmt::format("\"{}\": expected {} to be a map", name.Scalar(), kind));
    }
    if (find_section(into, name.Scalar()) != nullptr) continue;
    into.push_back({name.Scalar(), kind, file, body ? body : YAML::Node()});
  }
  return {};
}

result<void> merge_root(const YAML::Node& root, const std::string& file, Sections& into) {
  if (!root || root.IsNull()) return {};
  if (!root.IsMap()) {
    return Error{Errc::invalid_argument,
                 fmt::format("kubeconfig {}: expected a map with clusters, users and contexts", file)};
  }
  const YAML::Node current = root["current-context"];
  if (current && !current.IsNull() && !current.IsScalar()) {
    return Error{Errc::invalid_argument,
                 fmt::format("kubeconfig {}: current-context: expected the name of a context", file)};
  }
  if (into.current_context.empty() && current && current.IsScalar()) into.current_context = current.Scalar();
  if (auto done = merge_list(root, file, "clusters", "cluster", into.clusters); !done) return done;
  if (auto done = merge_list(root, file, "users", "user", into.users); !done) return done;
  return merge_list(root, file, "contexts", "context", into.contexts);
}

}  // namespace

std::string Section::place() const {
  if (context.empty() || kind == "context") return fmt::format("kubeconfig {}: {} \"{}\"", file, kind, name);
  return fmt::format("kubeconfig {}: context \"{}\": {} \"{}\"", file, context, kind, name);
}

Error Section::bad_field(std::string_view field, std::string_view problem) const {
  return {Errc::invalid_argument, fmt::format("{}: {}: {}", place(), field, problem)};
}

bool Section::has(const char* field) const {
  const YAML::Node& node = body;  // only a const node's operator[] does not add the key
  return node.IsMap() && node[field] && !node[field].IsNull();
}

result<std::string> Section::text(const char* field) const {
  if (!has(field)) return std::string();
  const YAML::Node& node = body;
  const YAML::Node value = node[field];
  if (!value.IsScalar()) return bad_field(field, "expected a string");
  return value.Scalar();
}

result<bool> Section::boolean(const char* field) const {
  const auto value = text(field);
  if (!value) return value.error();
  if (value->empty() || *value == "false") return false;
  if (*value == "true") return true;
  return bad_field(field, "expected true or false");
}

result<std::vector<std::string>> Section::texts(const char* field) const {
  std::vector<std::string> values;
  if (!has(field)) return values;
  const YAML::Node& node = body;
  const YAML::Node list = node[field];
  if (!list.IsSequence()) return bad_field(field, "expected a list of strings");
  for (const YAML::Node& value : list) {
    if (!value.IsScalar()) return bad_field(field, "expected a list of strings");
    values.push_back(value.Scalar());
  }
  return values;
}

std::string Section::resolve_path(const std::string& path) const {
  namespace fs = std::filesystem;
  if (fs::path(path).is_absolute()) return path;
  // Absolute, so that a program in the kubeconfig's folder is never looked for in PATH.
  std::error_code unknown;
  return (fs::absolute(file, unknown).parent_path() / path).lexically_normal().string();
}

result<void> Sections::merge(const std::string& file, const std::string& text) {
  YAML::Node root;
  try {
    root = YAML::Load(text);
    files.push_back(file);
    const YAML::Node& document = root;
    return merge_root(document, file, *this);
  } catch (const YAML::Exception& e) {  // yaml-cpp has no interface without exceptions
    return Error{Errc::invalid_argument,
                 fmt::format("kubeconfig {}: line {}: {}", file, e.mark.is_null() ? 1 : e.mark.line + 1, e.msg)};
  }
}

const Section* find_section(const std::vector<Section>& sections, std::string_view name) {
  const auto it = std::find_if(sections.begin(), sections.end(), [&](const Section& s) { return s.name == name; });
  return it == sections.end() ? nullptr : &*it;
}

}  // namespace fresnel::kube

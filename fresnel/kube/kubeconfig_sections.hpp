// The parts of kubeconfig files before they are put together: named clusters, users and contexts as YAML, and their
// fields. Internal to kube.
//
// Thread safety: plain values.
#pragma once

#include <yaml-cpp/yaml.h>

#include <string>
#include <string_view>
#include <vector>

#include "fresnel/base/error.hpp"

namespace fresnel::kube {

// A named cluster, user or context and the file it came from.
struct Section {
  std::string name;
  std::string kind;  // "cluster", "user" or "context"
  std::string file;
  YAML::Node body;
  std::string context = {};  // the context that it is read for, which messages name

  // For messages: the file, the context, the section.
  [[nodiscard]] std::string place() const;
  [[nodiscard]] Error bad_field(std::string_view field, std::string_view problem) const;

  [[nodiscard]] bool has(const char* field) const;
  // A missing or null field is the empty string, false, or an empty list.
  [[nodiscard]] result<std::string> text(const char* field) const;
  [[nodiscard]] result<bool> boolean(const char* field) const;
  [[nodiscard]] result<std::vector<std::string>> texts(const char* field) const;
  // Absolute, or relative to the folder of the section's file.
  [[nodiscard]] std::string resolve_path(const std::string& path) const;
};

struct Sections {
  std::vector<Section> clusters;
  std::vector<Section> users;
  std::vector<Section> contexts;
  std::string current_context;
  std::vector<std::string> files;  // those that were read

  // Adds what one file says: entries whose names are new. Errors name the file and the line or the list.
  [[nodiscard]] result<void> merge(const std::string& file, const std::string& text);
};

[[nodiscard]] const Section* find_section(const std::vector<Section>& sections, std::string_view name);

}  // namespace fresnel::kube

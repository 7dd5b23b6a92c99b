// What `fresnel get` and `fresnel watch` are asked for: RESOURCE [NAME] and the flags that both take.
//
// Thread safety: plain values.
#pragma once

#include <string>
#include <vector>

#include "fresnel/base/error.hpp"

namespace CLI {
class App;
}

namespace fresnel::cli {

enum class OutputFormat { table, wide, name, json, yaml };

struct ResourceArgs {
  std::string resource;  // as typed: "po", "deploy.apps"
  std::string name;      // empty: all objects
  std::string namespace_;
  bool all_namespaces = false;
  std::vector<std::string> contexts;  // empty: the default one
  std::string label_selector;
  std::string field_selector;
  OutputFormat output = OutputFormat::table;
  bool show_managed_fields = false;
  std::string gateway;     // URL of a Fresnel gateway, without a trailing slash; empty: straight to the API servers
  std::string kubeconfig;  // empty: KUBECONFIG, else ~/.kube/config

  [[nodiscard]] bool one_object() const noexcept { return !name.empty(); }

  // Query parameters of the selectors, percent-encoded. `by_name`: a list that should hold only the named object.
  [[nodiscard]] std::string selector_query(bool by_name) const;
  // The namespace to ask for: empty for all of them.
  [[nodiscard]] std::string namespace_or(const std::string& default_namespace) const;
};

// Adds RESOURCE, NAME and the flags that get and watch share. `args` must outlive the command.
void add_resource_options(CLI::App& command, ResourceArgs& args);

// Checks what was parsed, and splits RESOURCE/NAME. Error invalid_argument: wrong usage.
[[nodiscard]] result<void> complete(ResourceArgs& args);

}  // namespace fresnel::cli

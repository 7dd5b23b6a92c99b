#include "fresnel/kube/kubeconfig.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <utility>

#include "fresnel/base/file.hpp"
#include "fresnel/kube/kubeconfig_context.hpp"
#include "fresnel/kube/kubeconfig_sections.hpp"

namespace fresnel::kube {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxKubeconfig = 16u << 20;  // bytes

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

// `only`: that context, empty: all.
Kubeconfig resolve_all(const Sections& sections, const ContextRules& rules, std::string_view only = {}) {
  Kubeconfig config;
  config.current_context = sections.current_context;
  config.files = sections.files;
  for (const Section& section : sections.contexts) {
    if (!only.empty() && section.name != only) continue;
    KubeconfigEntry entry{section.name, {}, {}, resolve_context(sections, section, rules)};
    if (auto cluster = section.text("cluster")) entry.cluster = *std::move(cluster);
    if (const Section* cluster = find_section(sections.clusters, entry.cluster)) {
      if (auto server = cluster->text("server")) entry.server = *std::move(server);
    }
    config.contexts.push_back(std::move(entry));
  }
  return config;
}

}  // namespace

KubeconfigOptions KubeconfigOptions::from_environment(std::string explicit_path) {
  KubeconfigOptions options;
  options.explicit_path = std::move(explicit_path);
  options.env_list = environment("KUBECONFIG");
  options.home = environment("HOME");
  return options;
}

std::vector<std::string> kubeconfig_candidates(const KubeconfigOptions& options) {
  if (!options.explicit_path.empty()) return {options.explicit_path};
  std::vector<std::string> files;
  if (options.env_list.empty()) {
    if (!options.home.empty()) files.push_back((fs::path(options.home) / ".kube" / "config").string());
    return files;
  }
  std::size_t begin = 0;
  while (begin <= options.env_list.size()) {
    const auto end = std::min(options.env_list.find(':', begin), options.env_list.size());
    const std::string file = options.env_list.substr(begin, end - begin);
    if (!file.empty() && std::find(files.begin(), files.end(), file) == files.end()) files.push_back(file);
    begin = end + 1;
  }
  return files;
}

result<Kubeconfig> load_kubeconfig(const KubeconfigOptions& options) {
  Sections sections;
  const auto candidates = kubeconfig_candidates(options);
  for (const auto& file : candidates) {
    const auto text = read_file(file, kMaxKubeconfig);
    if (!text) {
      if (text.error().code == Errc::not_found && options.explicit_path.empty()) continue;
      return Error{text.error().code, "kubeconfig: " + text.error().message};
    }
    if (auto done = sections.merge(file, *text); !done) return done.error();
  }
  std::set<std::string> read_files(candidates.begin(), candidates.end());
  ContextRules rules;
  rules.sources = options.sources.get();
  rules.read_files = &read_files;
  auto config = resolve_all(sections, rules);
  config.depends_on.assign(read_files.begin(), read_files.end());
  return config;
}

result<Kubeconfig> parse_untrusted_kubeconfig(const std::string& text, const std::string& name,
                                              std::string_view context) {
  Sections sections;
  if (auto done = sections.merge(name, text); !done) return done.error();
  ContextRules rules;
  rules.inline_only = true;
  auto config = resolve_all(sections, rules, context);
  for (auto& entry : config.contexts) {
    if (entry.context) entry.context->brought_by_client = true;
  }
  return config;
}

result<ClusterContext> Kubeconfig::find(std::string_view name) const {
  if (contexts.empty()) {
    return Error{Errc::not_found,
                 "no kubeconfig with a context was found: give --kubeconfig, set KUBECONFIG or create ~/.kube/config"};
  }
  const std::string_view wanted = name.empty() ? std::string_view(current_context) : name;
  std::string known;
  for (const auto& entry : contexts) {
    if (entry.name == wanted) return entry.context;
    known += (known.empty() ? "" : ", ") + entry.name;
  }
  if (wanted.empty()) return Error{Errc::not_found, "no current-context is set; the kubeconfig has: " + known};
  return Error{Errc::not_found, fmt::format("context \"{}\" does not exist; the kubeconfig has: {}", wanted, known)};
}

}  // namespace fresnel::kube

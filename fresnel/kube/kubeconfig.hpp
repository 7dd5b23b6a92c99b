// Reads kubeconfig files as kubectl does.
// Source: https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/ and the v1 Config API.
//
// - --kubeconfig names the only file, which must exist; otherwise the files of KUBECONFIG are merged and missing ones
//   are skipped; otherwise ~/.kube/config, which may be missing.
// - The first file that names a cluster, user or context wins; current-context comes from the first file that sets it.
// - Relative paths are relative to the file that holds them.
// - No certificate authority means the system's roots. Skipping verification must be asked for, and excludes a CA.
//
// - A tokenFile is read again when it changes (ClusterContext::source).
//
// A file that cannot be parsed is an error of load_kubeconfig(). A context that makes no sense is an error of that
// context only. Messages name the file, the context and the field, and never a secret.
//
// Thread safety: plain values.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "fresnel/base/error.hpp"
#include "fresnel/kube/cluster_context.hpp"
#include "fresnel/kube/credential_sources.hpp"

namespace fresnel::kube {

struct KubeconfigOptions {
  std::string explicit_path;  // --kubeconfig, empty: not given
  std::string env_list;       // $KUBECONFIG: paths with ':' between them
  std::string home;           // $HOME
  // Shared by everything that is loaded with it; null: each loading has sources of its own.
  std::shared_ptr<CredentialSources> sources = nullptr;

  [[nodiscard]] static KubeconfigOptions from_environment(std::string explicit_path = {});
};

struct KubeconfigEntry {
  std::string name;                // the context's
  std::string cluster;             // as written; the cluster may not exist
  std::string server;              // as written, empty when unknown
  result<ClusterContext> context;  // or what is wrong with it
};

struct Kubeconfig {
  std::vector<KubeconfigEntry> contexts;  // in the order of the files
  std::string current_context;            // empty: none is set
  std::vector<std::string> files;         // those that were read
  // Every file that would make another Kubeconfig if it changed: those that were looked for, certificates, and token
  // files that cannot be read yet (the others' sources read them again by themselves).
  std::vector<std::string> depends_on;

  // The context of that name; the current one when `name` is empty. Errors: not_found, or the context's own.
  [[nodiscard]] result<ClusterContext> find(std::string_view name = {}) const;
};

// The files that load_kubeconfig() looks for, in its order.
[[nodiscard]] std::vector<std::string> kubeconfig_candidates(const KubeconfigOptions& options);
[[nodiscard]] result<Kubeconfig> load_kubeconfig(const KubeconfigOptions& options);

// The contexts in a text that is not trusted, from a client for one: what names a file, a program or a proxy is an
// error of its context. `name` stands for the file in messages; `context` is the only one that is wanted, empty: all.
[[nodiscard]] result<Kubeconfig> parse_untrusted_kubeconfig(const std::string& text, const std::string& name,
                                                            std::string_view context = {});

}  // namespace fresnel::kube

// What `fresnel get` prints of the clusters' answers.
//
// Thread safety: pure functions.
#pragma once

#include <string>
#include <vector>

#include "fresnel/base/error.hpp"
#include "fresnel/cli/age.hpp"
#include "fresnel/cli/resource_args.hpp"
#include "fresnel/kube/discovery.hpp"

namespace fresnel::cli {

// One cluster's answer: a Table, a List or an object.
struct ClusterAnswer {
  std::string cluster;
  kube::ApiResource resource;
  std::string namespace_;  // that was asked for; empty: all, or cluster-scoped
  result<std::string> body = Error{Errc::cancelled, "cancelled"};
};

struct Printed {
  std::string out;
  std::string err;
  int exit_code = 0;
};

// Errors go to `err` in kubectl's words, after "<cluster>: " when there are several clusters, and make the exit code 1;
// the other clusters' objects are printed all the same. Of several clusters,
// - tables have a CLUSTER column, and names come after "<cluster> ";
// - JSON and YAML are a List of {"cluster": ..., "object": ...}.
// JSON and YAML leave out metadata.managedFields unless it is asked for, as kubectl does since 1.21.
[[nodiscard]] Printed print_answers(const ResourceArgs& args, const std::vector<ClusterAnswer>& answers, WallTime now);

}  // namespace fresnel::cli

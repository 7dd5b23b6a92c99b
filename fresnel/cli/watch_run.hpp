// One run of `fresnel watch`: resolves RESOURCE on every cluster, follows it, and hands what happens to a live table or
// to a pipe.
//
// A cluster that cannot be followed (unknown resource, 401, 403, 404) is given up; its error is said. In a pipe a
// cluster that cannot be reached at the start is given up too, as kubectl would; a live table keeps trying. The run
// ends when the user quits, when the reader of the pipe has gone, or when every cluster was given up. Once a cluster's
// objects were told, nothing that happens to its server, to the network or to the user's rights ends it.
//
// Thread safety: one thread.
#pragma once

#include <vector>

#include "fresnel/base/backoff.hpp"
#include "fresnel/base/clock.hpp"
#include "fresnel/cli/output.hpp"
#include "fresnel/cli/resource_args.hpp"
#include "fresnel/kube/cluster_context.hpp"
#include "fresnel/net/http.hpp"

namespace boost::asio {
class io_context;
}

namespace fresnel::cli {

// Runs `io` and returns the exit code. The clock and the random source must outlive `io`.
[[nodiscard]] int run_watch(asio::io_context& io, Clock& clock, Random& random, net::HttpTransport& transport,
                            const ResourceArgs& args, const std::vector<kube::ClusterContext>& clusters,
                            Output output = Output(STDOUT_FILENO), Output errors = Output(STDERR_FILENO));

// This cluster cannot be followed, however long one waits.
[[nodiscard]] bool is_final(const Error& error) noexcept;

}  // namespace fresnel::cli

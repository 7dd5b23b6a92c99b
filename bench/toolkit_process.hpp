// What the toolkit's server and its clients have in common as processes: the descriptors that their connections need,
// and commands, one a line of standard input, each answered by one line of JSON.
//
// Thread safety: one thread.
#pragma once

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <utility>

namespace fresnel::bench {

// Those that a server is still closing while their clients have come back already.
inline constexpr std::size_t kClosing = 256;

// Raises the soft limit to the hard one. Throws, with the limit that is needed, when that is too low: fewer connections
// than asked for would be another measurement.
inline void allow_connections(std::size_t connections) {
  constexpr std::size_t kOthers = 64;
  const auto wanted = connections + kClosing + kOthers;
  rlimit limit{};
  (void)getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_max < wanted) {
    throw std::runtime_error(
        fmt::format("{} connections need a hard limit of {} file descriptors, it is {}; raise it (ulimit -Hn)",
                    connections, wanted, limit.rlim_max));
  }
  limit.rlim_cur = std::max<rlim_t>(limit.rlim_cur, limit.rlim_max);
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

// Takes one line off the front of what has been received; false when there is none yet.
inline bool take_line(std::string& received, std::string& line) {
  const auto end = received.find('\n');
  if (end == std::string::npos) return false;
  line = received.substr(0, end);
  received.erase(0, end + 1);
  return true;
}

inline void say(const std::string& json) {
  std::printf("%s\n", json.c_str());
  std::fflush(stdout);
}

}  // namespace fresnel::bench

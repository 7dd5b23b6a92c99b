// The subcommands of `fresnel`: each function adds one. Parsing its flags chooses its action; main runs it.
//
// Exit codes: 0 success, 1 an error (said on standard error), 2 wrong usage.
//
// Thread safety: start-up only.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace fresnel::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitError = 1;
inline constexpr int kExitUsage = 2;

// Returns the exit code. May throw: main prints what went wrong and exits with kExitError.
using Action = std::function<int()>;

void add_get_command(CLI::App& app, Action& chosen);
void add_watch_command(CLI::App& app, Action& chosen);
void add_demo_command(CLI::App& app, Action& chosen);
void add_bench_command(CLI::App& app, Action& chosen);

}  // namespace fresnel::cli

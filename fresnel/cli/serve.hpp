// `fresnel serve`: the gateway as a program. SIGINT and SIGTERM drain it; a second one ends it at once.
//
// Thread safety: start-up only.
#pragma once

#include "fresnel/cli/commands.hpp"

namespace fresnel::cli {

void add_serve_command(CLI::App& app, Action& chosen);

}  // namespace fresnel::cli

// The program's log: spdlog, one line an entry, on standard error. Callers never pass a secret.
//
//   log::warn("cluster {}: list of {} failed: {}", cluster, path, error.message);
//
// Thread safety: may be called from any thread.
#pragma once

#include <spdlog/spdlog.h>

#include <string>
#include <string_view>

#include "fresnel/base/error.hpp"

namespace fresnel::log {

using spdlog::debug;
using spdlog::error;
using spdlog::info;
using spdlog::trace;
using spdlog::warn;

// level: trace, debug, info, warn, error or off. Lines go to standard error, in colour only on a terminal.
[[nodiscard]] result<void> configure(std::string_view level);

}  // namespace fresnel::log

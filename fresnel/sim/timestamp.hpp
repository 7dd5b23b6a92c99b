// Times as the API writes them (RFC 3339, whole seconds, UTC) and ages as kubectl shows them.
//
// Thread safety: pure functions.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace fresnel::sim {

using WallTime = std::chrono::system_clock::time_point;

[[nodiscard]] std::string to_rfc3339(WallTime time);
// Fractions of a second are read and dropped, an offset from UTC is applied; nullopt for anything else.
[[nodiscard]] std::optional<WallTime> from_rfc3339(std::string_view text);

// "5s", "2m30s", "3h5m", "12d": duration.HumanDuration of k8s.io/apimachinery.
[[nodiscard]] std::string human_duration(std::chrono::seconds duration);
// The time since `timestamp`, "<unknown>" when that is no timestamp.
[[nodiscard]] std::string age_of(std::string_view timestamp, WallTime now);

}  // namespace fresnel::sim

// Ages as kubectl prints them: 42s, 3m10s, 5h2m, 8d, 2y30d (k8s.io/apimachinery/pkg/util/duration, HumanDuration).
//
// Thread safety: pure functions.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace fresnel::cli {

using WallTime = std::chrono::sys_seconds;

[[nodiscard]] std::string human_duration(std::chrono::seconds age);

// RFC 3339 in UTC, as metadata.creationTimestamp is: 2026-01-31T08:15:00Z, with or without a fraction. Nothing for the
// rest.
[[nodiscard]] std::optional<WallTime> parse_timestamp(std::string_view text) noexcept;

[[nodiscard]] WallTime wall_now() noexcept;

}  // namespace fresnel::cli

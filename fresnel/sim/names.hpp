// What Kubernetes lets things be called, and the sentences it refuses the rest with
// (k8s.io/apimachinery/pkg/util/validation).
//
// Thread safety: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace fresnel::sim {

// Each returns what is wrong, nullopt when nothing is.
[[nodiscard]] std::optional<std::string> check_dns_subdomain(std::string_view name);
[[nodiscard]] std::optional<std::string> check_dns_label(std::string_view name);
[[nodiscard]] std::optional<std::string> check_label_key(std::string_view key);
[[nodiscard]] std::optional<std::string> check_label_value(std::string_view value);

}  // namespace fresnel::sim

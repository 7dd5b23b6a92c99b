// What the load generator wants to know of a message's first bytes, without parsing JSON.
//
// On the multiplexer `"type":"DATA"` stands near the start or, from Headlamp's server, at the end: within a string
// every quotation mark is escaped, so the first unescaped `"type":"` is the message's own.
//
// Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace fresnel::load {

// The annotation with which whoever changes objects says when: nanoseconds since 1970, in decimal digits.
inline constexpr std::string_view kWrittenAt = "bench.fresnel.dev/written-at";

enum class MessageKind { data, complete, status, error };

// data for everything that does not say another type.
[[nodiscard]] MessageKind kind_of(std::string_view head) noexcept;

// The time of the annotation kWrittenAt, when the head has it.
[[nodiscard]] std::optional<std::uint64_t> written_at(std::string_view head) noexcept;

// A REQUEST of the multiplexer, as JSON.
[[nodiscard]] std::string request_message(std::string_view cluster, std::string_view path);

}  // namespace fresnel::load

#include "fresnel/gateway/option_values.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <span>
#include <utility>

#include "fresnel/base/file.hpp"

namespace fresnel::gateway {
namespace {

constexpr std::size_t kMaxFile = 1u << 20;

// A number with one of `units` behind it; the unit "" may be left out.
std::optional<std::uint64_t> parse_quantity(std::string_view text,
                                            std::span<const std::pair<std::string_view, std::uint64_t>> units) {
  const auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto number = parse_number(text.substr(0, digits));
  if (!number) return std::nullopt;
  for (const auto& [unit, factor] : units) {
    if (text.substr(digits) != unit) continue;
    if (*number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) / factor) return std::nullopt;
    return *number * factor;
  }
  return std::nullopt;
}

}  // namespace

result<std::string> read_option_file(const std::string& path) {
  auto text = read_file(path, kMaxFile);
  if (!text) return Error{text.error().code, path + ": cannot be read; expected a file of at most 1 MiB"};
  return text;
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || ec != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Expectation apply_size(std::string_view text, std::size_t& out) {
  static constexpr std::pair<std::string_view, std::uint64_t> kUnits[] = {
      {"", 1}, {"B", 1}, {"KiB", 1u << 10}, {"MiB", 1u << 20}, {"GiB", 1u << 30}};
  const auto bytes = parse_quantity(text, kUnits);
  if (!bytes || *bytes == 0) return "a size above 0 such as 65536, 64KiB or 1MiB";
  out = static_cast<std::size_t>(*bytes);
  return std::nullopt;
}

Expectation apply_duration(std::string_view text, Duration& out) {
  static constexpr std::pair<std::string_view, std::uint64_t> kUnits[] = {
      {"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}};
  static constexpr std::uint64_t kDay = std::uint64_t{24} * 3'600'000;
  const auto duration = parse_quantity(text, kUnits);
  if (!duration || *duration > kDay) return "a duration of at most 24h such as 500ms, 5s or 2m";
  out = milliseconds(*duration);
  return std::nullopt;
}

Expectation apply_bool(std::string_view text, bool& out) {
  if (text != "true" && text != "false") return "true or false";
  out = text == "true";
  return std::nullopt;
}

}  // namespace fresnel::gateway

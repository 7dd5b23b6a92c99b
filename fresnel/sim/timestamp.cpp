#include "fresnel/sim/timestamp.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <charconv>

namespace fresnel::sim {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

std::optional<int> number_at(std::string_view text, std::size_t begin, std::size_t size) {
  if (begin + size > text.size()) return std::nullopt;
  int number = 0;
  const auto* end = text.data() + begin + size;
  const auto [stop, failed] = std::from_chars(text.data() + begin, end, number);
  if (failed != std::errc() || stop != end || text[begin] == '-') return std::nullopt;
  return number;
}

// "Z", "+02:00", "-05:30"
std::optional<seconds> offset_of(std::string_view text) {
  if (text == "Z" || text == "z") return seconds(0);
  const auto hour = number_at(text, 1, 2);
  const auto minute = number_at(text, 4, 2);
  if (text.size() != 6 || !hour || !minute || text[3] != ':' || (text[0] != '+' && text[0] != '-')) return std::nullopt;
  const auto offset = hours(*hour) + minutes(*minute);
  return text[0] == '+' ? offset : -offset;
}

}  // namespace

std::string to_rfc3339(WallTime time) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::chrono::system_clock::to_time_t(time)));
}

std::optional<WallTime> from_rfc3339(std::string_view text) {
  const auto year = number_at(text, 0, 4), month = number_at(text, 5, 2), day = number_at(text, 8, 2);
  const auto hour = number_at(text, 11, 2), minute = number_at(text, 14, 2), second = number_at(text, 17, 2);
  if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
  if (text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != 't') || text[13] != ':' || text[16] != ':') {
    return std::nullopt;
  }
  const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  auto rest = text.substr(19);
  if (!rest.empty() && rest.front() == '.') {
    const auto end = rest.find_first_not_of("0123456789", 1);
    if (end == std::string_view::npos || end == 1) return std::nullopt;
    rest.remove_prefix(end);
  }
  const auto offset = offset_of(rest);
  if (!offset) return std::nullopt;
  return std::chrono::sys_days(date) + hours(*hour) + minutes(*minute) + seconds(*second) - *offset;
}

std::string human_duration(seconds duration) {
  const auto s = duration.count();
  if (s < -1) return "<invalid>";
  if (s < 0) return "0s";
  if (s < 60 * 2) return fmt::format("{}s", s);
  const auto both = [](long long big, const char* big_unit, long long small, const char* small_unit) {
    return small == 0 ? fmt::format("{}{}", big, big_unit) : fmt::format("{}{}{}{}", big, big_unit, small, small_unit);
  };
  const auto m = s / 60;
  if (m < 10) return both(m, "m", s % 60, "s");
  if (m < 60 * 3) return fmt::format("{}m", m);
  const auto h = m / 60;
  if (h < 8) return both(h, "h", m % 60, "m");
  if (h < 48) return fmt::format("{}h", h);
  if (h < 24 * 8) return both(h / 24, "d", h % 24, "h");
  if (h < 24 * 365 * 2) return fmt::format("{}d", h / 24);
  if (h < 24 * 365 * 8) return both(h / 24 / 365, "y", h / 24 % 365, "d");
  return fmt::format("{}y", h / 24 / 365);
}

std::string age_of(std::string_view timestamp, WallTime now) {
  const auto then = from_rfc3339(timestamp);
  if (!then) return "<unknown>";
  return human_duration(std::chrono::floor<seconds>(now - *then));
}

}  // namespace fresnel::sim

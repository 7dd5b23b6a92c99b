#include "fresnel/base/log.hpp"

#include <spdlog/sinks/stdout_color_sinks.h>

namespace fresnel::log {

result<void> configure(std::string_view level) {
  const auto parsed = spdlog::level::from_str(std::string(level));
  if (parsed == spdlog::level::off && level != "off") {
    return Error{Errc::invalid_argument,
                 "log level \"" + std::string(level) + "\" is unknown: use trace, debug, info, warn, error or off"};
  }
  auto logger = spdlog::get("fresnel");
  if (!logger) logger = spdlog::stderr_color_mt("fresnel");
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %^%l%$ %v");
  logger->set_level(parsed);
  spdlog::set_default_logger(logger);
  return {};
}

}  // namespace fresnel::log

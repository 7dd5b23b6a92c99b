#include "fresnel/session/session_services.hpp"

#include <algorithm>
#include <string>

namespace fresnel::session {
namespace {

Error bad_path(std::string_view why) {
  return Error{Errc::invalid_argument,
               "path " + std::string(why) + ": expected an API path such as /api/v1/pods or /apis/apps/v1/deployments",
               400, "BadRequest"};
}

}  // namespace

result<void> check_api_path(std::string_view path) {
  if (!path.starts_with("/api/") && !path.starts_with("/apis/")) return bad_path("is not below /api/ or /apis/");
  const bool odd = std::any_of(path.begin(), path.end(), [](char c) {
    return static_cast<unsigned char>(c) <= ' ' || c == '?' || c == '#' || c == '\\' || c == 0x7f;
  });
  if (odd) return bad_path("has a character that no API path has");
  std::string_view rest = path.substr(1);
  while (true) {
    const auto slash = rest.find('/');
    const std::string_view segment = rest.substr(0, slash);
    if (segment.empty() || segment == "." || segment == "..") return bad_path("has an empty or dot segment");
    if (slash == std::string_view::npos) return {};
    rest.remove_prefix(slash + 1);
  }
}

result<std::string> api_path_of(std::string_view path, std::string_view base_url) {
  if (!base_url.empty() && path.starts_with(base_url)) {
    const auto below = path.substr(base_url.size());
    if (check_api_path(below)) return std::string(below);
  }
  if (auto valid = check_api_path(path); !valid) return valid.error();
  return std::string(path);
}

}  // namespace fresnel::session

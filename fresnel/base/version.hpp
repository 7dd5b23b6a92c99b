// The version of this program, as `fresnel --version` and the User-Agent say it. CMakeLists.txt reads it here.
#pragma once

#include <string_view>

namespace fresnel {

inline constexpr std::string_view kVersion = "0.1.0";

}  // namespace fresnel

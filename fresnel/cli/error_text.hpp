// Errors in kubectl's words, so that scripts and people find what they look for.
//
// Thread safety: pure functions.
#pragma once

#include <string>

#include "fresnel/base/error.hpp"

namespace fresnel::cli {

// One line without its end, safe for a terminal:
//   Error from server (NotFound): pods "x" not found      what the API server said
//   Unable to connect to the server: ...                  no connection
//   error: ...                                            everything else
[[nodiscard]] std::string error_text(const Error& error);

}  // namespace fresnel::cli

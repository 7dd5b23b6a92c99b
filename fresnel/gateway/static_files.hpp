// Serves a built single-page dashboard from a folder.
//
// - A path that names a file gets it; any other path gets index.html, so that the page's own routes work. A missing
//   name with an asset's extension is 404: HTML in place of a script would only confuse.
// - In index.html every "./" becomes "<base-url>/", "headlampBaseUrl = __baseUrl__" becomes
//   "headlampBaseUrl = '<base-url or />'" and "url(" becomes "url(<base-url>/".
// - index.html is never cached, names with a content hash are cached for a year, the rest is revalidated by ETag.
// - "..", NUL and symlinks that leave the folder are refused, also percent-encoded.
//
// Thread safety: immutable after construction; may be shared by threads. Files are read with blocking calls.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>

#include "fresnel/base/error.hpp"
#include "fresnel/net/http.hpp"

namespace fresnel::gateway {

// The relative path of a file that the request path may name; empty for the folder itself. Nothing when refused.
[[nodiscard]] std::optional<std::string> resolve_static_path(std::string_view encoded_path);
// "app.js", "logo.svg": a name that a page's own route would not end in.
[[nodiscard]] bool has_asset_extension(std::string_view name);
// "index-BqKx91a2.js", "main.3f2a9c1b.css": the name changes with the content.
[[nodiscard]] bool has_content_hash(std::string_view name);
[[nodiscard]] std::string_view content_type_of(std::string_view name);
[[nodiscard]] std::string rewrite_index(std::string html, std::string_view base_url);

class StaticFiles {
 public:
  struct Response {
    int status = 200;
    net::Headers headers;
    std::string body;        // when there is no file
    std::ifstream file;      // open when the body is a file's content
    std::uint64_t size = 0;  // of the file
  };

  // Error: `folder` is no folder, or has no index.html.
  [[nodiscard]] static result<StaticFiles> open(const std::string& folder, std::string base_url);

  // The answer to GET or HEAD of `path` (below the base URL, still encoded).
  [[nodiscard]] Response get(std::string_view path, std::string_view if_none_match) const;

 private:
  StaticFiles(std::filesystem::path root, std::string base_url)
      : root_(std::move(root)), base_url_(std::move(base_url)) {}

  [[nodiscard]] std::optional<std::filesystem::path> find(const std::string& relative) const;
  [[nodiscard]] Response index() const;

  std::filesystem::path root_;  // canonical
  std::string base_url_;
};

}  // namespace fresnel::gateway

#include "fresnel/gateway/static_files.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <system_error>
#include <utility>

#include "fresnel/gateway/cluster_routes.hpp"

namespace fresnel::gateway {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kIndex = "index.html";

struct ContentType {
  std::string_view extension;
  std::string_view type;
};
// Media types as IANA and RFC 9239 have them.
constexpr ContentType kContentTypes[] = {
    {"avif", "image/avif"},
    {"css", "text/css; charset=utf-8"},
    {"eot", "application/vnd.ms-fontobject"},
    {"gif", "image/gif"},
    {"html", "text/html; charset=utf-8"},
    {"ico", "image/vnd.microsoft.icon"},
    {"jpeg", "image/jpeg"},
    {"jpg", "image/jpeg"},
    {"js", "text/javascript; charset=utf-8"},
    {"json", "application/json"},
    {"map", "application/json"},
    {"mjs", "text/javascript; charset=utf-8"},
    {"mp4", "video/mp4"},
    {"otf", "font/otf"},
    {"pdf", "application/pdf"},
    {"png", "image/png"},
    {"svg", "image/svg+xml"},
    {"ttf", "font/ttf"},
    {"txt", "text/plain; charset=utf-8"},
    {"wasm", "application/wasm"},
    {"webm", "video/webm"},
    {"webmanifest", "application/manifest+json"},
    {"webp", "image/webp"},
    {"woff", "font/woff"},
    {"woff2", "font/woff2"},
    {"xml", "application/xml"},
};

const ContentType* find_content_type(std::string_view name) {
  const auto dot = name.rfind('.');
  if (dot == std::string_view::npos) return nullptr;
  std::string extension(name.substr(dot + 1));
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  const auto* found = std::find_if(std::begin(kContentTypes), std::end(kContentTypes),
                                   [&](const ContentType& type) { return type.extension == extension; });
  return found == std::end(kContentTypes) ? nullptr : found;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }

void replace_all(std::string& text, std::string_view from, const std::string& to) {
  std::string out;
  std::size_t start = 0;
  for (auto at = text.find(from); at != std::string::npos; at = text.find(from, start)) {
    out.append(text, start, at - start).append(to);
    start = at + from.size();
  }
  text = out.append(text, start);
}

StaticFiles::Response plain(int status, std::string text) {
  StaticFiles::Response response;
  response.status = status;
  response.headers.add("content-type", "text/plain; charset=utf-8");
  response.headers.add("cache-control", "no-store");
  response.body = std::move(text);
  return response;
}

std::string etag_of(std::uint64_t size, fs::file_time_type modified) {
  return fmt::format("W/\"{:x}-{:x}\"", size, modified.time_since_epoch().count());
}

}  // namespace

std::optional<std::string> resolve_static_path(std::string_view encoded_path) {
  const auto decoded = percent_decode(encoded_path);
  if (!decoded || decoded->find('\0') != std::string::npos || !decoded->starts_with('/')) return std::nullopt;
  std::string relative;
  for (std::string_view rest(*decoded); !rest.empty();) {
    const auto slash = std::min(rest.find_first_of("/\\"), rest.size());
    const auto segment = rest.substr(0, slash);
    if (segment == "..") return std::nullopt;
    if (!segment.empty() && segment != ".") {
      if (!relative.empty()) relative += '/';
      relative += segment;
    }
    rest.remove_prefix(std::min(slash + 1, rest.size()));
  }
  return relative;
}

bool has_asset_extension(std::string_view name) { return find_content_type(name) != nullptr; }

bool has_content_hash(std::string_view name) {
  const auto dot = name.rfind('.');
  if (dot == std::string_view::npos) return false;
  const auto stem = name.substr(0, dot);
  // Vite: eight characters of base64url behind a '-'. A hash without a digit or capital is rare; a word is not.
  constexpr std::size_t kViteHash = 8;
  if (stem.size() > kViteHash + 1 && stem[stem.size() - kViteHash - 1] == '-') {
    const auto hash = stem.substr(stem.size() - kViteHash);
    const bool base64 = std::all_of(hash.begin(), hash.end(), [](char c) {
      return is_digit(c) || is_upper(c) || is_lower(c) || c == '-' || c == '_';
    });
    const bool mixed = std::any_of(hash.begin(), hash.end(), [](char c) { return is_digit(c) || is_upper(c); });
    if (base64 && mixed) return true;
  }
  // webpack and others: at least eight hexadecimal digits as a part of their own.
  const auto part = stem.substr(stem.find_last_of(".-") + 1);
  return part.size() >= 8 && part.size() < stem.size() && std::any_of(part.begin(), part.end(), is_digit) &&
         std::all_of(part.begin(), part.end(), [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); });
}

std::string_view content_type_of(std::string_view name) {
  const auto* type = find_content_type(name);
  return type != nullptr ? type->type : "application/octet-stream";
}

std::string rewrite_index(std::string html, std::string_view base_url) {
  const std::string base(base_url);
  replace_all(html, "./", base + "/");
  replace_all(html, "headlampBaseUrl = __baseUrl__",
              fmt::format("headlampBaseUrl = '{}'", base.empty() ? std::string("/") : base));
  replace_all(html, "url(", "url(" + base + "/");
  return html;
}

result<StaticFiles> StaticFiles::open(const std::string& folder, std::string base_url) {
  std::error_code ec;
  auto root = fs::canonical(folder, ec);
  if (ec || !fs::is_regular_file(root / kIndex, ec)) {
    return Error{.code = Errc::not_found,
                 .message = fmt::format("{}: expected a folder with an index.html, a built dashboard", folder)};
  }
  return StaticFiles(std::move(root), std::move(base_url));
}

std::optional<fs::path> StaticFiles::find(const std::string& relative) const {
  std::error_code ec;
  auto path = fs::canonical(root_ / relative, ec);  // follows symlinks, so that one leading elsewhere shows
  if (ec || !fs::is_regular_file(path, ec)) return std::nullopt;
  const auto [root_end, unused] = std::mismatch(root_.begin(), root_.end(), path.begin(), path.end());
  if (root_end != root_.end()) return std::nullopt;
  return path;
}

StaticFiles::Response StaticFiles::index() const {
  std::ifstream in(root_ / kIndex, std::ios::binary);
  if (!in) return plain(500, "index.html cannot be read\n");
  std::string html((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  Response response;
  response.headers.add("content-type", std::string(content_type_of(kIndex)));
  response.headers.add("cache-control", "no-store");
  response.headers.add("x-content-type-options", "nosniff");
  response.body = rewrite_index(std::move(html), base_url_);
  return response;
}

StaticFiles::Response StaticFiles::get(std::string_view path, std::string_view if_none_match) const {
  const auto relative = resolve_static_path(path);
  if (!relative) return plain(400, "expected a path without \"..\"\n");
  if (relative->empty() || *relative == kIndex) return index();
  const std::string_view name = std::string_view(*relative).substr(relative->rfind('/') + 1);
  const auto found = find(*relative);
  if (!found) return has_asset_extension(name) ? plain(404, "no such file\n") : index();

  Response response;
  std::error_code ec;
  response.size = fs::file_size(*found, ec);
  const auto modified = fs::last_write_time(*found, ec);
  response.headers.add("content-type", std::string(content_type_of(name)));
  response.headers.add("cache-control", has_content_hash(name) ? "public, max-age=31536000, immutable" : "no-cache");
  response.headers.add("x-content-type-options", "nosniff");
  const auto etag = etag_of(response.size, modified);
  response.headers.add("etag", etag);
  if (if_none_match == etag) {
    response.status = 304;
    response.size = 0;
    return response;
  }
  response.file.open(*found, std::ios::binary);
  if (ec || !response.file) return plain(404, "no such file\n");
  return response;
}

}  // namespace fresnel::gateway

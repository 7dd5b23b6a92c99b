#include "fresnel/gateway/static_files.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <iterator>

namespace fresnel::gateway {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;

TEST(ResolveStaticPath, RefusesWhatLeavesTheFolder) {
  const std::string refused[] = {
      "/..",  "/a/../b", "/%2e%2e/etc/passwd", "/..%2fetc%2fpasswd", "/a/..%5c..", "/a%00.js", "/a\0b"s, "/%2E./x",
      "/%zz", "",        "relative/path",      "/a/b/c/../.."};
  for (const auto& path : refused) EXPECT_EQ(resolve_static_path(path), std::nullopt) << path;
}

TEST(ResolveStaticPath, DecodesOnceAndNormalises) {
  const std::pair<const char*, const char*> cases[] = {
      {"/", ""},          {"/index.html", "index.html"},   {"/assets/a.js", "assets/a.js"}, {"//a///b", "a/b"},
      {"/./a/.", "a"},    {"/with%20space", "with space"}, {"/%252e%252e/a", "%2e%2e/a"},   {"/a..b/..c", "a..b/..c"},
      {"/%2fetc", "etc"},
  };
  for (const auto& [path, relative] : cases) EXPECT_EQ(resolve_static_path(path), relative) << path;
}

TEST(StaticNames, AssetsTypesAndHashes) {
  for (const auto* name : {"a.js", "A.JS", "b.css", "c.woff2", "x.map", "deep.name.png"}) {
    EXPECT_TRUE(has_asset_extension(name)) << name;
  }
  for (const auto* name : {"", "pods", "kube-proxy.v1", "my.pod.name", ".", "js"}) {
    EXPECT_FALSE(has_asset_extension(name)) << name;
  }
  EXPECT_EQ(content_type_of("a.js"), "text/javascript; charset=utf-8");
  EXPECT_EQ(content_type_of("LICENSE"), "application/octet-stream");
  for (const auto* name : {"index-BqKx91a2.js", "a-Bq-x_1a2.css", "main.3f2a9c1b.css", "vendors-0123456789abcdef.js"}) {
    EXPECT_TRUE(has_content_hash(name)) << name;
  }
  for (const auto* name : {"index.js", "logo-alt-icon.svg", "my-component.js", "jquery-3.7.1.js", "3f2a9c1b.css",
                           "deadbeef.js", "a-deadbeef.js", "noextension-BqKx91a2"}) {
    EXPECT_FALSE(has_content_hash(name)) << name;
  }
}

TEST(RewriteIndex, PutsTheBaseUrlIn) {
  const std::string html =
      "<script>headlampBaseUrl = __baseUrl__;</script><link href=\"./a.css\"><style>x{background:url(img.png)}</style>"
      "<script src=\"./assets/i.js\">";
  EXPECT_EQ(rewrite_index(html, "/dash"),
            "<script>headlampBaseUrl = '/dash';</script><link href=\"/dash/a.css\">"
            "<style>x{background:url(/dash/img.png)}</style><script src=\"/dash/assets/i.js\">");
  EXPECT_EQ(rewrite_index(html, ""),
            "<script>headlampBaseUrl = '/';</script><link href=\"/a.css\">"
            "<style>x{background:url(/img.png)}</style><script src=\"/assets/i.js\">");
}

class StaticFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "fresnel_static_XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    base_ = name;
    fs::create_directories(base_ / "site/assets");
    write("site/index.html", "<a href=\"./x\">");
    write("site/assets/index-BqKx91a2.js", "let x = 1;");
    write("site/favicon.ico", "icon");
    write("secret.txt", "secret");
    fs::create_symlink(base_ / "secret.txt", base_ / "site/leak.txt");
    fs::create_symlink(base_, base_ / "site/up");
    fs::create_symlink("favicon.ico", base_ / "site/alias.ico");
  }
  void TearDown() override { fs::remove_all(base_); }
  void write(const std::string& path, const std::string& text) { std::ofstream(base_ / path) << text; }
  StaticFiles site() { return StaticFiles::open((base_ / "site").string(), "/dash").value(); }
  static std::string body_of(StaticFiles::Response& response) {
    if (!response.file.is_open()) return response.body;
    return {std::istreambuf_iterator<char>(response.file), std::istreambuf_iterator<char>()};
  }

  fs::path base_;
};

TEST_F(StaticFilesTest, ServesFilesWithTypeAndCaching) {
  auto hashed = site().get("/assets/index-BqKx91a2.js", "");
  EXPECT_EQ(hashed.status, 200);
  EXPECT_EQ(body_of(hashed), "let x = 1;");
  EXPECT_EQ(hashed.size, 10u);
  EXPECT_EQ(hashed.headers.get("content-type"), "text/javascript; charset=utf-8");
  EXPECT_EQ(hashed.headers.get("cache-control"), "public, max-age=31536000, immutable");
  auto icon = site().get("/favicon.ico", "");
  EXPECT_EQ(icon.headers.get("cache-control"), "no-cache");
  EXPECT_EQ(site().get("/favicon.ico", icon.headers.get("etag")).status, 304);
  EXPECT_EQ(site().get("/favicon.ico", "W/\"other\"").status, 200);
}

TEST_F(StaticFilesTest, RoutesOfThePageGetTheRewrittenIndex) {
  for (const auto* path : {"/", "/index.html", "/c/prod/pods", "/c/prod/pods/my.pod.name", "/assets", "/assets/"}) {
    auto response = site().get(path, "");
    EXPECT_EQ(response.status, 200) << path;
    EXPECT_EQ(body_of(response), "<a href=\"/dash/x\">") << path;
    EXPECT_EQ(response.headers.get("cache-control"), "no-store") << path;
  }
}

TEST_F(StaticFilesTest, MissingAssetsAre404) {
  EXPECT_EQ(site().get("/assets/gone-BqKx91a2.js", "").status, 404);
  EXPECT_EQ(site().get("/plugins/x/main.js", "").status, 404);
}

TEST_F(StaticFilesTest, NothingOutsideTheFolderIsServed) {
  for (const auto* path : {"/leak.txt", "/up/secret.txt", "/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt"}) {
    auto response = site().get(path, "");
    EXPECT_GE(response.status, 400) << path;
    EXPECT_EQ(body_of(response).find("secret"), std::string::npos) << path;
  }
  auto inside = site().get("/alias.ico", "");
  EXPECT_EQ(body_of(inside), "icon");
}

TEST_F(StaticFilesTest, TheFolderMustHoldAnIndex) {
  EXPECT_FALSE(StaticFiles::open((base_ / "site/assets").string(), ""));
  EXPECT_FALSE(StaticFiles::open((base_ / "nowhere").string(), ""));
}

}  // namespace
}  // namespace fresnel::gateway

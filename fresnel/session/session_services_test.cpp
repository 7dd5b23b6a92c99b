#include "fresnel/session/session_services.hpp"

#include <gtest/gtest.h>

namespace fresnel::session {
namespace {

TEST(CheckApiPath, AcceptsListsOfEveryKind) {
  for (const std::string_view path : {"/api/v1/pods", "/api/v1/namespaces/shop/pods", "/apis/apps/v1/deployments",
                                      "/apis/example.com/v1/namespaces/a/gadgets"}) {
    EXPECT_TRUE(check_api_path(path).has_value()) << path;
  }
}

TEST(CheckApiPath, RefusesWhatIsNoApiPath) {
  for (const std::string_view path :
       {"", "/", "api/v1/pods", "/healthz", "/api", "/api/", "/api//v1", "/api/v1/../secrets", "/api/./v1",
        "/api/v1/pods/", "/api/v1/pods?watch=1", "/api/v1/pods#x", "/api/v1/po ds", "/api/v1/po\\ds",
        "/clusters/x/api/v1/pods", "http://evil/api/v1"}) {
    const auto checked = check_api_path(path);
    ASSERT_FALSE(checked.has_value()) << path;
    EXPECT_EQ(checked.error().status, 400);
  }
}

TEST(ApiPathOf, LeavesOutTheBaseUrl) {
  EXPECT_EQ(api_path_of("/api/v1/pods", "").value(), "/api/v1/pods");
  EXPECT_EQ(api_path_of("/api/v1/pods", "/live").value(), "/api/v1/pods");
  EXPECT_EQ(api_path_of("/live/api/v1/pods", "/live").value(), "/api/v1/pods");
  EXPECT_EQ(api_path_of("/api/api/v1/pods", "/api").value(), "/api/v1/pods");
  EXPECT_EQ(api_path_of("/api/v1/pods", "/api").value(), "/api/v1/pods");
  EXPECT_EQ(api_path_of("/lively/api/v1/pods", "/live").error().status, 400);
  EXPECT_EQ(api_path_of("/live/healthz", "/live").error().status, 400);
}

}  // namespace
}  // namespace fresnel::session

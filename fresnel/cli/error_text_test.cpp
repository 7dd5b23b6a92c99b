#include "fresnel/cli/error_text.hpp"

#include <gtest/gtest.h>

namespace fresnel::cli {
namespace {

TEST(ErrorText, SpeaksLikeKubectl) {
  EXPECT_EQ(error_text({Errc::not_found, "pods \"x\" not found", 404, "NotFound"}),
            "Error from server (NotFound): pods \"x\" not found");
  EXPECT_EQ(error_text({Errc::api, "the server answered with HTTP status 502", 502}),
            "Error from server: the server answered with HTTP status 502");
  EXPECT_EQ(error_text({Errc::connect_failed, "connection refused"}),
            "Unable to connect to the server: connection refused");
  EXPECT_EQ(error_text({Errc::not_found, "the server doesn't have a resource type \"x\""}),
            "error: the server doesn't have a resource type \"x\"");
}

TEST(ErrorText, IsSafeForATerminal) {
  EXPECT_EQ(error_text({Errc::api, "a\x1b[2J\nb", 500, "Bad"}), "Error from server (Bad): a^[[2J...");
}

}  // namespace
}  // namespace fresnel::cli

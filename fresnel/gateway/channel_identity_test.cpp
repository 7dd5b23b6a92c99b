#include "fresnel/gateway/channel_identity.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace fresnel::gateway {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

class ChannelIdentity : public ::testing::Test {
 protected:
  ~ChannelIdentity() override {
    std::error_code ec;
    std::filesystem::remove(file_, ec);
  }
  std::string holding(const std::string& text) {
    std::ofstream(file_, std::ios::trunc) << text;
    return file_;
  }
  std::string error_of(const GatewayOptions& options) {
    const auto users = channel_authentication(options);
    const auto back_ends = api_authentication(options);
    auto message = users ? (back_ends ? std::string() : back_ends.error().message) : users.error().message;
    const auto at = message.find(file_);
    return at == std::string::npos ? message : message.replace(at, file_.size(), "FILE");
  }

  const std::string file_ =
      std::filesystem::temp_directory_path() / ("fresnel_identity_test_" + std::to_string(::getpid()));
};

TEST_F(ChannelIdentity, WithoutOptionsNobodyIsAsked) {
  EXPECT_FALSE(channel_authentication({}).value().is_required());
  EXPECT_FALSE(api_authentication({}).value().is_required());
}

TEST_F(ChannelIdentity, TokensAreReadFromFiles) {
  GatewayOptions options;
  options.channel_tokens = holding("# those who may\n\n of-ada , ada \r\nof-bob,bob,with,commas\n");
  EXPECT_THAT(channel_authentication(options).value().tokens,
              ElementsAre(Pair("of-ada", "ada"), Pair("of-bob", "bob,with,commas")));
  options = {};
  options.api_tokens = holding("first\nsecond\n");
  EXPECT_THAT(api_authentication(options).value().tokens, ElementsAre(Pair("first", "api"), Pair("second", "api")));
}

TEST_F(ChannelIdentity, AKeyIsASecretOrInPem) {
  GatewayOptions options;
  options.channel_jwt_key = holding(std::string(32, 's') + "\n");
  options.channel_jwt_issuer = "us";
  options.channel_jwt_attributes = {"team"};
  options.channel_cookie = "session";
  const auto read = channel_authentication(options).value();
  EXPECT_EQ(read.jwt->secret, std::string(32, 's')) << "without the line's end";
  EXPECT_EQ(read.jwt->rules.issuer, "us");
  EXPECT_THAT(read.jwt->rules.attribute_claims, ElementsAre("team"));
  EXPECT_EQ(read.cookie, "session");
}

TEST_F(ChannelIdentity, ErrorsNameOptionAndFileAndNoToken) {
  GatewayOptions options;
  options.channel_tokens = file_;
  EXPECT_EQ(error_of(options), "--channel-tokens: FILE: cannot be read; expected a file of at most 1 MiB");
  holding("of-ada,ada\ndistinctive\n");
  EXPECT_EQ(error_of(options), "--channel-tokens: FILE:2: expected token,user");
  holding("distinctive,ada\ndistinctive,bob\n");
  EXPECT_EQ(error_of(options), "--channel-tokens: FILE:2: this token stands there twice");
  holding("# none\n");
  EXPECT_EQ(error_of(options), "--channel-tokens: FILE: there is no token in it");
  options = {};
  options.api_tokens = file_;
  EXPECT_EQ(error_of(options), "--api-tokens: FILE: there is no token in it");
  options = {};
  options.channel_jwt_key = holding("distinctive");
  EXPECT_THAT(error_of(options), HasSubstr("--channel-jwt-key: FILE: "));
  EXPECT_THAT(error_of(options), Not(HasSubstr("distinctive")));
  holding("-----BEGIN PUBLIC KEY-----\nnone\n-----END PUBLIC KEY-----\n");
  EXPECT_THAT(error_of(options), HasSubstr("--channel-jwt-key: FILE: "));
  holding("Bag Attributes\n-----BEGIN PUBLIC KEY-----\nnone\n-----END PUBLIC KEY-----\n" + std::string(40, 'x'));
  EXPECT_THAT(error_of(options), HasSubstr("key")) << "no secret";
  holding(std::string(40, '\x01'));
  EXPECT_THAT(error_of(options), HasSubstr("expected a key in PEM, or a secret of printable characters"));
  options.channel_jwks = "https://issuer.example.com/keys";
  EXPECT_EQ(error_of(options), "expected one of --channel-jwks and --channel-jwt-key, got both");
}

}  // namespace
}  // namespace fresnel::gateway

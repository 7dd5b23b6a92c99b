#include "fresnel/kube/token_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fresnel/kube/in_cluster.hpp"
#include "fresnel/kube/testing/fake_transport.hpp"
#include "fresnel/kube/testing/temp_folder.hpp"

namespace fresnel::kube {
namespace {

using ::testing::HasSubstr;
using testing::TempFolder;

std::string token_of(const std::shared_ptr<CredentialSource>& source) {
  auto credential = run(source->get());
  return credential ? credential->bearer_token : credential.error().message;
}

TEST(TokenFile, IsReadAgainWhenItChanges) {
  TempFolder folder;
  const auto file = std::make_shared<TokenFile>(folder.write("token", " one\n"), "place");
  EXPECT_EQ(token_of(file), "one");
  EXPECT_EQ(file->generation(), 1u);
  folder.write("token", "two");
  EXPECT_EQ(file->generation(), 2u);
  EXPECT_EQ(token_of(file), "two");
  folder.write("token", "two");  // another file, the same token
  EXPECT_EQ(file->generation(), 2u);
}

TEST(TokenFile, TheLastTokenStaysWhileTheFileIsBeingReplaced) {
  TempFolder folder;
  const auto file = std::make_shared<TokenFile>(folder.write("token", "one"), "place");
  EXPECT_EQ(token_of(file), "one");
  folder.write("token", "");
  EXPECT_EQ(token_of(file), "one");
  folder.write("token", "two\nlines");
  EXPECT_EQ(token_of(file), "one");
  folder.remove("token");
  EXPECT_EQ(token_of(file), "one");
  folder.write("token", "two");
  EXPECT_EQ(token_of(file), "two");
}

TEST(TokenFile, WithoutATokenItSaysWhere) {
  TempFolder folder;
  const auto file = std::make_shared<TokenFile>(folder.path("token"), "kubeconfig F: user \"u\": tokenFile");
  const auto missing = run(std::static_pointer_cast<CredentialSource>(file)->get());
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Errc::unauthorized);
  EXPECT_THAT(missing.error().message, HasSubstr("kubeconfig F: user \"u\": tokenFile: cannot read"));
}

TEST(TokenFile, IdentitiesDifferByPathNotByToken) {
  TempFolder folder;
  const auto path = folder.write("token", "one");
  const TokenFile file(path, "place");
  folder.write("token", "two");
  EXPECT_EQ(TokenFile(path, "other place").identity(), file.identity());
  EXPECT_NE(TokenFile(path + "2", "place").identity(), file.identity());
  EXPECT_NE(TokenFile(path, "place", "fallback").identity(), file.identity());
}

TEST(InCluster, IsTheServiceAccountsFilesAndFollowsTheirRotation) {
  TempFolder folder;
  folder.write("ca.crt", "CA");
  folder.write("namespace", "shop\n");
  folder.write("token", "one");
  InCluster pod;
  pod.host = "fd00::1";
  pod.port = "443";
  pod.folder = folder.path("");
  EXPECT_TRUE(pod.available());
  const auto context = pod.context("main").value();
  EXPECT_EQ(context.server, "https://[fd00::1]:443");
  EXPECT_EQ(context.default_namespace, "shop");
  EXPECT_EQ(context.tls->ca_pem, "CA");
  EXPECT_EQ(token_of(context.source), "one");
  folder.write("token", "two");
  EXPECT_EQ(token_of(context.source), "two");
}

TEST(InCluster, SaysWhatIsMissing) {
  TempFolder folder;
  InCluster pod;
  pod.folder = folder.path("");
  EXPECT_FALSE(pod.available());
  EXPECT_THAT(pod.context("main").error().message, HasSubstr("KUBERNETES_SERVICE_HOST"));
  pod.host = "10.0.0.1";
  pod.port = "443";
  EXPECT_THAT(pod.context("main").error().message, HasSubstr("ca.crt"));
  folder.write("ca.crt", "CA");
  EXPECT_THAT(pod.context("main").error().message, HasSubstr("token"));
}

}  // namespace
}  // namespace fresnel::kube

#include "fresnel/gateway/cluster_files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fresnel/kube/testing/temp_folder.hpp"

namespace fresnel::gateway {
namespace {

using ::testing::HasSubstr;

constexpr char kConfig[] =
    "contexts: [{name: c, context: {cluster: k, user: u}}]\n"
    "clusters: [{name: k, cluster: {server: 'https://k', certificate-authority: ca}}]\n"
    "users: [{name: u, user: {tokenFile: token}}]\n";
constexpr char kCa[] = "-----BEGIN CERTIFICATE-----\n";

kube::KubeconfigOptions at(const std::string& path) {
  kube::KubeconfigOptions options;
  options.explicit_path = path;
  return options;
}

std::string names(const Clusters& clusters) {
  std::string names;
  for (const auto& entry : clusters.entries()) names += entry.name + (entry.context ? " " : "! ");
  return names;
}

TEST(ClusterFiles, AMissingKubeconfigSaysWhereItLooked) {
  kube::KubeconfigOptions home;
  home.home = "/no/home";
  EXPECT_EQ(ClusterFiles(home, false, {}).load().error().message,
            "no kubeconfig: looked at /no/home/.kube/config (KUBECONFIG is not set); --kubeconfig FILE names one");
  kube::KubeconfigOptions listed;
  listed.env_list = "/no/a:/no/b";
  EXPECT_EQ(ClusterFiles(listed, false, {}).load().error().message,
            "no kubeconfig: looked at KUBECONFIG=/no/a:/no/b; --kubeconfig FILE names one");
  EXPECT_THAT(ClusterFiles(at("/no/c"), false, {}).load().error().message, HasSubstr("/no/c"));
}

TEST(ClusterFiles, AChangeOfWhatItReadIsNoticedAndAFileThatComesToo) {
  kube::testing::TempFolder folder;
  folder.write("token", "t");
  ClusterFiles files(at(folder.write("config", kConfig)), false, {});
  EXPECT_EQ(names(files.load().value()), "c! ");  // no certificate authority yet
  EXPECT_FALSE(files.changed());
  folder.write("ca", kCa);
  EXPECT_TRUE(files.changed());
  EXPECT_EQ(names(files.load().value()), "c ");
  EXPECT_FALSE(files.changed());
  folder.write("config", "no yaml: [");
  EXPECT_TRUE(files.changed());
  EXPECT_FALSE(files.load());
  EXPECT_FALSE(files.changed());  // it is not read again and again
  folder.write("config", kConfig);
  EXPECT_TRUE(files.changed());
  EXPECT_EQ(names(files.load().value()), "c ");
}

TEST(ClusterFiles, ReadingAgainKeepsTheCredentialsSource) {
  kube::testing::TempFolder folder;
  folder.write("token", "t");
  folder.write("ca", kCa);
  ClusterFiles files(at(folder.write("config", kConfig)), false, {});
  const auto first = files.load()->find("c").value();
  EXPECT_EQ(files.load()->find("c")->source, first.source);
}

TEST(ClusterFiles, APodsClusterIsThereWhenAskedForOrWhenThereIsNoOther) {
  kube::testing::TempFolder folder;
  kube::InCluster pod;
  pod.host = "10.0.0.1";
  pod.port = "443";
  pod.folder = folder.path("pod");
  folder.write("pod/token", "t");
  folder.write("pod/ca.crt", kCa);
  folder.write("pod/namespace", "shop");
  folder.write("token", "t");
  folder.write("ca", kCa);
  EXPECT_EQ(names(ClusterFiles({}, false, pod).load().value()), "main ");
  const auto config = folder.write("config", kConfig);
  EXPECT_EQ(names(ClusterFiles(at(config), false, pod).load().value()), "c ");
  ClusterFiles both(at(config), true, pod);
  EXPECT_EQ(names(both.load().value()), "main c ");
  folder.write("pod/ca.crt", std::string(kCa) + "rotated");
  EXPECT_TRUE(both.changed());
  EXPECT_THAT(both.load()->find("main")->tls->ca_pem, HasSubstr("rotated"));
  // Asked for, but not in a pod: an error that the page shows, not the end of the gateway.
  EXPECT_EQ(names(ClusterFiles(at(config), true, {}).load().value()), "main! c ");
}

}  // namespace
}  // namespace fresnel::gateway

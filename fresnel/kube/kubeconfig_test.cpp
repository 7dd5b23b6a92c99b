#include "fresnel/kube/kubeconfig.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace fresnel::kube {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

constexpr char kCa[] = "-----BEGIN CERTIFICATE-----\nca\n-----END CERTIFICATE-----\n";
// base64 of "-----BEGIN X-----\n"
constexpr char kPemBase64[] = "LS0tLS1CRUdJTiBYLS0tLS0K";

class KubeconfigTest : public testing::Test {
 protected:
  KubeconfigTest() {
    std::string pattern = (fs::temp_directory_path() / "kubeconfig_test.XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  ~KubeconfigTest() override { fs::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& text) {
    const fs::path path = folder_ / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
    return path.string();
  }

  // One context "c" with the given lines in its cluster and user.
  static std::string config(const std::string& cluster, const std::string& user) {
    return "current-context: c\n"
           "contexts: [{name: c, context: {cluster: k, user: u}}]\n"
           "clusters:\n- name: k\n  cluster: {" +
           cluster +
           "}\n"
           "users:\n- name: u\n  user: {" +
           user + "}\n";
  }

  result<ClusterContext> load_one(const std::string& cluster, const std::string& user) {
    auto loaded = load_kubeconfig({.explicit_path = write("config", config(cluster, user))});
    if (!loaded) return loaded.error();
    return loaded->find("c");
  }

  void expect_context_error(const std::string& cluster, const std::string& user, const std::string& field,
                            const std::string& problem) {
    const auto context = load_one(cluster, user);
    ASSERT_FALSE(context) << field;
    EXPECT_EQ(context.error().code, Errc::invalid_argument);
    EXPECT_THAT(context.error().message, HasSubstr((folder_ / "config").string()));
    EXPECT_THAT(context.error().message, HasSubstr(field));
    EXPECT_THAT(context.error().message, HasSubstr(problem));
  }

  fs::path folder_;
};

TEST_F(KubeconfigTest, ReadsEverythingAboutAContext) {
  write("pki/ca.crt", kCa);
  write("tokens/t", "  from-file\n");
  const auto path = write("config", R"(
apiVersion: v1
kind: Config
current-context: prod
contexts:
- name: prod
  context: {cluster: main, user: admin, namespace: shop}
clusters:
- name: main
  cluster: {server: "https://k8s:6443/clusters/a/", certificate-authority: pki/ca.crt, tls-server-name: k8s.internal}
users:
- name: admin
  user: {tokenFile: tokens/t, client-certificate-data: LS0tLS1CRUdJTiBYLS0tLS0K, client-key-data: LS0tLS1CRUdJTiBYLS0tLS0K}
)");
  const auto config = load_kubeconfig({.explicit_path = path}).value();
  const auto context = config.find().value();
  EXPECT_EQ(context.name, "prod");
  EXPECT_EQ(context.cluster, "main");
  EXPECT_EQ(context.user, "admin");
  EXPECT_EQ(context.server, "https://k8s:6443/clusters/a");
  EXPECT_EQ(context.default_namespace, "shop");
  EXPECT_EQ(context.tls->ca_pem, kCa);
  EXPECT_EQ(context.tls->server_name, "k8s.internal");
  EXPECT_FALSE(context.tls->insecure_skip_verify);
  EXPECT_EQ(context.tls->client_cert_pem, "-----BEGIN X-----\n");
  EXPECT_EQ(context.credential.client_key_pem, "-----BEGIN X-----\n");
  EXPECT_EQ(context.credential.bearer_token, "from-file");
}

TEST_F(KubeconfigTest, JsonIsYaml) {
  const auto path = write("config", R"({"current-context":"c","contexts":[{"name":"c","context":{"cluster":"k"}}],
    "clusters":[{"name":"k","cluster":{"server":"https://k"}}]})");
  const auto context = load_kubeconfig({.explicit_path = path})->find().value();
  EXPECT_EQ(context.server, "https://k");
  EXPECT_EQ(context.default_namespace, "default");
  EXPECT_TRUE(context.credential.anonymous());
}

TEST_F(KubeconfigTest, NoCertificateAuthorityIsNeverNoVerification) {
  const auto context = load_one("server: 'https://k'", "token: t").value();
  EXPECT_EQ(context.tls->ca_pem, "");
  EXPECT_FALSE(context.tls->insecure_skip_verify);
  EXPECT_TRUE(load_one("server: 'https://k', insecure-skip-tls-verify: true", "")->tls->insecure_skip_verify);
}

TEST_F(KubeconfigTest, AServerWithoutASchemeIsHttpsWhenTlsIsConfigured) {
  EXPECT_EQ(load_one("server: 'k:8080'", "")->server, "http://k:8080");
  EXPECT_EQ(load_one("server: 'k:6443', insecure-skip-tls-verify: true", "")->server, "https://k:6443");
}

TEST_F(KubeconfigTest, TheListIsMergedTheFirstWinsAndMissingFilesAreSkipped) {
  const auto a = write("a/config",
                       "contexts: [{name: one, context: {cluster: k, user: u}}]\n"
                       "clusters: [{name: k, cluster: {server: 'https://a'}}]\n");
  const auto b = write("b/config",
                       "current-context: two\n"
                       "contexts: [{name: one, context: {cluster: other}}, {name: two, context: {cluster: k}}]\n"
                       "clusters: [{name: k, cluster: {server: 'https://b'}}]\n"
                       "users: [{name: u, user: {tokenFile: token}}]\n");
  const auto c = write("c/config", "current-context: one\n");
  write("b/token", "secret");
  const auto config = load_kubeconfig({.env_list = a + ":" + (folder_ / "gone").string() + "::" + b + ":" + c}).value();
  ASSERT_EQ(config.contexts.size(), 2u);
  EXPECT_EQ(config.contexts[0].name, "one");
  EXPECT_EQ(config.current_context, "two");
  EXPECT_EQ(config.files, (std::vector<std::string>{a, b, c}));
  EXPECT_EQ(config.find()->server, "https://a");
  // The user's file is relative to b/config, which defines the user.
  EXPECT_EQ(config.find("one")->credential.bearer_token, "secret");
}

TEST_F(KubeconfigTest, TheExplicitFileIsTheOnlyOneAndMustExist) {
  const auto listed = write("listed", config("server: 'https://listed'", ""));
  const auto named = write("named", config("server: 'https://named'", ""));
  EXPECT_EQ(load_kubeconfig({.explicit_path = named, .env_list = listed})->find()->server, "https://named");
  const auto missing = load_kubeconfig({.explicit_path = (folder_ / "gone").string(), .env_list = listed});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Errc::not_found);
  EXPECT_THAT(missing.error().message, HasSubstr("gone"));
}

TEST_F(KubeconfigTest, TheHomeFolderIsTheLastResortAndMayBeEmpty) {
  write(".kube/config", config("server: 'https://home'", ""));
  EXPECT_EQ(load_kubeconfig({.home = folder_.string()})->find()->server, "https://home");
  const auto none = load_kubeconfig({.home = (folder_ / "elsewhere").string()}).value();
  EXPECT_TRUE(none.contexts.empty());
  EXPECT_EQ(none.find().error().code, Errc::not_found);
}

TEST_F(KubeconfigTest, ABadContextDoesNotHideTheGoodOnes) {
  const auto path = write("config", R"(
contexts:
- {name: bad, context: {cluster: broken}}
- {name: lost, context: {cluster: nowhere}}
- {name: good, context: {cluster: fine}}
clusters:
- {name: broken, cluster: {server: "https://b", certificate-authority: no-such-file}}
- {name: fine, cluster: {server: "https://f"}}
)");
  const auto config = load_kubeconfig({.explicit_path = path}).value();
  ASSERT_EQ(config.contexts.size(), 3u);
  ASSERT_FALSE(config.contexts[0].context);
  EXPECT_EQ(config.contexts[0].server, "https://b");
  EXPECT_THAT(config.contexts[0].context.error().message, HasSubstr("no-such-file"));
  EXPECT_THAT(config.find("lost").error().message, HasSubstr("context \"lost\": cluster: there is no \"nowhere\""));
  EXPECT_EQ(config.find("good")->server, "https://f");
}

TEST_F(KubeconfigTest, SaysWhatIsWrongWithAField) {
  write("empty", "");
  write("text", "hello");
  expect_context_error("", "", "server", "missing");
  expect_context_error("server: 'ftp://k'", "", "server", "http or https");
  expect_context_error("server: 'https://'", "", "server", "http or https");
  expect_context_error("server: [1]", "", "server", "expected a string");
  expect_context_error("server: 'https://k', insecure-skip-tls-verify: 7", "", "insecure-skip-tls-verify",
                       "true or false");
  expect_context_error("server: 'https://k', certificate-authority-data: '%%%'", "", "certificate-authority-data",
                       "base64");
  expect_context_error("server: 'https://k', certificate-authority: text", "", "certificate-authority", "PEM");
  expect_context_error("server: 'https://k', certificate-authority: gone", "", "certificate-authority", "No such file");
  expect_context_error("server: 'https://k', certificate-authority: '.'", "", "certificate-authority", "folder");
  expect_context_error(
      std::string("server: 'https://k', certificate-authority: text, certificate-authority-data: ") + kPemBase64, "",
      "certificate-authority", "only one");
  expect_context_error(
      std::string("server: 'https://k', insecure-skip-tls-verify: true, certificate-authority-data: ") + kPemBase64, "",
      "insecure-skip-tls-verify", "not allowed");
  expect_context_error("server: 'https://k'", std::string("client-certificate-data: ") + kPemBase64, "client-key",
                       "missing");
  expect_context_error("server: 'https://k'", std::string("client-key-data: ") + kPemBase64, "client-certificate",
                       "missing");
  expect_context_error("server: 'https://k'", "tokenFile: gone", "tokenFile", "No such file");
  expect_context_error("server: 'https://k'", "tokenFile: empty", "tokenFile", "empty");
  expect_context_error("server: 'https://k'", "exec: {command: aws}", "exec", "not supported");
  expect_context_error("server: 'https://k', proxy-url: 'http://p'", "", "proxy-url", "not supported");
}

TEST_F(KubeconfigTest, ErrorsNeverShowASecret) {
  const auto context = load_one("server: 'https://k'", "token: \"top\\nsecret\"");
  ASSERT_FALSE(context);
  EXPECT_THAT(context.error().message, Not(HasSubstr("top")));
  EXPECT_THAT(context.error().message, Not(HasSubstr("secret")));
}

TEST_F(KubeconfigTest, TokenFileWinsOverTokenUnlessItCannotBeRead) {
  write("token", "new\n");
  EXPECT_EQ(load_one("server: 'https://k'", "token: old, tokenFile: token")->credential.bearer_token, "new");
  EXPECT_EQ(load_one("server: 'https://k'", "token: old, tokenFile: gone")->credential.bearer_token, "old");
}

TEST_F(KubeconfigTest, ABrokenFileIsOneClearError) {
  const auto broken = load_kubeconfig({.explicit_path = write("config", "contexts:\n  - name: [\n")});
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().code, Errc::invalid_argument);
  EXPECT_THAT(broken.error().message, HasSubstr((folder_ / "config").string() + ": line "));
  EXPECT_THAT(load_kubeconfig({.explicit_path = write("config", "[]")}).error().message, HasSubstr("expected a map"));
  EXPECT_THAT(load_kubeconfig({.explicit_path = write("config", "clusters: 5")}).error().message,
              HasSubstr("clusters: expected a list"));
  EXPECT_THAT(load_kubeconfig({.explicit_path = write("config", "users: [{user: {}}]")}).error().message,
              HasSubstr("users: an entry has no name"));
}

TEST_F(KubeconfigTest, AnUnknownContextNamesTheKnownOnes) {
  const auto path = write("config", "contexts: [{name: a, context: {}}, {name: b, context: {}}]\n");
  const auto config = load_kubeconfig({.explicit_path = path}).value();
  EXPECT_EQ(config.find("x").error().code, Errc::not_found);
  EXPECT_THAT(config.find("x").error().message, HasSubstr("context \"x\" does not exist; the kubeconfig has: a, b"));
  EXPECT_THAT(config.find().error().message, HasSubstr("no current-context is set"));
}

}  // namespace
}  // namespace fresnel::kube

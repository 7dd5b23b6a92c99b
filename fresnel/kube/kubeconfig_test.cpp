#include "fresnel/kube/kubeconfig.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "fresnel/kube/testing/fake_transport.hpp"
#include "fresnel/kube/testing/temp_folder.hpp"

namespace fresnel::kube {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kCa[] = "-----BEGIN CERTIFICATE-----\nca\n-----END CERTIFICATE-----\n";
// base64 of "-----BEGIN X-----\n"
constexpr char kPemBase64[] = "LS0tLS1CRUdJTiBYLS0tLS0K";

// The token that a request would carry.
std::string token_of(const ClusterContext& context) {
  return run(ClusterContext::current(context)).value().credential.bearer_token;
}

class KubeconfigTest : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text) { return folder_.write(name, text); }

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

  kube::testing::TempFolder folder_;
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
  EXPECT_EQ(token_of(context), "from-file");
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
  const auto config = load_kubeconfig({.env_list = a + ":" + folder_.path("gone") + "::" + b + ":" + c}).value();
  ASSERT_EQ(config.contexts.size(), 2u);
  EXPECT_EQ(config.contexts[0].name, "one");
  EXPECT_EQ(config.current_context, "two");
  EXPECT_EQ(config.files, (std::vector<std::string>{a, b, c}));
  EXPECT_EQ(config.find()->server, "https://a");
  // The user's file is relative to b/config, which defines the user.
  EXPECT_EQ(token_of(config.find("one").value()), "secret");
}

TEST_F(KubeconfigTest, TheExplicitFileIsTheOnlyOneAndMustExist) {
  const auto listed = write("listed", config("server: 'https://listed'", ""));
  const auto named = write("named", config("server: 'https://named'", ""));
  EXPECT_EQ(load_kubeconfig({.explicit_path = named, .env_list = listed})->find()->server, "https://named");
  const auto missing = load_kubeconfig({.explicit_path = folder_.path("gone"), .env_list = listed});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Errc::not_found);
  EXPECT_THAT(missing.error().message, HasSubstr("gone"));
}

TEST_F(KubeconfigTest, TheHomeFolderIsTheLastResortAndMayBeEmpty) {
  write(".kube/config", config("server: 'https://home'", ""));
  EXPECT_EQ(load_kubeconfig({.home = folder_.path("")})->find()->server, "https://home");
  const auto none = load_kubeconfig({.home = folder_.path("elsewhere")}).value();
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

struct BadField {
  std::string cluster;
  std::string user;
  std::string field;
  std::string expectation;
};

TEST_F(KubeconfigTest, EveryBadKubeconfigIsOneErrorWithFileContextFieldAndExpectation) {
  write("empty", "");
  write("text", "hello");
  const std::string pem = kPemBase64;
  const std::string server = "server: 'https://k'";
  const std::vector<BadField> all = {
      {"", "", "server", "expected the API server's URL"},
      {"server: 'ftp://k'", "", "server", "expected an http or https URL"},
      {"server: 'https://'", "", "server", "expected an http or https URL"},
      {"server: 'https://a:b@k'", "", "server", "expected an http or https URL"},
      {"server: 'https://k?x=1'", "", "server", "expected an http or https URL"},
      {"server: [1]", "", "server", "expected a string"},
      {server + ", insecure-skip-tls-verify: 7", "", "insecure-skip-tls-verify", "expected true or false"},
      {server + ", certificate-authority-data: '%%%'", "", "certificate-authority-data", "expected base64"},
      {server + ", certificate-authority-data: aGVsbG8=", "", "certificate-authority-data", "expected PEM text"},
      {server + ", certificate-authority: text", "", "certificate-authority", "expected PEM text"},
      {server + ", certificate-authority: gone", "", "certificate-authority", "No such file"},
      {server + ", certificate-authority: '.'", "", "certificate-authority", "is a folder; expected a file"},
      {server + ", certificate-authority: text, certificate-authority-data: " + pem, "", "certificate-authority",
       "expected only one of them"},
      {server + ", insecure-skip-tls-verify: true, certificate-authority-data: " + pem, "", "insecure-skip-tls-verify",
       "expected no certificate authority"},
      {server + ", tls-server-name: {}", "", "tls-server-name", "expected a string"},
      {server + ", proxy-url: 'ftp://p'", "", "proxy-url", "expected an http, https or socks5 URL"},
      {server + ", proxy-url: 'p:8080'", "", "proxy-url", "expected an http, https or socks5 URL"},
      {server, "client-certificate-data: " + pem, "client-key", "expected a client certificate and its key"},
      {server, "client-key-data: " + pem, "client-certificate", "expected a client certificate and its key"},
      {server, "client-certificate: gone, client-key: gone", "client-certificate", "No such file"},
      {server, "token: {}", "token", "expected a string"},
      {server, "token: \"a\\nb\"", "token", "expected one line"},
      {server, "tokenFile: gone", "tokenFile", "No such file"},
      {server, "tokenFile: empty", "tokenFile", "expected a token"},
      {server, "password: p", "username", "expected it with a password"},
      {server, "username: 'a:b', password: p", "username", "expected no colon"},
      {server, "username: a, password: p, token: t", "username", "expected one way to log in"},
      {server, "as-groups: [a]", "as", "expected the user"},
      {server, "as: a, as-groups: b", "as-groups", "expected a list of strings"},
      {server, "as: a, as-user-extra: [b]", "as-user-extra", "expected a map of lists of strings"},
      {server, "as: a, as-user-extra: {b: c}", "as-user-extra", "expected a map of lists of strings"},
      {server, "auth-provider: {name: oidc}", "auth-provider", "expected an exec credential plugin"},
      {server, "exec: aws", "exec", "expected a map"},
      {server, "exec: {command: aws}", "exec", "expected"},
      {server, "exec: {apiVersion: client.authentication.k8s.io/v1alpha1, command: aws}", "exec", "expected"},
      {server, "exec: {apiVersion: client.authentication.k8s.io/v1beta1}", "exec", "expected"},
      {server, "exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: a, args: b}", "exec.args",
       "expected a list of strings"},
      {server, "exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: a, env: [b]}", "exec.env",
       "expected a list of names and values"},
      {server, "exec: {apiVersion: client.authentication.k8s.io/v1, command: a}", "exec.interactiveMode",
       "expected Never"},
      {server, "exec: {apiVersion: client.authentication.k8s.io/v1, command: a, interactiveMode: Always}", "exec",
       "expected"},
  };
  for (const auto& bad : all) {
    const auto context = load_one(bad.cluster, bad.user);
    ASSERT_FALSE(context) << bad.field << " " << bad.expectation;
    EXPECT_EQ(context.error().code, Errc::invalid_argument);
    const auto& message = context.error().message;
    EXPECT_TRUE(message.starts_with("kubeconfig " + folder_.path("config") + ": context \"c\": ")) << message;
    EXPECT_THAT(message, HasSubstr(": " + bad.field));
    EXPECT_THAT(message, HasSubstr(bad.expectation));
  }
}

TEST_F(KubeconfigTest, BasicAuthImpersonationAndProxyBelongToTheContext) {
  const auto context = load_one("server: 'https://k', proxy-url: 'socks5://proxy:1080'",
                                "username: ann, password: pass, as: bob, as-uid: '7', as-groups: [dev, ops], "
                                "as-user-extra: {scopes: [view, edit], 'example.com/team': [a b]}")
                           .value();
  EXPECT_EQ(context.proxy_url, "socks5://proxy:1080");
  net::Headers headers{{"Impersonate-User", "root"}, {"x", "y"}};
  context.credential.authorize(headers);
  const std::vector<net::Headers::Field> expected = {{"x", "y"},
                                                     {"Authorization", "Basic YW5uOnBhc3M="},
                                                     {"Impersonate-User", "bob"},
                                                     {"Impersonate-Uid", "7"},
                                                     {"Impersonate-Group", "dev"},
                                                     {"Impersonate-Group", "ops"},
                                                     {"Impersonate-Extra-example.com%2Fteam", "a b"},
                                                     {"Impersonate-Extra-scopes", "view"},
                                                     {"Impersonate-Extra-scopes", "edit"}};
  EXPECT_EQ(std::vector<net::Headers::Field>(headers.begin(), headers.end()), expected);
}

TEST_F(KubeconfigTest, ItSaysWhichFilesItDependsOn) {
  write("ca", kCa);
  write("token", "t");
  const auto path = write("config", config("server: 'https://k', certificate-authority: ca", "tokenFile: token"));
  const auto loaded = load_kubeconfig({.explicit_path = path}).value();
  // Not the token's: its source reads it again by itself.
  EXPECT_EQ(loaded.depends_on, (std::vector<std::string>{folder_.path("ca"), path}));
  folder_.remove("token");
  EXPECT_THAT(load_kubeconfig({.explicit_path = path})->depends_on, ::testing::Contains(folder_.path("token")));
  // A file that is not there yet may come.
  const auto none = load_kubeconfig({.home = folder_.path("home")}).value();
  EXPECT_EQ(none.depends_on, std::vector<std::string>{folder_.path("home/.kube/config")});
}

TEST_F(KubeconfigTest, ContextsOfOneTokenFileShareTheirSource) {
  write("token", "t");
  KubeconfigOptions options;
  options.explicit_path = write("config", config("server: 'https://k'", "tokenFile: token"));
  options.sources = std::make_shared<CredentialSources>();
  const auto first = load_kubeconfig(options)->find("c").value();
  const auto again = load_kubeconfig(options)->find("c").value();
  EXPECT_EQ(first.source, again.source);
  EXPECT_EQ(first.identity(), again.identity());
}

TEST_F(KubeconfigTest, AnExecPluginIsRunWithTheContextsCluster) {
  write("pki/ca", kCa);
  const auto plugin =
      write("bin/plugin",
            "#!/bin/sh\n"
            "printf '{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1\",'\n"
            "printf '\"status\":{\"token\":\"%s-%s\"}}' \"$1\" \"$KIND\"\n");
  std::filesystem::permissions(plugin, std::filesystem::perms::owner_all);
  const auto context = load_one("server: 'https://k', certificate-authority: pki/ca",
                                "exec: {apiVersion: client.authentication.k8s.io/v1, command: bin/plugin, args: [get], "
                                "interactiveMode: Never, env: [{name: KIND, value: token}], provideClusterInfo: true}")
                           .value();
  EXPECT_EQ(token_of(context), "get-token");
  // A token beside it is who the user is.
  const auto token = load_one("server: 'https://k'",
                              "token: mine, exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: gone}");
  EXPECT_EQ(token_of(token.value()), "mine");
}

TEST_F(KubeconfigTest, ATextFromAClientNamesNoFileProgramOrProxy) {
  const std::string server = "server: 'https://k'";
  const std::vector<std::pair<std::string, std::string>> bad = {{server + ", certificate-authority: /etc/passwd", ""},
                                                                {server + ", proxy-url: 'http://p'", ""},
                                                                {server, "tokenFile: /etc/passwd"},
                                                                {server, "client-certificate: a, client-key: b"},
                                                                {server, "exec: {command: sh}"}};
  for (const auto& [cluster, user] : bad) {
    const auto context = parse_untrusted_kubeconfig(config(cluster, user), "KUBECONFIG header")->find("c");
    ASSERT_FALSE(context) << cluster << user;
    EXPECT_THAT(context.error().message, HasSubstr("is not allowed in a kubeconfig that a client sends"));
  }
  const auto good = parse_untrusted_kubeconfig(config(server, "token: t"), "KUBECONFIG header")->find("c");
  EXPECT_EQ(token_of(good.value()), "t");
}

TEST_F(KubeconfigTest, ErrorsNeverShowASecret) {
  const auto context = load_one("server: 'https://k'", "token: \"top\\nsecret\"");
  ASSERT_FALSE(context);
  EXPECT_THAT(context.error().message, Not(HasSubstr("top")));
  EXPECT_THAT(context.error().message, Not(HasSubstr("secret")));
}

TEST_F(KubeconfigTest, TokenFileWinsOverTokenUnlessItCannotBeRead) {
  write("token", "new\n");
  EXPECT_EQ(token_of(load_one("server: 'https://k'", "token: old, tokenFile: token").value()), "new");
  EXPECT_EQ(token_of(load_one("server: 'https://k'", "token: old, tokenFile: gone").value()), "old");
}

TEST_F(KubeconfigTest, ABrokenFileIsOneClearError) {
  const auto broken = load_kubeconfig({.explicit_path = write("config", "contexts:\n  - name: [\n")});
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().code, Errc::invalid_argument);
  EXPECT_THAT(broken.error().message, HasSubstr(folder_.path("config") + ": line "));
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

#include "fresnel/kube/kubeconfig_context.hpp"

#include <fmt/format.h>

#include <boost/url/parse.hpp>
#include <initializer_list>
#include <memory>
#include <utility>

#include "fresnel/base/file.hpp"
#include "fresnel/kube/exec_plugin.hpp"
#include "fresnel/kube/token_file.hpp"
#include "fresnel/net/digest.hpp"
#include "fresnel/net/proxy.hpp"

namespace fresnel::kube {
namespace {

constexpr std::size_t kMaxPem = 4u << 20;  // bytes; bundles of authorities are large

std::string trimmed(std::string text) {
  constexpr const char* kSpace = " \t\r\n";
  text.erase(text.find_last_not_of(kSpace) + 1);
  text.erase(0, text.find_first_not_of(kSpace));
  return text;
}

class Resolver {
 public:
  Resolver(const Sections& sections, const ContextRules& rules) : sections_(sections), rules_(rules) {}

  result<ClusterContext> resolve(const Section& section);

 private:
  result<void> fill_cluster(const Section& cluster);
  result<void> fill_user(const Section& user);
  result<void> fill_secrets(const Section& user);
  result<void> fill_token_file(const Section& user);
  result<void> fill_exec(const Section& user);
  result<void> fill_impersonation(const Section& user);
  result<std::string> pem(const Section& section, const std::string& field) const;
  result<void> refuse_files(const Section& section, std::initializer_list<const char*> fields) const;

  const Sections& sections_;
  const ContextRules& rules_;
  ClusterContext context_;
  net::TlsOptions tls_;
};

// The text of `field` (a path) or of `field`-data (base64), empty when neither is there.
result<std::string> Resolver::pem(const Section& section, const std::string& field) const {
  const std::string data_field = field + "-data";
  const auto path = section.text(field.c_str());
  if (!path) return path.error();
  const auto data = section.text(data_field.c_str());
  if (!data) return data.error();
  if (!path->empty() && !data->empty()) {
    return section.bad_field(field, fmt::format("{} is there too; expected only one of them", data_field));
  }
  if (path->empty() && data->empty()) return std::string();

  std::string text;
  if (!data->empty()) {
    auto decoded = net::from_base64(*data);
    if (!decoded) return section.bad_field(data_field, "expected base64");
    text = *std::move(decoded);
  } else {
    const auto file = section.resolve_path(*path);
    if (rules_.read_files != nullptr) rules_.read_files->insert(file);
    auto content = read_file(file, kMaxPem);
    if (!content) return section.bad_field(field, content.error().message + "; expected a file with PEM text");
    text = *std::move(content);
  }
  if (text.find("-----BEGIN ") == std::string::npos) {
    return section.bad_field(data->empty() ? field : data_field, "expected PEM text (\"-----BEGIN ...\")");
  }
  return text;
}

result<void> Resolver::refuse_files(const Section& section, std::initializer_list<const char*> fields) const {
  if (!rules_.inline_only) return {};
  for (const char* field : fields) {
    if (section.has(field)) {
      return section.bad_field(field, "is not allowed in a kubeconfig that a client sends; expected data in the text");
    }
  }
  return {};
}

bool is_server_url(const std::string& text) {
  const auto url = boost::urls::parse_uri(text);
  return url && !url->host().empty() && (url->scheme() == "https" || url->scheme() == "http") && !url->has_query() &&
         !url->has_fragment() && !url->has_userinfo();
}

// kubectl accepts "host:port" too: https when anything about TLS is configured, else http.
result<std::string> server_url(const Section& cluster, bool has_tls_settings) {
  auto server = cluster.text("server");
  if (!server) return server.error();
  if (server->empty()) return cluster.bad_field("server", "is missing; expected the API server's URL");
  if (server->find("://") == std::string::npos) *server = (has_tls_settings ? "https://" : "http://") + *server;
  if (!is_server_url(*server)) {
    return cluster.bad_field("server", "expected an http or https URL of host, port and path only");
  }
  while (server->ends_with('/')) server->pop_back();
  return server;
}

result<std::string> proxy_url(const Section& cluster) {
  auto text = cluster.text("proxy-url");
  if (!text || text->empty()) return text;
  if (!net::parse_proxy_url(*text)) {
    return cluster.bad_field("proxy-url", "expected an http, https or socks5 URL such as socks5://proxy:1080");
  }
  return text;
}

result<void> Resolver::fill_cluster(const Section& cluster) {
  if (auto allowed = refuse_files(cluster, {"certificate-authority", "proxy-url"}); !allowed) return allowed;
  auto ca = pem(cluster, "certificate-authority");
  if (!ca) return ca.error();
  const auto insecure = cluster.boolean("insecure-skip-tls-verify");
  if (!insecure) return insecure.error();
  if (*insecure && !ca->empty()) {
    return cluster.bad_field("insecure-skip-tls-verify",
                             "expected no certificate authority beside it: the one makes the other useless");
  }
  auto server_name = cluster.text("tls-server-name");
  if (!server_name) return server_name.error();
  auto server = server_url(cluster, !ca->empty() || *insecure);
  if (!server) return server.error();
  auto proxy = proxy_url(cluster);
  if (!proxy) return proxy.error();

  context_.cluster = cluster.name;
  context_.server = *std::move(server);
  context_.proxy_url = *std::move(proxy);
  tls_.ca_pem = *std::move(ca);
  tls_.insecure_skip_verify = *insecure;
  tls_.server_name = *std::move(server_name);
  return {};
}

result<void> Resolver::fill_impersonation(const Section& user) {
  auto& as = context_.credential.impersonate;
  const auto take = [&](auto& into, auto value) -> result<void> {
    if (!value) return value.error();
    into = *std::move(value);
    return {};
  };
  if (auto done = take(as.user, user.text("as")); !done) return done;
  if (auto done = take(as.uid, user.text("as-uid")); !done) return done;
  if (auto done = take(as.groups, user.texts("as-groups")); !done) return done;
  if (user.has("as-user-extra")) {
    const YAML::Node& body = user.body;
    const Section extra{user.name, user.kind, user.file, body["as-user-extra"], user.context};
    if (!extra.body.IsMap()) return user.bad_field("as-user-extra", "expected a map of lists of strings");
    for (const auto& item : extra.body) {
      if (!item.first.IsScalar()) return user.bad_field("as-user-extra", "expected a map of lists of strings");
      const auto key = item.first.Scalar();
      const auto values = extra.texts(key.c_str());
      if (!values) return user.bad_field("as-user-extra", "expected a map of lists of strings");
      as.extra.emplace(key, *values);
    }
  }
  if (as.user.empty() && !as.empty()) {
    return user.bad_field("as", "is missing; expected the user whose uid, groups or extra stand beside it");
  }
  return {};
}

// tokenFile wins over token as long as it can be read.
result<void> Resolver::fill_token_file(const Section& user) {
  auto& credential = context_.credential;
  const auto path = user.text("tokenFile");
  if (!path) return path.error();
  if (path->empty()) return {};
  auto file = std::make_shared<TokenFile>(user.resolve_path(*path), user.place() + ": tokenFile",
                                          std::exchange(credential.bearer_token, {}));
  if (const auto readable = file->read(); !readable) {
    if (rules_.read_files != nullptr) rules_.read_files->insert(user.resolve_path(*path));  // it may come
    return Error{Errc::invalid_argument, readable.error().message};
  }
  context_.source = std::move(file);
  return {};
}

// `env`: [{name: N, value: V}, ...]
result<std::vector<std::pair<std::string, std::string>>> exec_environment(const Section& user, const Section& exec) {
  std::vector<std::pair<std::string, std::string>> variables;
  if (!exec.has("env")) return variables;
  const YAML::Node& body = exec.body;
  const YAML::Node list = body["env"];
  const auto bad = user.bad_field("exec.env", "expected a list of names and values");
  if (!list.IsSequence()) return bad;
  for (const YAML::Node& item : list) {
    const Section variable{user.name, user.kind, user.file, item, user.context};
    const auto name = variable.text("name");
    const auto value = variable.text("value");
    if (!item.IsMap() || !name || !value || name->empty()) return bad;
    variables.emplace_back(*name, *value);
  }
  return variables;
}

result<ExecConfig::InteractiveMode> interactive_mode(const Section& user, std::string_view text,
                                                     std::string_view api_version) {
  using Mode = ExecConfig::InteractiveMode;
  if (text == "Never") return Mode::never;
  if (text == "IfAvailable") return Mode::if_available;
  if (text == "Always") return Mode::always;
  if (text.empty() && !api_version.ends_with("/v1")) return Mode::if_available;
  return user.bad_field("exec.interactiveMode", "expected Never, IfAvailable or Always");
}

result<void> Resolver::fill_exec(const Section& user) {
  const YAML::Node& body = user.body;
  const Section exec{user.name, user.kind, user.file, body["exec"], user.context};
  if (!exec.body.IsMap()) return user.bad_field("exec", "expected a map with apiVersion and command");
  ExecConfig config;
  const auto take = [&](std::string& into, const char* field) -> result<void> {
    auto value = exec.text(field);
    if (!value) return user.bad_field(std::string("exec.") + field, "expected a string");
    into = *std::move(value);
    return {};
  };
  std::string mode;
  if (auto done = take(config.api_version, "apiVersion"); !done) return done;
  if (auto done = take(config.command, "command"); !done) return done;
  if (auto done = take(config.install_hint, "installHint"); !done) return done;
  if (auto done = take(mode, "interactiveMode"); !done) return done;
  auto args = exec.texts("args");
  if (!args) return user.bad_field("exec.args", "expected a list of strings");
  auto env = exec_environment(user, exec);
  if (!env) return env.error();
  const auto info = exec.boolean("provideClusterInfo");
  if (!info) return user.bad_field("exec.provideClusterInfo", "expected true or false");
  const auto interactive = interactive_mode(user, mode, config.api_version);
  if (!interactive) return interactive.error();
  // A name alone is looked for in PATH; a path is relative to the kubeconfig.
  if (config.command.find('/') != std::string::npos) config.command = user.resolve_path(config.command);
  config.args = *std::move(args);
  config.env = *std::move(env);
  config.provide_cluster_info = *info;
  config.interactive_mode = *interactive;
  config.cluster = {context_.server, tls_.server_name, tls_.insecure_skip_verify, tls_.ca_pem, context_.proxy_url};
  config.working_place = user.place();
  auto plugin = ExecPlugin::make(std::move(config));
  if (!plugin) return plugin.error();
  context_.source = *std::move(plugin);
  return {};
}

result<void> Resolver::fill_secrets(const Section& user) {
  auto& credential = context_.credential;
  auto token = user.text("token");
  if (!token) return token.error();
  auto name = user.text("username");
  if (!name) return name.error();
  auto password = user.text("password");
  if (!password) return password.error();
  credential.bearer_token = trimmed(*std::move(token));
  if (credential.bearer_token.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos) {
    return user.bad_field("token", "expected one line");
  }
  if (name->empty() && !password->empty()) return user.bad_field("username", "is missing; expected it with a password");
  if (name->find(':') != std::string::npos) return user.bad_field("username", "expected no colon (RFC 7617)");
  const bool basic = !name->empty();
  if (basic && (!credential.bearer_token.empty() || user.has("tokenFile"))) {
    return user.bad_field("username", "a token is there too; expected one way to log in");
  }
  credential.username = *std::move(name);
  credential.password = *std::move(password);
  return {};
}

result<void> Resolver::fill_user(const Section& user) {
  if (user.has("auth-provider")) {
    return user.bad_field("auth-provider", "ended with Kubernetes 1.26; expected an exec credential plugin");
  }
  if (auto ok = refuse_files(user, {"client-certificate", "client-key", "tokenFile", "exec"}); !ok) return ok;
  auto certificate = pem(user, "client-certificate");
  if (!certificate) return certificate.error();
  auto key = pem(user, "client-key");
  if (!key) return key.error();
  if (certificate->empty() != key->empty()) {
    return user.bad_field(certificate->empty() ? "client-certificate" : "client-key",
                          "is missing; expected a client certificate and its key together");
  }
  if (auto done = fill_secrets(user); !done) return done;
  if (auto done = fill_impersonation(user); !done) return done;
  if (auto done = fill_token_file(user); !done) return done;
  tls_.client_cert_pem = *certificate;
  tls_.client_key_pem = *key;
  context_.credential.client_cert_pem = *std::move(certificate);
  context_.credential.client_key_pem = *std::move(key);
  context_.user = user.name;
  // As kubectl: a plugin is asked only when nothing else says who the user is.
  const bool known =
      context_.source || !context_.credential.bearer_token.empty() || !context_.credential.username.empty();
  return user.has("exec") && !known ? fill_exec(user) : result<void>();
}

result<ClusterContext> Resolver::resolve(const Section& section) {
  context_.name = section.name;
  const auto part = [&](const std::vector<Section>& all, const char* field) -> result<Section> {
    const auto name = section.text(field);
    if (!name) return name.error();
    if (name->empty()) return Section{};
    const Section* found = find_section(all, *name);
    if (found == nullptr) {
      return section.bad_field(field, fmt::format("there is no \"{}\"; expected one of the file's {}s", *name, field));
    }
    Section copy = *found;
    copy.context = section.name;
    return copy;
  };
  const auto cluster = part(sections_.clusters, "cluster");
  if (!cluster) return cluster.error();
  if (cluster->name.empty()) return section.bad_field("cluster", "is missing; expected the name of a cluster");
  if (auto filled = fill_cluster(*cluster); !filled) return filled.error();
  const auto user = part(sections_.users, "user");
  if (!user) return user.error();
  if (!user->name.empty()) {
    if (auto filled = fill_user(*user); !filled) return filled.error();
  }
  auto default_namespace = section.text("namespace");
  if (!default_namespace) return default_namespace.error();
  if (!default_namespace->empty()) context_.default_namespace = *std::move(default_namespace);
  if (context_.source && rules_.sources != nullptr) context_.source = rules_.sources->shared(context_.source);
  context_.tls = std::make_shared<const net::TlsOptions>(std::move(tls_));
  return std::move(context_);
}

}  // namespace

result<ClusterContext> resolve_context(const Sections& sections, const Section& context, const ContextRules& rules) {
  return Resolver(sections, rules).resolve(context);
}

}  // namespace fresnel::kube

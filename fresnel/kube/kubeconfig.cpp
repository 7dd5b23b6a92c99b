#include "fresnel/kube/kubeconfig.hpp"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <boost/url/parse.hpp>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>

#include "fresnel/net/digest.hpp"

namespace fresnel::kube {
namespace {

namespace fs = std::filesystem;

// A named cluster, user or context and the file it came from.
struct Section {
  std::string name;
  std::string kind;  // "cluster", "user" or "context"
  std::string file;
  YAML::Node body;
};

struct Merged {
  std::vector<Section> clusters;
  std::vector<Section> users;
  std::vector<Section> contexts;
  std::string current_context;
  std::vector<std::string> files;
};

Error bad_field(const Section& section, std::string_view field, std::string_view problem) {
  return {Errc::invalid_argument,
          fmt::format("kubeconfig {}: {} \"{}\": {}: {}", section.file, section.kind, section.name, field, problem)};
}

const Section* find_section(const std::vector<Section>& sections, std::string_view name) {
  const auto it = std::find_if(sections.begin(), sections.end(), [&](const Section& s) { return s.name == name; });
  return it == sections.end() ? nullptr : &*it;
}

// A missing or null field is the empty string.
result<std::string> string_field(const Section& section, const char* field) {
  if (!section.body.IsMap()) return std::string();
  const YAML::Node& body = section.body;  // only a const node's operator[] does not add the key
  const YAML::Node value = body[field];
  if (!value || value.IsNull()) return std::string();
  if (!value.IsScalar()) return bad_field(section, field, "expected a string");
  return value.Scalar();
}

result<bool> bool_field(const Section& section, const char* field) {
  const auto text = string_field(section, field);
  if (!text) return text.error();
  if (text->empty() || *text == "false") return false;
  if (*text == "true") return true;
  return bad_field(section, field, "expected true or false");
}

bool has_field(const Section& section, const char* field) {
  const YAML::Node& body = section.body;
  return body.IsMap() && body[field] && !body[field].IsNull();
}

result<std::string> read_file(const std::string& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) return Error{Errc::invalid_argument, fmt::format("\"{}\" is a folder", path)};
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  if (!in.is_open() || in.bad()) {
    const int reason = errno != 0 ? errno : EIO;
    return Error{reason == ENOENT ? Errc::not_found : Errc::invalid_argument,
                 fmt::format("cannot read \"{}\": {}", path, std::strerror(reason))};
  }
  return text;
}

std::string resolve_path(const Section& section, const std::string& path) {
  return fs::path(path).is_absolute() ? path
                                      : (fs::path(section.file).parent_path() / path).lexically_normal().string();
}

// The text of `field` (a path) or of `field`-data (base64), empty when neither is there.
result<std::string> pem_field(const Section& section, const std::string& field) {
  const std::string data_field = field + "-data";
  const auto path = string_field(section, field.c_str());
  if (!path) return path.error();
  const auto data = string_field(section, data_field.c_str());
  if (!data) return data.error();
  if (!path->empty() && !data->empty()) {
    return bad_field(section, field, fmt::format("{} is there too: only one of them may be", data_field));
  }
  if (path->empty() && data->empty()) return std::string();

  std::string pem;
  if (!data->empty()) {
    auto decoded = net::from_base64(*data);
    if (!decoded) return bad_field(section, data_field, "is not base64");
    pem = std::move(*decoded);
  } else {
    auto content = read_file(resolve_path(section, *path));
    if (!content) return bad_field(section, field, content.error().message);
    pem = std::move(*content);
  }
  if (pem.find("-----BEGIN ") == std::string::npos) {
    return bad_field(section, data->empty() ? field : data_field, "expected PEM text (\"-----BEGIN ...\")");
  }
  return pem;
}

std::string trimmed(std::string text) {
  constexpr const char* kSpace = " \t\r\n";
  text.erase(text.find_last_not_of(kSpace) + 1);
  text.erase(0, text.find_first_not_of(kSpace));
  return text;
}

// kubectl accepts "host:port" too: https when anything about TLS is configured, else http.
result<std::string> server_url(const Section& cluster, bool has_tls_settings) {
  auto server = string_field(cluster, "server");
  if (!server) return server.error();
  if (server->empty()) return bad_field(cluster, "server", "is missing: expected the API server's URL");
  if (server->find("://") == std::string::npos) *server = (has_tls_settings ? "https://" : "http://") + *server;
  const auto url = boost::urls::parse_uri(*server);
  if (!url || url->host().empty() || (url->scheme() != "https" && url->scheme() != "http") || url->has_query() ||
      url->has_fragment() || url->has_userinfo()) {
    return bad_field(cluster, "server", "expected an http or https URL of host, port and path only");
  }
  while (server->ends_with('/')) server->pop_back();
  return server;
}

// Settings that would be ignored, and so must not be: what they protect or provide would silently be missing.
result<void> refuse_unsupported(const Section& section, std::initializer_list<const char*> fields) {
  for (const char* field : fields) {
    if (has_field(section, field)) return bad_field(section, field, "is not supported by this version");
  }
  return {};
}

result<void> fill_cluster(const Section& cluster, ClusterContext& context, net::TlsOptions& tls) {
  if (auto supported = refuse_unsupported(cluster, {"proxy-url"}); !supported) return supported.error();
  auto ca = pem_field(cluster, "certificate-authority");
  if (!ca) return ca.error();
  const auto insecure = bool_field(cluster, "insecure-skip-tls-verify");
  if (!insecure) return insecure.error();
  if (*insecure && !ca->empty()) {
    return bad_field(cluster, "insecure-skip-tls-verify",
                     "specifying a root certificates file with the insecure flag is not allowed");
  }
  auto server_name = string_field(cluster, "tls-server-name");
  if (!server_name) return server_name.error();
  auto server = server_url(cluster, !ca->empty() || *insecure);
  if (!server) return server.error();

  context.cluster = cluster.name;
  context.server = std::move(*server);
  tls.ca_pem = std::move(*ca);
  tls.insecure_skip_verify = *insecure;
  tls.server_name = std::move(*server_name);
  return {};
}

// tokenFile wins over token as long as it can be read.
result<std::string> bearer_token(const Section& user) {
  auto token = string_field(user, "token");
  if (!token) return token.error();
  const auto path = string_field(user, "tokenFile");
  if (!path) return path.error();
  if (path->empty()) return trimmed(std::move(*token));
  auto content = read_file(resolve_path(user, *path));
  std::string from_file = content ? trimmed(std::move(*content)) : std::string();
  if (!from_file.empty()) return from_file;
  if (!token->empty()) return trimmed(std::move(*token));
  return bad_field(user, "tokenFile", content ? "the file is empty" : content.error().message);
}

result<void> fill_user(const Section& user, ClusterContext& context, net::TlsOptions& tls) {
  if (auto supported = refuse_unsupported(user, {"exec", "auth-provider", "username", "password", "as"}); !supported) {
    return supported.error();
  }
  auto certificate = pem_field(user, "client-certificate");
  if (!certificate) return certificate.error();
  auto key = pem_field(user, "client-key");
  if (!key) return key.error();
  if (certificate->empty() != key->empty()) {
    return bad_field(user, certificate->empty() ? "client-certificate" : "client-key",
                     "is missing: a client certificate and its key go together");
  }
  auto token = bearer_token(user);
  if (!token) return token.error();
  if (token->find_first_of("\r\n") != std::string::npos) return bad_field(user, "token", "expected one line");

  tls.client_cert_pem = *certificate;
  tls.client_key_pem = *key;
  context.user = user.name;
  context.credential.bearer_token = *std::move(token);
  context.credential.client_cert_pem = *std::move(certificate);
  context.credential.client_key_pem = *std::move(key);
  return {};
}

result<ClusterContext> resolve(const Merged& merged, const Section& section) {
  ClusterContext context;
  context.name = section.name;
  net::TlsOptions tls;

  const auto cluster_name = string_field(section, "cluster");
  if (!cluster_name) return cluster_name.error();
  if (cluster_name->empty()) return bad_field(section, "cluster", "is missing: expected the name of a cluster");
  const Section* cluster = find_section(merged.clusters, *cluster_name);
  if (cluster == nullptr) return bad_field(section, "cluster", fmt::format("there is no \"{}\"", *cluster_name));
  if (auto filled = fill_cluster(*cluster, context, tls); !filled) return filled.error();

  const auto user_name = string_field(section, "user");
  if (!user_name) return user_name.error();
  if (!user_name->empty()) {
    const Section* user = find_section(merged.users, *user_name);
    if (user == nullptr) return bad_field(section, "user", fmt::format("there is no \"{}\"", *user_name));
    if (auto filled = fill_user(*user, context, tls); !filled) return filled.error();
  }

  auto default_namespace = string_field(section, "namespace");
  if (!default_namespace) return default_namespace.error();
  if (!default_namespace->empty()) context.default_namespace = std::move(*default_namespace);
  context.tls = std::make_shared<const net::TlsOptions>(std::move(tls));
  return context;
}

// Adds the entries of one list ("clusters": [{"name": ..., "cluster": {...}}]) whose names are new.
result<void> merge_sections(const YAML::Node& root, const std::string& file, const char* list, const char* kind,
                            std::vector<Section>& into) {
  const YAML::Node entries = root[list];
  if (!entries || entries.IsNull()) return {};
  const auto wrong = [&](std::string_view problem) {
    return Error{Errc::invalid_argument, fmt::format("kubeconfig {}: {}: {}", file, list, problem)};
  };
  if (!entries.IsSequence()) return wrong("expected a list");
  for (const YAML::Node& entry : entries) {
    if (!entry.IsMap()) return wrong("expected entries of a name and a " + std::string(kind));
    const YAML::Node name = entry["name"];
    if (!name || !name.IsScalar() || name.Scalar().empty()) return wrong("an entry has no name");
    const YAML::Node body = entry[kind];
    if (body && !body.IsNull() && !body.IsMap()) {
      return wrong(fmt::format("\"{}\": expected {} to be a map", name.Scalar(), kind));
    }
    if (find_section(into, name.Scalar()) != nullptr) continue;
    into.push_back({name.Scalar(), kind, file, body ? body : YAML::Node()});
  }
  return {};
}

result<void> merge_text(Merged& merged, const std::string& file, const std::string& text) {
  YAML::Node root;
  try {
    root = YAML::Load(text);
  } catch (const YAML::Exception& e) {
    return Error{Errc::invalid_argument,
                 fmt::format("kubeconfig {}: line {}: {}", file, e.mark.is_null() ? 1 : e.mark.line + 1, e.msg)};
  }
  merged.files.push_back(file);
  if (!root || root.IsNull()) return {};
  if (!root.IsMap()) return Error{Errc::invalid_argument, fmt::format("kubeconfig {}: expected a map", file)};

  const YAML::Node& document = root;
  const YAML::Node current = document["current-context"];
  if (merged.current_context.empty() && current && current.IsScalar()) merged.current_context = current.Scalar();
  if (auto done = merge_sections(document, file, "clusters", "cluster", merged.clusters); !done) return done;
  if (auto done = merge_sections(document, file, "users", "user", merged.users); !done) return done;
  return merge_sections(document, file, "contexts", "context", merged.contexts);
}

std::vector<std::string> candidate_files(const KubeconfigOptions& options) {
  if (!options.explicit_path.empty()) return {options.explicit_path};
  std::vector<std::string> files;
  if (options.env_list.empty()) {
    if (!options.home.empty()) files.push_back((fs::path(options.home) / ".kube" / "config").string());
    return files;
  }
  std::size_t begin = 0;
  while (begin <= options.env_list.size()) {
    const auto end = std::min(options.env_list.find(':', begin), options.env_list.size());
    const std::string file = options.env_list.substr(begin, end - begin);
    if (!file.empty() && std::find(files.begin(), files.end(), file) == files.end()) files.push_back(file);
    begin = end + 1;
  }
  return files;
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

}  // namespace

KubeconfigOptions KubeconfigOptions::from_environment(std::string explicit_path) {
  return {std::move(explicit_path), environment("KUBECONFIG"), environment("HOME")};
}

result<Kubeconfig> load_kubeconfig(const KubeconfigOptions& options) {
  Merged merged;
  for (const auto& file : candidate_files(options)) {
    const auto text = read_file(file);
    if (!text) {
      if (text.error().code == Errc::not_found && options.explicit_path.empty()) continue;
      return Error{text.error().code, "kubeconfig: " + text.error().message};
    }
    if (auto done = merge_text(merged, file, *text); !done) return done.error();
  }

  Kubeconfig config;
  config.current_context = merged.current_context;
  config.files = merged.files;
  for (const Section& section : merged.contexts) {
    KubeconfigEntry entry{section.name, {}, {}, resolve(merged, section)};
    if (auto cluster = string_field(section, "cluster")) entry.cluster = std::move(*cluster);
    if (const Section* cluster = find_section(merged.clusters, entry.cluster)) {
      if (auto server = string_field(*cluster, "server")) entry.server = std::move(*server);
    }
    config.contexts.push_back(std::move(entry));
  }
  return config;
}

result<ClusterContext> Kubeconfig::find(std::string_view name) const {
  if (contexts.empty()) {
    return Error{Errc::not_found,
                 "no kubeconfig with a context was found: give --kubeconfig, set KUBECONFIG or create ~/.kube/config"};
  }
  const std::string_view wanted = name.empty() ? std::string_view(current_context) : name;
  std::string known;
  for (const auto& entry : contexts) {
    if (entry.name == wanted) return entry.context;
    known += (known.empty() ? "" : ", ") + entry.name;
  }
  if (wanted.empty()) return Error{Errc::not_found, "no current-context is set; the kubeconfig has: " + known};
  return Error{Errc::not_found, fmt::format("context \"{}\" does not exist; the kubeconfig has: {}", wanted, known)};
}

}  // namespace fresnel::kube

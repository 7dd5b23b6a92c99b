#include "tests/support/kube_apiserver.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <cstdlib>
#include <optional>
#include <stdexcept>

#include "tests/support/ports.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/wait.hpp"

namespace fresnel::test {

namespace fs = std::filesystem;
namespace json = boost::json;

namespace {

fs::path assets() {
  const char* folder = std::getenv("KUBEBUILDER_ASSETS");
  return folder != nullptr ? fs::path(folder) : fs::path();
}

bool complete(const fs::path& folder) {
  return !folder.empty() && access((folder / "kube-apiserver").c_str(), X_OK) == 0 &&
         access((folder / "etcd").c_str(), X_OK) == 0;
}

fs::path required_assets() {
  if (complete(assets())) return assets();
  throw std::runtime_error("KUBEBUILDER_ASSETS (\"" + assets().string() +
                           "\") must name a folder with the programs kube-apiserver and etcd");
}

std::string last_lines(const std::string& text, std::size_t lines) {
  std::size_t at = text.size();
  while (at > 0 && lines > 0) {
    at = text.rfind('\n', at - 1);
    if (at == std::string::npos) return text;
    --lines;
  }
  return text.substr(at == 0 ? 0 : at + 1);
}

}  // namespace

class KubeApiServer::Impl {
 public:
  explicit Impl(std::vector<std::string> extra) : assets_(required_assets()) {
    make_service_account_key();
    write_tokens();
    start_etcd();
    start(std::move(extra));
  }

  void start(std::vector<std::string> extra) {
    if (server_) throw std::runtime_error("kube-apiserver is already running");
    extra_ = std::move(extra);
    const auto& dir = dir_.path();
    std::vector<std::string> argv{
        (assets_ / "kube-apiserver").string(),
        "--etcd-servers=" + etcd_url_,
        "--bind-address=127.0.0.1",
        fmt::format("--secure-port={}", port_),
        "--cert-dir=" + (dir / "certs").string(),
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-account-key-file=" + (dir / "sa.key").string(),
        "--service-account-signing-key-file=" + (dir / "sa.key").string(),
        "--token-auth-file=" + (dir / "tokens.csv").string(),
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--disable-admission-plugins=ServiceAccount",
        "--endpoint-reconciler-type=none",
    };
    argv.insert(argv.end(), extra_.begin(), extra_.end());
    server_.emplace(ProcessOptions{.argv = std::move(argv), .log_file = log_file()});
    wait_until_ready();
  }

  void stop() {
    if (!server_) return;
    server_->terminate();
    if (!server_->wait(std::chrono::seconds(70))) throw std::runtime_error("kube-apiserver does not end on SIGTERM");
    server_.reset();
  }

  void kill() { server_.reset(); }

  Process& server() {
    if (!server_) throw std::runtime_error("kube-apiserver is not running");
    return *server_;
  }

  void add_user(KubeUser user) {
    users_.push_back(std::move(user));
    write_tokens();
    auto extra = extra_;
    kill();
    start(std::move(extra));
  }

  [[nodiscard]] const KubeUser& user(std::string_view name) const {
    for (const auto& user : users_) {
      if (user.name == name) return user;
    }
    throw std::runtime_error("no user " + std::string(name) + " in this test server");
  }

  std::int64_t compact() {
    const auto range = etcd_call("/v3/kv/range", R"({"key":"AA==","count_only":true})");
    const auto revision = std::string(range.at("header").at("revision").as_string());
    (void)etcd_call("/v3/kv/compaction", R"({"revision":")" + revision + R"(","physical":true})");
    return std::stoll(revision);
  }

  // etcd recovers from its files at any moment, as after a crash; none may change while they are copied.
  void back_up() {
    etcd_->stop();
    fs::remove_all(dir_.path() / "backup");
    fs::copy(dir_.path() / "etcd", dir_.path() / "backup", fs::copy_options::recursive);
    etcd_->resume();
  }

  void restore() {
    auto extra = extra_;
    kill();
    etcd_.reset();
    fs::remove_all(dir_.path() / "etcd");
    fs::copy(dir_.path() / "backup", dir_.path() / "etcd", fs::copy_options::recursive);
    start_etcd();
    start(std::move(extra));
  }

  [[nodiscard]] HttpReply request(HttpCall call, std::string_view path, std::string_view user_name) const {
    call.url = url() + std::string(path);
    call.ca_file = ca_file().string();
    call.headers.push_back("Authorization: Bearer " + user(user_name).token);
    return http(call);
  }

  [[nodiscard]] fs::path write_kubeconfig(std::string_view context, std::string_view user_name) const {
    const json::value name(context);
    const json::object file{
        {"apiVersion", "v1"},
        {"kind", "Config"},
        {"current-context", name},
        {"clusters", json::array{json::object{
                         {"name", name},
                         {"cluster", json::object{{"server", url()}, {"certificate-authority", ca_file().string()}}}}}},
        {"users", json::array{json::object{{"name", name}, {"user", json::object{{"token", user(user_name).token}}}}}},
        {"contexts",
         json::array{json::object{{"name", name}, {"context", json::object{{"cluster", name}, {"user", name}}}}}},
    };
    return dir_.write(fmt::format("kubeconfig-{}-{}.yaml", context, user_name), json::serialize(file));
  }

  [[nodiscard]] std::string url() const { return fmt::format("https://127.0.0.1:{}", port_); }
  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  [[nodiscard]] fs::path ca_file() const { return dir_.path() / "certs" / "apiserver.crt"; }
  [[nodiscard]] fs::path log_file() const { return dir_.path() / "kube-apiserver.log"; }

 private:
  void make_service_account_key() {
    const auto file = dir_.path() / "sa.key";
    const auto made = run({.argv = {"openssl", "genrsa", "-out", file.string(), "2048"}}, std::chrono::seconds(60));
    if (made.status != ExitStatus{.code = 0}) throw std::runtime_error("openssl genrsa failed: " + made.error_output);
  }

  void write_tokens() {
    std::string lines;
    for (const auto& user : users_) {
      lines += fmt::format("{},{},uid-{}", user.token, user.name, user.name);
      lines += user.group.empty() ? "\n" : fmt::format(",\"{}\"\n", user.group);
    }
    dir_.write("tokens.csv", lines);
  }

  void start_etcd() {
    const auto& peer = etcd_peer_;
    etcd_.emplace(ProcessOptions{
        .argv = {(assets_ / "etcd").string(), "--data-dir", (dir_.path() / "etcd").string(), "--listen-client-urls",
                 etcd_url_, "--advertise-client-urls", etcd_url_, "--listen-peer-urls", peer,
                 "--initial-advertise-peer-urls", peer, "--initial-cluster", "default=" + peer, "--unsafe-no-fsync"},
        .log_file = dir_.path() / "etcd.log"});
    const bool healthy =
        ask_until([&] { return !etcd_->running() || http({.url = etcd_url_ + "/health"}).status == 200; },
                  std::chrono::seconds(30));
    if (!healthy || !etcd_->running()) {
      throw std::runtime_error("etcd did not start:\n" + last_lines(read_file(dir_.path() / "etcd.log"), 20));
    }
  }

  void wait_until_ready() {
    const auto ready = [&] {
      // The server makes the namespace `default` itself, soon after it calls itself ready.
      return !server_->running() || (answers("/readyz") && answers("/api/v1/namespaces/default"));
    };
    const bool answered = ask_until(ready, std::chrono::seconds(90));
    if (answered && server_->running()) return;
    throw std::runtime_error("kube-apiserver did not become ready; its log ends with\n" +
                             last_lines(read_file(log_file()), 40));
  }

  [[nodiscard]] bool answers(std::string_view path) const {
    return request({.timeout = std::chrono::seconds(5)}, path, "admin").status == 200;
  }

  [[nodiscard]] json::value etcd_call(std::string_view path, std::string body) const {
    const auto reply = http({.method = "POST", .url = etcd_url_ + std::string(path), .body = std::move(body)});
    if (reply.status != 200) {
      throw std::runtime_error(fmt::format("etcd {}: {} {} {}", path, reply.status, reply.error, reply.body));
    }
    return json::parse(reply.body);
  }

  fs::path assets_;
  TempDir dir_;
  std::vector<KubeUser> users_{{"admin", "admin-token", "system:masters"},
                               {"second", "second-token", "system:masters"},
                               {"alice", "alice-token"},
                               {"bob", "bob-token"},
                               {"mallory", "mallory-token"}};
  std::string etcd_url_ = fmt::format("http://127.0.0.1:{}", free_port());
  std::string etcd_peer_ = fmt::format("http://127.0.0.1:{}", free_port());
  std::uint16_t port_ = free_port();
  std::vector<std::string> extra_;
  std::optional<Process> etcd_;
  std::optional<Process> server_;
};

bool KubeApiServer::wanted() { return complete(assets()) || std::getenv("CI") != nullptr; }

KubeApiServer& KubeApiServer::shared() {
  static KubeApiServer server;
  return server;
}

KubeApiServer::KubeApiServer(std::vector<std::string> extra_arguments)
    : impl_(std::make_unique<Impl>(std::move(extra_arguments))) {}
KubeApiServer::~KubeApiServer() = default;

std::string KubeApiServer::url() const { return impl_->url(); }
std::uint16_t KubeApiServer::port() const noexcept { return impl_->port(); }
fs::path KubeApiServer::ca_file() const { return impl_->ca_file(); }
std::string KubeApiServer::ca_pem() const { return read_file(impl_->ca_file()); }
const KubeUser& KubeApiServer::user(std::string_view name) const { return impl_->user(name); }
void KubeApiServer::add_user(KubeUser user) { impl_->add_user(std::move(user)); }

fs::path KubeApiServer::kubeconfig_file(std::string_view context, std::string_view user) const {
  return impl_->write_kubeconfig(context, user);
}

void KubeApiServer::stop_server() { impl_->stop(); }
void KubeApiServer::kill_server() { impl_->kill(); }
void KubeApiServer::start_server(std::vector<std::string> extra_arguments) { impl_->start(std::move(extra_arguments)); }
void KubeApiServer::pause_server() { impl_->server().stop(); }
void KubeApiServer::resume_server() { impl_->server().resume(); }
std::int64_t KubeApiServer::compact() { return impl_->compact(); }
void KubeApiServer::back_up() { impl_->back_up(); }
void KubeApiServer::restore() { impl_->restore(); }
fs::path KubeApiServer::log_file() const { return impl_->log_file(); }
std::string KubeApiServer::log_tail(std::size_t lines) const { return last_lines(read_file(log_file()), lines); }

HttpReply KubeApiServer::request(std::string_view method, std::string_view path, std::string body,
                                 std::string_view content_type, std::string_view user) const {
  HttpCall call{.method = std::string(method), .body = std::move(body)};
  if (!call.body.empty()) call.headers.push_back("Content-Type: " + std::string(content_type));
  return impl_->request(std::move(call), path, user);
}

namespace {

constexpr std::string_view kRoles = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
constexpr std::string_view kBindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";

std::string_view group_of(std::string_view resource) {
  constexpr std::array<std::string_view, 4> kApps{"deployments", "replicasets", "statefulsets", "daemonsets"};
  return std::find(kApps.begin(), kApps.end(), resource) != kApps.end() ? "apps" : "";
}

json::array to_json(const std::vector<std::string>& texts) { return json::array(texts.begin(), texts.end()); }

void expect_status(const HttpReply& reply, int status, std::string_view what) {
  if (reply.status != status) {
    throw std::runtime_error(fmt::format("{}: {} {} {}", what, reply.status, reply.error, reply.body));
  }
}

}  // namespace

void KubeApiServer::grant(std::string_view user, std::vector<std::string> verbs, std::vector<std::string> resources) {
  const auto name = fmt::format("test-{}-{}-{}", user, fmt::join(verbs, "."), fmt::join(resources, "."));
  const json::object metadata{{"name", name}, {"labels", json::object{{"fresnel-test-user", user}}}};
  const json::object rule{
      {"apiGroups", json::array{"", "apps"}}, {"resources", to_json(resources)}, {"verbs", to_json(verbs)}};
  const json::object role{{"metadata", metadata}, {"rules", json::array{rule}}};
  const json::object binding{
      {"metadata", metadata},
      {"roleRef", json::object{{"apiGroup", "rbac.authorization.k8s.io"}, {"kind", "ClusterRole"}, {"name", name}}},
      {"subjects",
       json::array{json::object{{"apiGroup", "rbac.authorization.k8s.io"}, {"kind", "User"}, {"name", user}}}}};
  expect_status(request("POST", kRoles, json::serialize(role)), 201, "creating a ClusterRole");
  expect_status(request("POST", kBindings, json::serialize(binding)), 201, "creating a ClusterRoleBinding");
  const json::object review{
      {"apiVersion", "authorization.k8s.io/v1"},
      {"kind", "SelfSubjectAccessReview"},
      {"spec", json::object{{"resourceAttributes", json::object{{"verb", verbs.at(0)},
                                                                {"group", group_of(resources.at(0))},
                                                                {"resource", resources.at(0)},
                                                                {"namespace", "default"}}}}}};
  const auto allowed = [&] {
    const auto reply = request("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
                               json::serialize(review), "application/json", user);
    return reply.status == 201 && reply.body.find(R"("allowed":true)") != std::string::npos;
  };
  if (!ask_until(allowed, std::chrono::seconds(10))) {
    throw std::runtime_error("the server does not act on a ClusterRoleBinding");
  }
}

void KubeApiServer::revoke(std::string_view user) {
  const auto selector = fmt::format("?labelSelector=fresnel-test-user%3D{}", user);
  expect_status(request("DELETE", std::string(kBindings) + selector), 200, "deleting ClusterRoleBindings");
  expect_status(request("DELETE", std::string(kRoles) + selector), 200, "deleting ClusterRoles");
}

}  // namespace fresnel::test

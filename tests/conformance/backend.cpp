#include "tests/conformance/backend.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <optional>
#include <stdexcept>
#include <thread>

#include "fresnel/base/clock.hpp"
#include "fresnel/sim/cluster.hpp"
#include "tests/support/http.hpp"
#include "tests/support/kube_apiserver.hpp"

namespace fresnel::conformance {
namespace {

Reply send_to(const std::string& url, const std::string& ca_file, const std::string& token, const Request& request) {
  test::HttpCall call{.method = request.method, .url = url + request.path, .body = request.body};
  call.ca_file = ca_file;
  call.timeout = std::chrono::seconds(30);
  if (!token.empty()) call.headers.push_back("authorization: Bearer " + token);
  if (!request.accept.empty()) call.headers.push_back("accept: " + request.accept);
  call.headers.push_back("user-agent: conformance");
  if (!request.body.empty()) call.headers.push_back("content-type: " + request.content_type);
  const auto answer = test::http(call);
  if (answer.status == 0 || !answer.error.empty()) {
    throw std::runtime_error(request.method + " " + request.path + ": " + answer.error);
  }
  Reply reply{.status = answer.status, .body = answer.body};
  for (const auto& line : answer.headers) {
    const auto colon = line.find(": ");
    if (colon == std::string::npos || !net::equal_ignoring_case(line.substr(0, colon), "content-type")) continue;
    reply.content_type = line.substr(colon + 2);
  }
  return reply;
}

std::string token_of(const std::string& user) { return user.empty() ? "" : user + "-token"; }

class Sim final : public Backend {
 public:
  Sim() {
    sim::ClusterOptions options;
    // A bare kube-apiserver has neither controllers nor kubelets.
    options.resources.finish_deletions = false;
    options.auth.anonymous = sim::Anonymous::nothing;
    options.auth.tokens = {{.token = token_of("admin"), .user = "admin", .groups = {"system:masters"}},
                           {.token = token_of("mallory"), .user = "mallory"}};
    cluster_.emplace(io_.get_executor(), clock_, std::move(options));
    (void)cluster_->listen().value();
    thread_ = std::thread([this] { io_.run(); });
  }
  ~Sim() override {
    asio::post(io_, [this] { cluster_->server().stop(); });
    work_.reset();
    thread_.join();
  }

  Reply send(const Request& request) override { return send_to(cluster_->url(), "", token_of(request.user), request); }
  void compact() override {
    std::promise<void> done;
    asio::post(io_, [&] {
      cluster_->store().compact(cluster_->store().revision());
      done.set_value();
    });
    done.get_future().get();
  }

 private:
  asio::io_context io_;
  SteadyClock clock_;
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> work_{io_.get_executor()};
  std::optional<sim::Cluster> cluster_;
  std::thread thread_;
};

class Real final : public Backend {
 public:
  Reply send(const Request& request) override {
    const bool known = request.user == "admin" || request.user == "mallory";
    const auto token = known ? server_.user(request.user).token : token_of(request.user);
    return send_to(server_.url(), server_.ca_file().string(), token, request);
  }
  void compact() override { (void)server_.compact(); }

 private:
  test::KubeApiServer& server_ = test::KubeApiServer::shared();
};

}  // namespace

std::unique_ptr<Backend> start_sim() { return std::make_unique<Sim>(); }

std::unique_ptr<Backend> real() { return std::make_unique<Real>(); }

bool real_wanted() { return test::KubeApiServer::wanted(); }

}  // namespace fresnel::conformance

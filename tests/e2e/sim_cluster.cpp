#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <optional>
#include <stdexcept>
#include <thread>
#include <type_traits>

#include "fresnel/base/clock.hpp"
#include "fresnel/sim/cluster.hpp"
#include "tests/e2e/cluster.hpp"
#include "tests/e2e/sim_control.hpp"
#include "tests/support/ports.hpp"

namespace fresnel::test {
namespace {

// The simulation on a thread of its own, as an API server would be.
class SimCluster final : public Cluster {
 public:
  SimCluster() : thread_([this] { io_.run(); }) {
    on_thread([this] {
      sim_.emplace(io_.get_executor(), clock_);
      sim_->server().set_auth({.tokens = known_tokens()});
      return sim_->listen({"127.0.0.1", port_}).value();
    });
  }
  ~SimCluster() override {
    on_thread([this] {
      sim_.reset();
      return 0;
    });
    work_.reset();
    thread_.join();
  }

  std::uint16_t port() const override { return port_; }

  std::string kubeconfig(std::string_view name, std::uint16_t port) const override {
    return kubeconfig_of(name, port, "{}");
  }

  std::string limited_kubeconfig(std::string_view name, std::uint16_t port,
                                 const std::vector<std::string>& namespaces) override {
    on_thread([&] {
      sim::Rule rule{.verbs = {"get", "list", "watch"}, .groups = {""}, .resources = {"configmaps"}};
      rule.namespaces = namespaces;
      sim::Token token{.token = "limited-token", .user = "alice", .rules = {std::move(rule)}};
      auto tokens = known_tokens();
      tokens.push_back(std::move(token));
      sim_->server().set_auth({.tokens = std::move(tokens)});
      return 0;
    });
    return kubeconfig_of(name, port, "{token: limited-token}");
  }

  std::string kubeconfig_of(std::string_view name, std::uint16_t port, std::string_view entry) const override {
    const std::string id(name);
    return "apiVersion: v1\nkind: Config\ncurrent-context: " + id + "\ncontexts:\n- name: " + id +
           "\n  context: {cluster: c, user: u}\nclusters:\n- name: c\n  cluster: {server: \"http://127.0.0.1:" +
           std::to_string(port) + "\"}\nusers:\n- name: u\n  user: " + std::string(entry) + "\n";
  }

  HttpReply request(std::string_view method, std::string_view path, std::string body,
                    std::string_view content_type) override {
    HttpCall call{.method = std::string(method),
                  .url = "http://127.0.0.1:" + std::to_string(port_) + std::string(path)};
    call.headers = {"content-type: " + std::string(content_type)};
    call.body = std::move(body);
    return http(call);
  }

  void kill() override {
    on_thread([this] {
      sim_->server().stop();
      return 0;
    });
  }
  void restart() override {
    on_thread([this] { return sim_->server().listen({"127.0.0.1", port_}).value(); });
  }
  void pause() override { set_mode(sim::ApiServer::Mode::stalled); }
  void resume() override { set_mode(sim::ApiServer::Mode::serving); }
  void back_up() override {
    backup_ = on_thread([this] { return sim_->store().revision(); });
  }
  void restore() override {
    kill();
    // The watches have ended in the turn after the server's end.
    const bool restored = on_thread([this] { return sim_->store().rewind(backup_); });
    if (!restored) throw std::runtime_error("the simulation's history does not reach back to the backup");
    restart();
  }
  void compact() override {
    on_thread([this] {
      sim_->store().compact(sim_->store().revision());
      return 0;
    });
  }
  int open_watches() override {
    return on_thread([this] {
      int open = 0;
      for (const auto& [path, count] : sim_->server().counters().open_watches) {
        if (path.ends_with("/configmaps")) open += static_cast<int>(count);
      }
      return open;
    });
  }

  template <class Action>
  std::invoke_result_t<Action> on_thread(Action action) {
    std::packaged_task<std::invoke_result_t<Action>()> task(std::move(action));
    auto done = task.get_future();
    asio::post(io_, [&task] { task(); });
    return done.get();
  }

  sim::Cluster& sim() { return *sim_; }

 private:
  static std::vector<sim::Token> known_tokens() {
    return {{.token = "admin-token", .user = "admin", .groups = {"system:masters"}},
            {.token = "second-token", .user = "second", .groups = {"system:masters"}},
            {.token = "alice-token", .user = "alice"}};
  }

  void set_mode(sim::ApiServer::Mode mode) {
    on_thread([this, mode] {
      sim_->server().set_mode(mode);
      return 0;
    });
  }

  std::uint16_t port_ = free_port();
  SteadyClock clock_;
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  std::optional<sim::Cluster> sim_;
  sim::Revision backup_ = 0;
  std::thread thread_;
};

SimCluster& the_sim() {
  static SimCluster cluster;
  return cluster;
}

}  // namespace

Cluster& sim_cluster() { return the_sim(); }

void on_sim(const std::function<void(sim::Cluster&)>& action) {
  the_sim().on_thread([&] {
    action(the_sim().sim());
    return 0;
  });
}

}  // namespace fresnel::test

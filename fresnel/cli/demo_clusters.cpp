#include "fresnel/cli/demo_clusters.hpp"

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "fresnel/base/clock.hpp"
#include "fresnel/sim/cluster.hpp"
#include "fresnel/sim/workload.hpp"

namespace fresnel::cli {
namespace {

struct Place {
  std::string_view name;
  std::string_view zone;
  std::uint64_t seed;
};

constexpr std::array<Place, 2> kPlaces{{{"demo-east", "east", 17}, {"demo-west", "west", 42}}};
constexpr Duration kTick = milliseconds(50);

struct DemoCluster {
  DemoCluster(const Executor& executor, Clock& clock, const Place& place, int pods)
      : cluster(executor, clock, {.name = std::string(place.name)}),
        workload(cluster.resources(), {.pods = pods, .zone = std::string(place.zone), .seed = place.seed}) {}

  sim::Cluster cluster;
  sim::Workload workload;
};

}  // namespace

class DemoClusters::Impl {
 public:
  explicit Impl(DemoOptions options) : options_(options), tick_(io_.get_executor(), clock_) {}

  ~Impl() {
    if (!thread_.joinable()) return;
    asio::post(io_, [this] {
      stopping_ = true;
      tick_.cancel();
      clusters_.clear();
    });
    thread_.join();  // when the clusters' coroutines have ended
  }

  result<std::vector<kube::ClusterContext>> start() {
    std::vector<kube::ClusterContext> contexts;
    for (const Place& place : kPlaces) {
      clusters_.push_back(std::make_unique<DemoCluster>(io_.get_executor(), clock_, place, options_.pods));
      auto& cluster = clusters_.back()->cluster;
      auto listening = cluster.listen();
      if (!listening) return listening.error();
      kubeconfigs_.emplace_back(place.name, cluster.url());
      contexts.push_back({.name = std::string(place.name),
                          .cluster = std::string(place.name),
                          .user = "demo",
                          .server = cluster.url(),
                          .default_namespace = "default"});
    }
    asio::co_spawn(io_, live(), asio::detached);
    thread_ = std::thread([this] { io_.run(); });
    return contexts;
  }

  [[nodiscard]] std::string kubeconfig() const {
    std::string contexts;
    std::string clusters;
    for (const auto& [name, url] : kubeconfigs_) {
      contexts += "- name: " + name + "\n  context: {cluster: " + name + ", user: demo}\n";
      clusters += "- name: " + name + "\n  cluster: {server: \"" + url + "\"}\n";
    }
    return "apiVersion: v1\nkind: Config\ncurrent-context: " + kubeconfigs_.front().first + "\ncontexts:\n" + contexts +
           "clusters:\n" + clusters + "users:\n- name: demo\n  user: {}\n";
  }

 private:
  awaitable<void> live() {
    double owed = 0;
    while (!stopping_) {
      auto pause = tick_.wait_for(kTick);
      (void)co_await std::move(pause);
      if (stopping_) break;
      owed += options_.rate * std::chrono::duration<double>(kTick).count();
      for (; owed >= 1; owed -= 1) {
        for (const auto& cluster : clusters_) cluster->workload.step();
      }
    }
  }

  const DemoOptions options_;
  SteadyClock clock_;
  asio::io_context io_{1};
  Timer tick_;
  bool stopping_ = false;
  std::vector<std::unique_ptr<DemoCluster>> clusters_;
  std::vector<std::pair<std::string, std::string>> kubeconfigs_;  // name, URL
  std::thread thread_;
};

DemoClusters::DemoClusters(DemoOptions options) : impl_(std::make_unique<Impl>(options)) {}
DemoClusters::~DemoClusters() = default;

result<std::vector<kube::ClusterContext>> DemoClusters::start() { return impl_->start(); }
std::string DemoClusters::kubeconfig() const { return impl_->kubeconfig(); }

}  // namespace fresnel::cli

// A believable life for a simulated cluster: deployments that roll out new versions pod by pod, pods that crash and
// recover, nodes that go away and come back, with the Events that a real cluster would write about it.
//
// Each step() is one or two changes of objects. The same seed gives the same life.
//
// Thread safety: the thread of the Resources.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "fresnel/base/backoff.hpp"
#include "fresnel/sim/resources.hpp"

namespace fresnel::sim {

struct WorkloadOptions {
  int pods = 40;  // about so many
  int nodes = 4;
  std::string zone = "a";  // part of node names, so that clusters look different
  std::uint64_t seed = 1;
};

class Workload {
 public:
  // Creates namespaces, nodes, deployments and their running pods.
  Workload(Resources& resources, WorkloadOptions options);

  void step();
  [[nodiscard]] std::size_t pods() const noexcept { return pods_.size(); }

 private:
  enum class Phase { pending, running, crashing };
  struct App {
    std::string ns;
    std::string name;
    int replicas = 1;
    int version = 1;
    bool crashes = false;  // its newest version is broken
  };
  struct Pod {
    std::size_t app;
    int version;
    std::string name;
    std::string node;
    std::string ip;
    Phase phase = Phase::pending;
    int restarts = 0;
    std::int64_t started = 0;
  };

  [[nodiscard]] std::size_t pick(std::size_t count);
  [[nodiscard]] bool chance(double probability);

  void make_nodes();
  void make_apps();
  void make_pod(std::size_t app);
  void put_app(const App& app, bool exists);
  void run_pod(Pod& pod);
  void crash_pod(Pod& pod);
  void set_status(const Pod& pod);
  void remove_pod(std::size_t index);
  void write_event(std::string_view type, std::string_view reason, std::string message, std::string_view kind,
                   std::string_view ns, std::string_view name);
  void flip_node();
  void start_rollout();
  [[nodiscard]] bool advance_rollout();
  [[nodiscard]] bool advance_pending();
  [[nodiscard]] int ready_pods(std::size_t app, int version) const;

  Resources& resources_;
  WorkloadOptions options_;
  Random random_;
  std::vector<App> apps_;
  std::vector<Pod> pods_;
  std::vector<std::string> nodes_;
  std::string sick_node_;
  std::int64_t rolling_ = -1;       // the app whose pods are being replaced
  std::deque<std::string> events_;  // names, so that old ones can go
  std::uint64_t counter_ = 0;
};

}  // namespace fresnel::sim

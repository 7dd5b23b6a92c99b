#include "fresnel/sim/workload.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "fresnel/base/log.hpp"

namespace fresnel::sim {
namespace {

struct AppKind {
  std::string_view ns;
  std::string_view name;
  std::string_view image;
};

constexpr std::array<AppKind, 10> kApps{{{"shop", "storefront", "shop/storefront"},
                                         {"shop", "cart", "shop/cart"},
                                         {"shop", "search", "shop/search"},
                                         {"payments", "ledger", "pay/ledger"},
                                         {"payments", "fraud-check", "pay/fraud"},
                                         {"data", "ingest", "data/ingest"},
                                         {"data", "etl-worker", "data/etl"},
                                         {"platform", "gateway", "platform/gateway"},
                                         {"platform", "metrics", "platform/metrics"},
                                         {"platform", "notifier", "platform/notifier"}}};
constexpr std::string_view kLetters = "bcdfghjklmnpqrstvwxz2456789";
constexpr std::size_t kMaxEvents = 200;

template <class T>
void check(const outcome<T>& done) {
  // A step that the cluster refuses is skipped; the next one goes on.
  if (!done) log::debug("workload: {}", done.error().message);
}

}  // namespace

Workload::Workload(Resources& resources, WorkloadOptions options)
    : resources_(resources), options_(std::move(options)), random_(options_.seed) {
  make_nodes();
  make_apps();
}

std::size_t Workload::pick(std::size_t count) { return static_cast<std::size_t>(random_() % count); }

bool Workload::chance(double probability) {
  return std::uniform_real_distribution<double>(0, 1)(random_) < probability;
}

void Workload::make_nodes() {
  const auto type = resources_.types().named("nodes");
  for (int i = 1; i <= options_.nodes; ++i) {
    nodes_.push_back("node-" + options_.zone + "-" + std::to_string(i));
    json::object node{
        {"metadata", {{"name", nodes_.back()}, {"labels", {{"topology.kubernetes.io/zone", options_.zone}}}}},
        {"spec", json::object()},
        {"status",
         {{"conditions", json::array{{{"type", "Ready"}, {"status", "True"}}}},
          {"nodeInfo", {{"kubeletVersion", "v1.32.4"}}}}}};
    check(resources_.create(type, "", std::move(node), {.keep_status = true}));
  }
}

void Workload::make_apps() {
  const auto namespaces = resources_.types().named("namespaces");
  const int replicas = std::max(1, options_.pods / static_cast<int>(kApps.size()));
  std::vector<std::string_view> made;
  for (const auto& kind : kApps) {
    if (std::find(made.begin(), made.end(), kind.ns) == made.end()) {
      made.push_back(kind.ns);
      json::object object{{"metadata", {{"name", kind.ns}}}};
      check(resources_.create(namespaces, "", std::move(object)));
    }
    apps_.push_back({.ns = std::string(kind.ns), .name = std::string(kind.name), .replicas = replicas});
    put_app(apps_.back(), false);
    for (int i = 0; i < replicas; ++i) {
      make_pod(apps_.size() - 1);
      run_pod(pods_.back());
    }
    put_app(apps_.back(), true);
  }
}

void Workload::put_app(const App& app, bool exists) {
  const auto type = resources_.types().named("deployments.apps");
  const auto index = static_cast<std::size_t>(
      std::find_if(apps_.begin(), apps_.end(), [&](const App& other) { return other.name == app.name; }) -
      apps_.begin());
  const int updated = static_cast<int>(std::count_if(
      pods_.begin(), pods_.end(), [&](const Pod& pod) { return pod.app == index && pod.version == app.version; }));
  const int ready = ready_pods(index, 0);
  const json::object status{
      {"replicas", app.replicas}, {"updatedReplicas", updated}, {"readyReplicas", ready}, {"availableReplicas", ready}};
  if (exists) {
    check(resources_.patch(type, app.ns, app.name, {{"status", status}}, {.part = Part::status}));
    return;
  }
  const json::object labels{{"app", app.name}};
  const std::string image = "registry.example/" + app.name + ":v" + std::to_string(app.version);
  json::object object{{"metadata", {{"name", app.name}, {"namespace", app.ns}, {"labels", labels}}},
                      {"spec",
                       {{"replicas", app.replicas},
                        {"selector", {{"matchLabels", labels}}},
                        {"template",
                         {{"metadata", {{"labels", labels}}},
                          {"spec", {{"containers", json::array{{{"name", app.name}, {"image", image}}}}}}}}}},
                      {"status", status}};
  check(resources_.create(type, app.ns, std::move(object), {.keep_status = true}));
}

void Workload::make_pod(std::size_t index) {
  const App& app = apps_[index];
  // As a ReplicaSet's: the same for all pods of one version.
  std::string hash;
  for (std::uint64_t mixed =
           (index + 1) * 0x9e3779b97f4a7c15ULL + static_cast<std::uint64_t>(app.version) * 0xbf58476d1ce4e5b9ULL;
       hash.size() < 9; mixed /= kLetters.size()) {
    hash.push_back(kLetters[mixed % kLetters.size()]);
  }
  std::string suffix;
  for (int i = 0; i < 5; ++i) suffix.push_back(kLetters[pick(kLetters.size())]);
  Pod pod{.app = index, .version = app.version, .name = app.name + "-" + hash + "-" + suffix};
  do pod.node = nodes_[pick(nodes_.size())];
  while (pod.node == sick_node_ && nodes_.size() > 1);
  pod.ip =
      "10." + std::to_string(1 + pick(200)) + "." + std::to_string(pick(250)) + "." + std::to_string(2 + pick(250));

  const std::string image = "registry.example/" + app.name + ":v" + std::to_string(app.version);
  json::object object{
      {"metadata",
       {{"name", pod.name}, {"namespace", app.ns}, {"labels", {{"app", app.name}, {"pod-template-hash", hash}}}}},
      {"spec", {{"nodeName", pod.node}, {"containers", json::array{{{"name", app.name}, {"image", image}}}}}},
      {"status",
       {{"phase", "Pending"},
        {"containerStatuses", json::array{{{"name", app.name},
                                           {"ready", false},
                                           {"restartCount", 0},
                                           {"image", image},
                                           {"state", {{"waiting", {{"reason", "ContainerCreating"}}}}}}}}}}};
  check(resources_.create(resources_.types().named("pods"), app.ns, std::move(object), {.keep_status = true}));
  pods_.push_back(std::move(pod));
}

void Workload::set_status(const Pod& pod) {
  const App& app = apps_[pod.app];
  const bool running = pod.phase == Phase::running;
  const std::string now = to_rfc3339(resources_.now());
  json::object state{{"waiting", {{"reason", "CrashLoopBackOff"}}}};
  if (running) state = {{"running", {{"startedAt", now}}}};
  json::object container{{"name", app.name},
                         {"ready", running},
                         {"restartCount", pod.restarts},
                         {"image", "registry.example/" + app.name + ":v" + std::to_string(pod.version)},
                         {"state", std::move(state)}};
  if (pod.restarts > 0)
    container["lastState"] = {{"terminated", {{"reason", "Error"}, {"exitCode", 1}, {"finishedAt", now}}}};
  json::object status{{"phase", "Running"},
                      {"podIP", pod.ip},
                      {"conditions", json::array{{{"type", "Ready"}, {"status", running ? "True" : "False"}}}},
                      {"containerStatuses", json::array{std::move(container)}}};
  check(resources_.patch(resources_.types().named("pods"), app.ns, pod.name, {{"status", std::move(status)}},
                         {.part = Part::status}));
}

void Workload::run_pod(Pod& pod) {
  pod.phase = Phase::running;
  set_status(pod);
}

void Workload::crash_pod(Pod& pod) {
  ++pod.restarts;
  pod.phase = Phase::crashing;
  set_status(pod);
  write_event("Warning", "BackOff", "Back-off restarting failed container", "Pod", apps_[pod.app].ns, pod.name);
}

void Workload::remove_pod(std::size_t index) {
  const Pod pod = pods_[index];
  pods_.erase(pods_.begin() + static_cast<std::ptrdiff_t>(index));
  check(resources_.remove(resources_.types().named("pods"), apps_[pod.app].ns, pod.name));
}

void Workload::write_event(std::string_view type, std::string_view reason, std::string message, std::string_view kind,
                           std::string_view ns, std::string_view name) {
  const auto events = resources_.types().named("events");
  const std::string now = to_rfc3339(resources_.now());
  const std::string home(ns.empty() ? "default" : ns);
  std::string event_name = std::string(name) + "." + std::to_string(++counter_);
  json::object event{{"metadata", {{"name", event_name}, {"namespace", home}}},
                     {"involvedObject", {{"kind", kind}, {"namespace", home}, {"name", name}}},
                     {"type", type},
                     {"reason", reason},
                     {"message", std::move(message)},
                     {"source", {{"component", kind == "Node" ? "node-controller" : "kubelet"}}},
                     {"count", 1},
                     {"firstTimestamp", now},
                     {"lastTimestamp", now}};
  check(resources_.create(events, home, std::move(event)));
  events_.push_back(home + "/" + event_name);
  if (events_.size() <= kMaxEvents) return;
  const auto slash = events_.front().find('/');
  check(resources_.remove(events, events_.front().substr(0, slash), events_.front().substr(slash + 1)));
  events_.pop_front();
}

int Workload::ready_pods(std::size_t app, int version) const {
  return static_cast<int>(std::count_if(pods_.begin(), pods_.end(), [&](const Pod& pod) {
    return pod.app == app && pod.phase == Phase::running && (version == 0 || pod.version == version);
  }));
}

void Workload::flip_node() {
  const bool recovers = !sick_node_.empty();
  if (!recovers) sick_node_ = nodes_[pick(nodes_.size())];
  const std::string node = std::exchange(sick_node_, recovers ? std::string() : sick_node_);
  const json::object condition{{"type", "Ready"},
                               {"status", recovers ? "True" : "Unknown"},
                               {"reason", recovers ? "KubeletReady" : "NodeStatusUnknown"}};
  check(resources_.patch(resources_.types().named("nodes"), "", node,
                         {{"status", {{"conditions", json::array{condition}}}}}, {.part = Part::status}));
  write_event(recovers ? "Normal" : "Warning", recovers ? "NodeReady" : "NodeNotReady",
              "Node " + node + " status is now: " + (recovers ? "NodeReady" : "NodeNotReady"), "Node", "", node);
}

void Workload::start_rollout() {
  rolling_ = static_cast<std::int64_t>(pick(apps_.size()));
  App& app = apps_[static_cast<std::size_t>(rolling_)];
  ++app.version;
  app.crashes = chance(0.2);
  const std::string image = "registry.example/" + app.name + ":v" + std::to_string(app.version);
  const json::object spec{
      {"template", {{"spec", {{"containers", json::array{{{"name", app.name}, {"image", image}}}}}}}}};
  check(resources_.patch(resources_.types().named("deployments.apps"), app.ns, app.name, {{"spec", spec}}));
  write_event("Normal", "ScalingReplicaSet", "Rolling out " + image, "Deployment", app.ns, app.name);
}

// A pod of the new version for one of the old, one at a time.
bool Workload::advance_rollout() {
  if (rolling_ < 0) return false;
  const auto index = static_cast<std::size_t>(rolling_);
  App& app = apps_[index];
  const auto old = std::find_if(pods_.begin(), pods_.end(),
                                [&](const Pod& pod) { return pod.app == index && pod.version < app.version; });
  if (old == pods_.end()) {
    put_app(app, true);
    rolling_ = -1;
    return true;
  }
  const auto mine = std::count_if(pods_.begin(), pods_.end(), [&](const Pod& pod) { return pod.app == index; });
  if (mine > app.replicas) {
    remove_pod(static_cast<std::size_t>(old - pods_.begin()));
  } else {
    make_pod(index);
  }
  return true;
}

bool Workload::advance_pending() {
  const auto pending = std::find_if(pods_.begin(), pods_.end(), [](const Pod& p) { return p.phase == Phase::pending; });
  if (pending == pods_.end()) return false;
  if (apps_[pending->app].crashes && chance(0.5)) {
    crash_pod(*pending);
  } else {
    run_pod(*pending);
  }
  put_app(apps_[pending->app], true);
  return true;
}

void Workload::step() {
  if (chance(0.6) && advance_pending()) return;
  if (chance(0.6) && advance_rollout()) return;
  if (chance(0.02)) {
    flip_node();
    return;
  }
  if (rolling_ < 0 && chance(0.3)) {
    start_rollout();
    return;
  }
  // Crash loops: who crashes keeps crashing until it has recovered.
  const auto crashing =
      std::find_if(pods_.begin(), pods_.end(), [](const Pod& p) { return p.phase == Phase::crashing; });
  if (crashing != pods_.end()) {
    if (chance(0.5)) {
      run_pod(*crashing);
      if (crashing->restarts > 4) apps_[crashing->app].crashes = false;
    } else {
      crash_pod(*crashing);
    }
    return;
  }
  Pod& pod = pods_[pick(pods_.size())];
  if (pod.phase == Phase::running && chance(0.1)) {
    crash_pod(pod);
  } else {
    set_status(pod);
  }
}

}  // namespace fresnel::sim

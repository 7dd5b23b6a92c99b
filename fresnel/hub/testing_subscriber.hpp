// For tests of hub: a subscriber that keeps what it is told, and the program around a Hub.
//
// Thread safety: a Recorder is its home thread's.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fresnel/hub/hub.hpp"
#include "fresnel/hub/testing.hpp"

namespace fresnel::hub::testing {

// Follows the rules that clients follow, and notes where what it is told breaks a promise.
class Recorder : public StreamSubscriber {
 public:
  // What it knows to begin with: the list's state at `version`.
  void know(State state, std::uint64_t version) {
    objects = by_skip_rule = std::move(state);
    list_version_ = version;
    for (const auto& [uid, seen] : objects) newest_[uid] = seen;
  }

  void on_events(std::span<const EventPtr> events, std::uint64_t reached) override {
    for (const auto& event : events) take(*event);
    if (hook && reached == 0) hook();
    if (reached == 0) return;
    // From there a resume would repeat or miss something.
    const bool starts_over = std::exchange(gones_at_position_, gones) != gones;
    if (reached < position && !starts_over) fault("the position went back from " + std::to_string(position));
    position = reached;
    if (hook) hook();
  }
  void on_complete() override {
    told.push_back("COMPLETE");
    ++completions;
    if (completions > 1 + gones_after_complete) fault("a COMPLETE too many");
    if (hook) hook();
  }
  void on_status(const kube::WatchStatus& status) override {
    statuses.push_back(status);
    if (hook) hook();
  }
  void on_failed(const Error& error) override {
    failed = error;
    told.push_back("FAILED " + std::string(to_string(error.code)));
    if (hook) hook();
  }

  std::vector<std::string> told;  // "ADDED web@3", "BOOKMARK @9", "410", "COMPLETE", "FAILED gone"
  std::vector<kube::WatchStatus> statuses;
  std::vector<bool> columns;  // for each row: whether columnDefinitions came with it
  State objects;
  State by_skip_rule;        // kept as Headlamp's lists are: an update not newer than the list is skipped
  std::string last_version;  // to resume from
  std::uint64_t position = 0;
  std::optional<Error> failed;
  int completions = 0;
  int gones = 0;
  int gones_after_complete = 0;  // each is followed by a COMPLETE of its own
  std::vector<std::string> faults;
  std::function<void()> hook;  // after each call

 private:
  using Type = kube::WatchEvent::Type;

  int gones_at_position_ = 0;

  void fault(const std::string& text) { faults.push_back(text + " (" + (told.empty() ? "" : told.back()) + ")"); }

  void take(const PublishedEvent& published) {
    const auto& event = published.event;
    if (event.type == Type::error) {
      told.push_back(std::to_string(event.status_code));
      ++gones;
      if (completions > gones_after_complete) ++gones_after_complete;
      objects.clear();
      by_skip_rule.clear();
      newest_.clear();
      list_version_ = 0;
      last_version.clear();
      return;
    }
    told.push_back(std::string(to_string(event.type)) + " " + std::string(event.name) + "@" +
                   std::string(event.resource_version) + (event.ends_initial ? " ends" : ""));
    const auto version = kube::parse_resource_version(event.resource_version).value_or(0);
    if (version == 0) fault("no version");
    if (event.is_table && event.changes_an_object()) columns.push_back(event.has_columns);
    last_version = event.resource_version;
    if (!event.changes_an_object()) return;
    if (!event.bytes.view().starts_with(R"({"type":")" + std::string(to_string(event.type)))) fault("another text");
    auto& newest = newest_[std::string(event.uid)];
    if (version <= newest) fault("an object's events are not ascending");
    newest = version;
    apply(objects, event, version);
    if (version > list_version_) {
      apply(by_skip_rule, event, version);
      list_version_ = version;
    }
  }

  static void apply(State& state, const kube::WatchEvent& event, std::uint64_t version) {
    if (event.type == Type::deleted) {
      state.erase(std::string(event.uid));
    } else {
      state[std::string(event.uid)] = version;
    }
  }

  std::uint64_t list_version_ = 0;
  std::map<std::string, std::uint64_t> newest_;
};

struct Client {
  std::shared_ptr<Recorder> recorder = std::make_shared<Recorder>();
  StreamLease lease;

  Recorder* operator->() const { return recorder.get(); }
};

inline constexpr std::string_view kTable = "application/json;as=Table;v=v1;g=meta.k8s.io";

// A Hub on any number of event loops that one real thread turns, in virtual time.
class Program {
 public:
  explicit Program(std::size_t threads, SharedStreamOptions options = {}) : threads_(threads), options_(options) {
    for (std::size_t i = 0; i < threads; ++i) {
      loops_.push_back(std::make_unique<asio::io_context>(1));
      transports_.push_back(std::make_unique<ModelTransport>(loops_.back()->get_executor(), clock, cluster));
    }
    restart();
  }
  ~Program() { stop(); }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // The gateway goes down; its subscribers' leases must be gone.
  void stop() {
    if (!hub) return;
    hub->stop();
    run();
    hub.reset();
    run();
  }
  void restart() {
    stop();
    std::vector<HubThread> threads;
    for (std::size_t i = 0; i < threads_; ++i) threads.push_back({loops_[i]->get_executor(), transports_[i].get()});
    hub = std::make_unique<Hub>(std::move(threads), clock, options_);
  }

  [[nodiscard]] static StreamKey key(std::string path = "/api/v1/things", std::string_view accept = kube::kJson) {
    return {"prod", "somebody", std::move(path), std::string(accept), ""};
  }
  void subscribe(Client& client, JoinOptions options, const StreamKey& key) {
    StreamSource source{key, {.name = key.cluster, .server = "http://cluster"}};
    client.lease = hub->subscribe(std::move(source), next_home_++ % threads_, client.recorder, std::move(options));
  }
  void subscribe(Client& client, JoinOptions options) { subscribe(client, std::move(options), key()); }

  // Without a version, or with the state of the list at `version`.
  [[nodiscard]] Client join(std::optional<std::uint64_t> version = {}, JoinOptions options = {}) {
    Client client;
    if (version) {
      client->know(cluster.state_at(*version), *version);
      options.resource_version = std::to_string(*version);
    }
    subscribe(client, std::move(options));
    run();
    return client;
  }

  // Until nothing is left to do at this moment.
  void run() {
    for (bool busy = true; busy;) {
      busy = false;
      for (const auto& loop : loops_) {
        loop->restart();
        busy |= loop->poll() > 0;
      }
    }
  }
  // One thing that one of the threads has to do, so that what has been sent is still on its way.
  void run_one(std::size_t thread) {
    auto& loop = *loops_[thread % threads_];
    loop.restart();
    loop.poll_one();
  }
  // What is left to do at this moment comes first.
  void advance(Duration by) {
    run();
    clock.advance(by);
    run();
  }

  [[nodiscard]] const ClusterMetrics& metrics() { return *hub->metrics().for_cluster("prod"); }

  ManualClock clock;
  ModelCluster cluster;

 private:
  const std::size_t threads_;
  SharedStreamOptions options_;
  std::vector<std::unique_ptr<asio::io_context>> loops_;
  std::vector<std::unique_ptr<ModelTransport>> transports_;
  std::size_t next_home_ = 0;

 public:
  std::unique_ptr<Hub> hub;
};

// With one event loop and with three: a stream and its subscribers on different threads.
class StreamTest : public ::testing::TestWithParam<std::size_t> {
 protected:
  Client join(std::optional<std::uint64_t> version = {}, JoinOptions options = {}) {
    return program.join(version, std::move(options));
  }
  void run() { program.run(); }
  void advance(Duration by) { program.advance(by); }

  void expect_whole(const Client& client) {
    EXPECT_EQ(client->objects, cluster.state());
    EXPECT_EQ(client->by_skip_rule, cluster.state());
    EXPECT_TRUE(client->faults.empty()) << ::testing::PrintToString(client->faults);
  }
  // The upstream watch loses its place: it is told 410 and relists.
  void expire_upstream(ModelCluster::GoneForm form = ModelCluster::GoneForm::event) {
    cluster.set_gone_form(form);
    cluster.hold_watches(true);
    cluster.drop_watches(true);
    run();
    cluster.touch();
    cluster.compact();
    cluster.hold_watches(false);
    advance(seconds(1));
  }

  Program program{GetParam()};
  ModelCluster& cluster = program.cluster;
};

}  // namespace fresnel::hub::testing

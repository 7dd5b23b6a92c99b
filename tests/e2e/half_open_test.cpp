// Packets that vanish: the far side is in a network of its own, joined by a cable of which one end swallows everything.
// Needs the right to make networks (root, as in CI; elsewhere these tests say so and pass over).
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <future>
#include <optional>
#include <stdexcept>
#include <thread>

#include "fresnel/client/multiplexer.hpp"
#include "fresnel/net/websocket_client.hpp"
#include "fresnel/sim/cluster.hpp"
#include "tests/e2e/live_watcher.hpp"
#include "tests/support/http.hpp"
#include "tests/support/ports.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/wait.hpp"

namespace fresnel::test {
namespace {

constexpr const char* kNear = "10.213.77.1";
constexpr const char* kFar = "10.213.77.2";

void ip(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "ip");
  const auto done = run({.argv = arguments}, 10s);
  if (done.status != ExitStatus{.code = 0}) throw std::runtime_error("ip failed: " + done.error_output);
}

// This thread's network becomes an empty one, until the end of the object's life. False: the kernel refuses.
class OwnNetwork {
 public:
  OwnNetwork() : before_(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) {
    made_ = before_ >= 0 && ::unshare(CLONE_NEWNET) == 0;
    if (!made_) why_ = std::strerror(errno);
  }
  ~OwnNetwork() {
    if (made_) (void)::setns(before_, CLONE_NEWNET);
    if (before_ >= 0) (void)::close(before_);
  }
  OwnNetwork(const OwnNetwork&) = delete;
  OwnNetwork& operator=(const OwnNetwork&) = delete;

  [[nodiscard]] bool made() const noexcept { return made_; }
  [[nodiscard]] const std::string& why() const noexcept { return why_; }

 private:
  int before_;
  bool made_ = false;
  std::string why_;
};

// A thread in another network, with a simulated cluster; its children live there too.
class FarSide {
 public:
  FarSide() : thread_([this] { live(); }) {
    thread_id_ = on_thread([] { return ::gettid(); });
  }
  ~FarSide() {
    on_thread([this] {
      gateway_.reset();
      cluster_.reset();
      return 0;
    });
    work_.reset();
    thread_.join();
  }

  // The near side calls this, in its own network.
  void plug_in() {
    ip({"link", "set", "lo", "up"});
    ip({"link", "add", "near", "type", "veth", "peer", "name", "far", "netns", std::to_string(thread_id_)});
    ip({"addr", "add", std::string(kNear) + "/24", "dev", "near"});
    ip({"link", "set", "near", "up"});
    on_thread([this] {
      ip({"link", "set", "lo", "up"});
      ip({"addr", "add", std::string(kFar) + "/24", "dev", "far"});
      ip({"link", "set", "far", "up"});
      cluster_.emplace(io_.get_executor(), clock_);
      return cluster_->listen({kFar, 0}).value();
    });
  }
  // Nothing that the far side sends arrives any more, and neither side is told.
  void drop_packets() {
    on_thread([] {
      ip({"route", "add", "blackhole", std::string(kNear) + "/32"});
      return 0;
    });
  }
  void mend() {
    on_thread([] {
      ip({"route", "del", "blackhole", std::string(kNear) + "/32"});
      return 0;
    });
  }

  void put(const std::string& name) {
    on_thread([&] {
      sim::json::object map{{"apiVersion", "v1"}, {"kind", "ConfigMap"}};
      map["metadata"] = sim::json::object{{"name", name}, {"namespace", "default"}};
      return cluster_->create(std::move(map)).has_value();
    });
  }
  void remove(const std::string& name) {
    on_thread([&] { return cluster_->remove("configmaps", "default", name).has_value(); });
  }
  [[nodiscard]] std::string kubeconfig() {
    return on_thread([this] { return cluster_->kubeconfig(); });
  }
  // `fresnel serve` beside the cluster. Its URL.
  std::string start_gateway(const std::filesystem::path& config) {
    const std::string url = std::string(kFar) + ":" + std::to_string(free_port());
    on_thread([&] {
      gateway_.emplace(ProcessOptions{.argv = {FRESNEL_BINARY, "serve", "--kubeconfig", config.string(), "--listen",
                                               url, "--allow-anonymous-clients"}});
      return 0;
    });
    if (!ask_until([&] { return http({.url = "http://" + url + "/readyz"}).status == 200; }, 15s)) {
      throw std::runtime_error("the gateway does not start");
    }
    return "http://" + url;
  }

 private:
  void live() {
    if (::unshare(CLONE_NEWNET) != 0) throw std::runtime_error("no network of its own");
    io_.run();
  }
  template <class Action>
  std::invoke_result_t<Action> on_thread(Action action) {
    std::packaged_task<std::invoke_result_t<Action>()> task(std::move(action));
    auto done = task.get_future();
    asio::post(io_, [&task] { task(); });
    return done.get();
  }

  SteadyClock clock_;
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  std::optional<sim::Cluster> cluster_;
  std::optional<Process> gateway_;
  std::thread thread_;
  pid_t thread_id_ = 0;
};

class HalfOpen : public testing::Test {
 protected:
  void SetUp() override {
    if (!near_.made()) {
      if (std::getenv("CI") != nullptr) FAIL() << "CI must be allowed to make networks: " << near_.why();
      GTEST_SKIP() << "needs the right to make networks: " << near_.why();
    }
    far_.emplace();
    far_->plug_in();
    far_->put("a");
    kubeconfig_ = dir_.write("kubeconfig", far_->kubeconfig());
  }
  void TearDown() override {
    io_.restart();
    io_.poll();
  }

  // A list of default's configmaps: is followed, is cut off, notices, and has caught up when the cable is whole again.
  void expect_noticed_and_caught_up(const kube::WatcherOptions& options, const net::CurlClientOptions& http,
                                    Duration within) {
    LiveWatcher live(io_, clock_, kubeconfig_, {.path = "/api/v1/namespaces/default/configmaps"}, options, http);
    ASSERT_TRUE(until([&] { return live.connected() && live.holds().size() == 1; }));
    far_->drop_packets();
    const auto cut = clock_.now();
    EXPECT_TRUE(until([&] { return !live.connected(); }, 15s));
    EXPECT_LE(clock_.now() - cut, within);
    EXPECT_FALSE(live.failures().empty());
    far_->remove("a");
    far_->put("b");
    far_->put("c");
    far_->mend();
    EXPECT_TRUE(until([&] { return live.connected() && live.holds().size() == 2; }));
    EXPECT_EQ(live.watcher().relists(), 0u);
  }

  [[nodiscard]] bool until(const std::function<bool()>& predicate, std::chrono::milliseconds timeout = 30s) {
    return run_until(io_, predicate, timeout);
  }

  OwnNetwork near_;
  std::optional<FarSide> far_;
  SteadyClock clock_;
  asio::io_context io_{1};
  TempDir dir_;
  std::filesystem::path kubeconfig_;
};

constexpr net::CurlClientOptions kPatient{
    .keep_alive_idle = seconds(600), .keep_alive_interval = seconds(60), .user_timeout = seconds(600)};

TEST_F(HalfOpen, AWatchWhosePacketsAreDroppedIsNoticedByTcp) {
  const net::CurlClientOptions prompt{
      .keep_alive_idle = seconds(1), .keep_alive_interval = seconds(1), .user_timeout = seconds(2)};
  expect_noticed_and_caught_up({}, prompt, seconds(5));
}

TEST_F(HalfOpen, AWatchWhosePacketsAreDroppedIsNoticedByTheWatchdog) {
  kube::WatcherOptions options;
  options.watch_timeout = seconds(1);  // asks for 1 to 2 s
  options.watchdog = seconds(1);
  expect_noticed_and_caught_up(options, kPatient, milliseconds(3500));
}

TEST_F(HalfOpen, AClientWhosePacketsAreDroppedIsNoticedByItsHeartbeat) {
  const auto url = far_->start_gateway(kubeconfig_);
  net::WebSocketClientOptions dialing;
  dialing.heartbeat = seconds(1);
  client::MultiplexerOptions options{.url = url, .user_id = "user"};
  options.backoff.first = milliseconds(100);
  options.backoff.limit = seconds(1);
  options.connect_timeout = seconds(1);
  client::Multiplexer multiplexer(io_.get_executor(), clock_, Random(5),
                                  std::make_shared<net::WebSocketDialer>(io_.get_executor(), dialing), options);
  const auto subscription = multiplexer.subscribe({"sim", "/api/v1/namespaces/default/configmaps"}, {});
  const auto live = [&] { return subscription.status().state == client::SubscriptionState::live; };
  ASSERT_TRUE(until([&] { return live() && subscription.snapshot()->size() == 1; }));
  far_->drop_packets();
  const auto cut = clock_.now();
  EXPECT_TRUE(until([&] { return subscription.status().state == client::SubscriptionState::reconnecting; }, 15s));
  EXPECT_LE(clock_.now() - cut, milliseconds(3500));
  far_->put("b");
  far_->put("c");
  far_->remove("a");
  far_->mend();
  EXPECT_TRUE(until([&] { return live() && subscription.snapshot()->size() == 2; }));
}

}  // namespace
}  // namespace fresnel::test

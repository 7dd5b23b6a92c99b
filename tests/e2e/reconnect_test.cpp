// A thousand broken upstream watches cost nothing that stays: no descriptor, timer, coroutine or byte.
#include <gtest/gtest.h>
#include <malloc.h>

#include <boost/asio/io_context.hpp>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <set>

#include "fresnel/hub/hub.hpp"
#include "fresnel/net/curl_client.hpp"
#include "fresnel/sim/cluster.hpp"
#include "tests/support/process.hpp"
#include "tests/support/wait.hpp"

namespace fresnel::test {
namespace {

// The machine's clock, which knows the timers that wait for it.
class CountingClock final : public Clock {
 public:
  [[nodiscard]] TimePoint now() const noexcept override { return std::chrono::steady_clock::now(); }
  [[nodiscard]] WallTime wall_now() const noexcept override { return std::chrono::system_clock::now(); }
  [[nodiscard]] std::size_t armed() const noexcept { return armed_.size(); }

 private:
  void arm(asio::steady_timer& timer, TimePoint when) override {
    armed_.insert(&timer);
    timer.expires_at(when);
  }
  void disarm(asio::steady_timer& timer) noexcept override {
    armed_.erase(&timer);
    timer.cancel();
  }

  std::set<asio::steady_timer*> armed_;
};

namespace json = sim::json;

class Follower final : public hub::StreamSubscriber {
 public:
  void on_events(std::span<const hub::EventPtr> events, std::uint64_t /*position*/) override {
    for (const auto& event : events) {
      version = event->event.resource_version;
      expired += event->event.type == kube::WatchEvent::Type::error ? 1 : 0;
    }
  }
  void on_complete() override { complete = true; }
  void on_status(const kube::WatchStatus& status) override {
    connected = status.phase == kube::WatchStatus::Phase::connected;
  }
  void on_failed(const Error&) override {}

  std::string version;
  bool complete = false;
  bool connected = false;
  int expired = 0;
};

struct Footprint {
  std::ptrdiff_t descriptors;
  std::size_t timers;
  std::size_t bytes;
};

class Reconnects : public testing::Test {
 protected:
  Reconnects() {
    endpoint_ = cluster_.listen().value();
    json::object map{{"apiVersion", "v1"}, {"kind", "ConfigMap"}};
    map["metadata"] = json::object{{"name", "a"}, {"namespace", "default"}};
    (void)cluster_.create(std::move(map)).value();
    hub::SharedStreamOptions options;
    options.log.max_events = options.log.max_tombstones = 8;
    options.watcher.backoff = {.first = milliseconds(1), .limit = milliseconds(2)};
    hub_.emplace(std::vector<hub::HubThread>{{io_.get_executor(), &transport_}}, clock_, options);
    hub::StreamKey key{"c", "somebody", "/api/v1/namespaces/default/configmaps", std::string(kube::kJson), ""};
    hub::StreamSource source{key, {.name = "c", .server = cluster_.url()}};
    lease_ = hub_->subscribe(std::move(source), 0, follower_, {});
  }
  // Coroutines end before what they refer to.
  ~Reconnects() override {
    lease_.release();
    hub_->stop();
    poll();
    hub_.reset();
    cluster_.server().stop();
    poll();
  }

  void poll() {
    io_.restart();
    io_.poll();
  }

  // One change is told, then the watch breaks and comes back.
  void round(int number) {
    const json::object patch{{"data", json::object{{"n", std::to_string(number % 10)}}}};
    const auto changed = cluster_.patch("configmaps", "default", "a", patch).value();
    const auto version = std::to_string(changed->revision());
    ASSERT_TRUE(run_until(
        io_, [&] { return follower_->connected && follower_->version == version; }, 10s));
    cluster_.store().compact(cluster_.store().revision());
    if (number % 3 == 0) {
      cluster_.server().stop();
      ASSERT_TRUE(run_until(
          io_, [&] { return !follower_->connected; }, 10s));
      (void)cluster_.listen(endpoint_).value();
    } else {
      cluster_.server().drop_watches();
      ASSERT_TRUE(run_until(
          io_, [&] { return !follower_->connected; }, 10s));
    }
    ASSERT_TRUE(run_until(
        io_, [&] { return follower_->connected; }, 10s));
  }

  // When nothing is under way: the server has noticed what was closed.
  Footprint footprint() {
    EXPECT_TRUE(run_until(
        io_, [&] { return cluster_.server().open_watches() == 1; }, 10s));
    poll();
    const std::filesystem::directory_iterator open("/proc/self/fd");
    return {std::distance(begin(open), end(open)), clock_.armed(), mallinfo2().uordblks};
  }

  CountingClock clock_;
  asio::io_context io_{1};
  sim::Cluster cluster_{io_.get_executor(), clock_};
  net::CurlClient transport_{io_.get_executor()};
  net::Endpoint endpoint_;
  std::shared_ptr<Follower> follower_ = std::make_shared<Follower>();
  std::optional<hub::Hub> hub_;
  hub::StreamLease lease_;
};

// Measured in a process of its own whose allocator keeps nothing back: its caches would look like a growth.
TEST_F(Reconnects, AThousandForcedOnesLeaveNothingBehind) {
  if (std::getenv("FRESNEL_MEASURE") == nullptr) {
    const auto measured = run(
        {.argv = {"/proc/self/exe", "--gtest_filter=Reconnects.AThousandForcedOnesLeaveNothingBehind"},
         .env = {{"FRESNEL_MEASURE", "1"}, {"GLIBC_TUNABLES", "glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0"}}},
        100s);
    EXPECT_EQ(measured.status, ExitStatus{.code = 0}) << measured.output << measured.error_output;
    return;
  }
  int number = 0;
  while (number < 300 && !HasFatalFailure()) round(number++);
  const auto before = footprint();
  while (number < 1300 && !HasFatalFailure()) round(number++);
  const auto after = footprint();
  EXPECT_EQ(after.descriptors, before.descriptors);
  EXPECT_EQ(after.timers, before.timers);
  // Fewer bytes than there were reconnects: not one of them has left even a pointer.
  EXPECT_LT(after.bytes, before.bytes + 1000) << "from " << before.bytes;
  EXPECT_EQ(follower_->expired, 0);
}

}  // namespace
}  // namespace fresnel::test

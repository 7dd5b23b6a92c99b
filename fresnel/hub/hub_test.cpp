// Hub on real threads: what runs in virtual time elsewhere, once more where a data race would show (TSan).
#include "fresnel/hub/hub.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <semaphore>
#include <thread>

#include "fresnel/hub/testing_subscriber.hpp"

namespace fresnel::hub {
namespace {

using testing::Client;
using testing::ModelCluster;
using testing::ModelTransport;
using testing::Program;
using testing::Recorder;

// Says when it has seen an object.
class Waiting : public Recorder {
 public:
  Waiting(std::string name, std::counting_semaphore<>& seen) : name_(std::move(name)), seen_(seen) {
    hook = [this] {
      if (!told_ && !told.empty() && knows()) {
        told_ = true;
        seen_.release();
      }
    };
  }

 private:
  [[nodiscard]] bool knows() const {
    return std::any_of(objects.begin(), objects.end(), [this](const auto& o) { return o.first.starts_with(name_); });
  }

  std::string name_;
  std::counting_semaphore<>& seen_;
  bool told_ = false;
};

class HubThreadsTest : public ::testing::Test {
 protected:
  static constexpr std::size_t kThreads = 3;

  HubThreadsTest() {
    SharedStreamOptions options;
    options.watcher.backoff = {.first = milliseconds(1), .limit = milliseconds(2)};
    options.log.max_events = 64;
    options.linger = milliseconds(1);
    std::vector<HubThread> shards;
    for (std::size_t i = 0; i < kThreads; ++i) {
      loops_.push_back(std::make_unique<asio::io_context>(1));
      guards_.push_back(asio::make_work_guard(*loops_.back()));
      transports_.push_back(std::make_unique<ModelTransport>(loops_.back()->get_executor(), clock_, cluster));
      shards.push_back({loops_.back()->get_executor(), transports_.back().get()});
    }
    hub = std::make_unique<Hub>(std::move(shards), clock_, options);
    for (auto& loop : loops_) threads_.emplace_back([&loop] { loop->run(); });
  }
  ~HubThreadsTest() override {
    end();
    hub.reset();
  }

  void end() {
    hub->stop();
    guards_.clear();
    threads_.clear();  // joins
  }
  Client join(std::size_t home, std::shared_ptr<Recorder> recorder, std::uint64_t version, const StreamKey& key) {
    Client client{.recorder = std::move(recorder), .lease = {}};
    JoinOptions options;
    if (version != 0) {
      client->know(cluster.state_at(version), version);
      options.resource_version = std::to_string(version);
    }
    StreamSource source{key, {.name = key.cluster, .server = "http://cluster"}};
    client.lease = hub->subscribe(std::move(source), home, client.recorder, std::move(options));
    return client;
  }
  // Any thread but the loops'.
  bool all_have_seen(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      if (!seen.try_acquire_for(seconds(30))) return false;
    }
    return true;
  }

  SteadyClock clock_;
  ModelCluster cluster;
  std::counting_semaphore<> seen{0};
  std::unique_ptr<Hub> hub;

 private:
  std::vector<std::unique_ptr<asio::io_context>> loops_;
  std::vector<asio::executor_work_guard<asio::io_context::executor_type>> guards_;
  std::vector<std::unique_ptr<ModelTransport>> transports_;
  std::vector<std::jthread> threads_;
};

TEST_F(HubThreadsTest, ManyThreadsManySubscribersManyTroubles) {
  cluster.put("a");
  cluster.put("b");
  std::vector<Client> clients;
  const StreamKey keys[] = {Program::key(), Program::key("/api/v1/others"), Program::key("/api/v1/more")};
  std::size_t next = 0;
  for (int round = 0; round < 30; ++round) {
    for (int i = 0; i < 3; ++i) {
      const auto version = next % 2 ? cluster.revision() : 0;
      clients.push_back(join(next % kThreads, std::make_shared<Waiting>("last", seen), version, keys[next % 3]));
      ++next;
    }
    for (int i = 0; i < 10; ++i) cluster.put(std::string(1, static_cast<char>('a' + i % 7)));
    cluster.remove(std::string(1, static_cast<char>('a' + round % 7)));
    if (round % 3 == 0) cluster.drop_watches(round % 2 == 0);
    if (round % 7 == 0) cluster.compact();
    // Some leave at once, from this thread; nobody knows how far they have come.
    auto passing = join(next % kThreads, std::make_shared<Recorder>(), 0, keys[next % 3]);
  }
  cluster.heal();
  cluster.put("last");
  ASSERT_TRUE(all_have_seen(clients.size()));
  end();
  for (const auto& client : clients) {
    EXPECT_EQ(client->objects, cluster.state());
    EXPECT_EQ(client->by_skip_rule, cluster.state());
    EXPECT_THAT(client->faults, ::testing::IsEmpty());
  }
  clients.clear();
  EXPECT_EQ(hub->metrics().for_cluster("prod")->subscriptions, 0);
  EXPECT_EQ(hub->metrics().for_cluster("prod")->upstream_watches, 0);
}

// A lease may be moved, and ends once.
TEST(StreamLeaseTest, MovesAndEndsOnce) {
  Program program(1);
  program.cluster.put("a");
  auto client = program.join();
  StreamLease moved = std::move(client.lease);
  client.lease.release();
  program.run();
  EXPECT_EQ(program.metrics().subscriptions, 1);
  auto other = program.join();
  other.lease = std::move(moved);  // ends the one it held
  program.run();
  EXPECT_EQ(program.metrics().subscriptions, 1);
  EXPECT_EQ(client->told.size(), 2u);
  program.cluster.put("b");
  program.run();
  EXPECT_EQ(client->told.back(), "ADDED b@2");
  EXPECT_EQ(other->told.back(), "COMPLETE");
  other.lease.release();
  other.lease.release();
  program.run();
  EXPECT_EQ(program.metrics().subscriptions, 0);
}

}  // namespace
}  // namespace fresnel::hub

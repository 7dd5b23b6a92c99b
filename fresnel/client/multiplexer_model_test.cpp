// A Multiplexer against a model of a gateway and its cluster: random histories with losses, compactions, refusals and
// listeners that come and go, and a loss at every single step of one history. Whatever happens, once the world is quiet
// each listener has been told exactly the cluster's state, in events that fit together.
#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "fresnel/client/multiplexer.hpp"
#include "fresnel/client/testing/multiplexer_fixture.hpp"

namespace fresnel::client {
namespace {

using testing::bookmark_event;
using testing::brief;
using testing::error_event;
using testing::FakeSocket;
using testing::kPods;
using testing::MultiplexerTest;
using testing::pod_event;

using State = std::map<std::string, std::uint64_t>;  // name -> version

// One list of one cluster with its history.
class ModelCluster {
 public:
  struct Event {
    std::string type;
    std::string name;
    std::uint64_t version;
    [[nodiscard]] std::string text() const { return pod_event(type, name, version); }
  };

  // A random change. Names are used once, as uids are.
  const Event& change(std::mt19937& random) {
    ++version_;
    if (state_.empty() || random() % 3 == 0) {
      const auto name = "o" + std::to_string(++names_);
      state_[name] = version_;
      log_.push_back({"ADDED", name, version_});
    } else {
      const auto at = std::next(state_.begin(), static_cast<std::ptrdiff_t>(random() % state_.size()));
      const bool removed = random() % 3 == 0;
      log_.push_back({removed ? "DELETED" : "MODIFIED", at->first, version_});
      if (removed) {
        state_.erase(at);
      } else {
        at->second = version_;
      }
    }
    return log_.back();
  }
  void compact() { horizon_ = version_; }

  [[nodiscard]] const State& state() const noexcept { return state_; }
  [[nodiscard]] const std::vector<Event>& log() const noexcept { return log_; }
  [[nodiscard]] std::uint64_t version() const noexcept { return version_; }
  [[nodiscard]] std::uint64_t horizon() const noexcept { return horizon_; }

 private:
  State state_;
  std::vector<Event> log_;
  std::uint64_t version_ = 100;
  std::uint64_t horizon_ = 100;
  int names_ = 0;
};

// The gateway's end of one connection: answers as the protocol says, one message at a time.
class ModelSession {
 public:
  ModelSession(ModelCluster& cluster, std::mt19937& random, std::shared_ptr<FakeSocket> socket)
      : cluster_(cluster), random_(random), socket_(std::move(socket)) {}

  [[nodiscard]] bool is_open() const noexcept { return socket_->is_open(); }
  void drop() { socket_->drop(); }

  // Reads what the client has sent.
  void read() {
    for (const auto& text : socket_->take_sent()) {
      const auto message = wire::parse_client_message(text).value();
      if (message.type == wire::ClientMessage::Type::close) {
        EXPECT_EQ(watches_.erase(message.query), 1u) << "CLOSE of what is not watched";
      } else if (random_() % 20 == 0) {
        queue(wire::ServerMessage::Type::error, message.query,
              wire::encode_error_data(Error{.code = Errc::api, .message = "not now", .status = 500}));
      } else {
        EXPECT_FALSE(used_.contains(message.query) && refused_.count(message.query) == 0) << message.query;
        used_.insert(message.query);
        open(message.query);
      }
    }
  }
  void publish(const ModelCluster::Event& event) {
    for (const auto& query : watches_) queue(wire::ServerMessage::Type::data, query, event.text());
  }
  void bookmark() {
    for (const auto& query : watches_) {
      queue(wire::ServerMessage::Type::data, query, bookmark_event(std::to_string(cluster_.version())));
    }
  }
  // Delivers up to `count` messages.
  void deliver(std::size_t count) {
    for (; count > 0 && !outgoing_.empty(); --count) {
      if (is_open()) socket_->push(wire::encode(outgoing_.front()));
      outgoing_.pop_front();
    }
  }
  [[nodiscard]] bool is_quiet() const noexcept { return outgoing_.empty(); }

 private:
  void open(const std::string& query) {
    watches_.insert(query);
    const auto at = query.find("resourceVersion=");
    const auto from = at == std::string::npos ? 0 : std::stoull(query.substr(at + 16));
    if (from >= cluster_.horizon()) {
      for (const auto& event : cluster_.log()) {
        if (event.version > from) queue(wire::ServerMessage::Type::data, query, event.text());
      }
    } else {
      if (from != 0) queue(wire::ServerMessage::Type::data, query, error_event(410, "Expired"));
      std::vector<std::pair<std::string, std::uint64_t>> state(cluster_.state().begin(), cluster_.state().end());
      std::shuffle(state.begin(), state.end(), random_);
      for (const auto& [name, version] : state) {
        queue(wire::ServerMessage::Type::data, query, pod_event("ADDED", name, version));
      }
      // Where the state stands, so that a resume repeats nothing that happened before it.
      queue(wire::ServerMessage::Type::data, query, bookmark_event(std::to_string(cluster_.version())));
    }
    queue(wire::ServerMessage::Type::complete, query, "");
  }
  void queue(wire::ServerMessage::Type type, const std::string& query, std::string data) {
    if (type == wire::ServerMessage::Type::error) refused_.insert(query);
    outgoing_.push_back({.type = type,
                         .cluster_id = kPods.cluster_id,
                         .path = kPods.path,
                         .query = query,
                         .user_id = "f0",
                         .data = std::move(data)});
  }

  ModelCluster& cluster_;
  std::mt19937& random_;
  std::shared_ptr<FakeSocket> socket_;
  std::set<std::string> watches_;
  std::set<std::string> used_;
  std::set<std::string> refused_;
  std::deque<wire::ServerMessage> outgoing_;
};

// What one listener believes, and that what it is told fits: no repeats, versions of one object only grow.
struct ModelListener {
  Subscription subscription;
  State believed;
  State newest;  // also of deleted objects
  std::vector<std::string> history;

  void read(const kube::WatchEvent& event) {
    history.push_back(brief(event));
    const auto version = std::stoull(std::string(event.resource_version));
    const bool known = believed.contains(std::string(event.name));
    switch (event.type) {
      case kube::WatchEvent::Type::added:
        EXPECT_FALSE(known) << brief(event);
        EXPECT_FALSE(newest.contains(std::string(event.name))) << brief(event) << " came back from the dead";
        believed[std::string(event.name)] = version;
        break;
      case kube::WatchEvent::Type::modified:
        EXPECT_TRUE(known) << brief(event);
        EXPECT_GT(version, newest[std::string(event.name)]) << brief(event);
        believed[std::string(event.name)] = version;
        break;
      case kube::WatchEvent::Type::deleted:
        EXPECT_TRUE(known) << brief(event);
        EXPECT_GE(version, newest[std::string(event.name)]) << brief(event);
        believed.erase(std::string(event.name));
        break;
      default: ADD_FAILURE() << brief(event);
    }
    newest[std::string(event.name)] = version;
  }
};

class MultiplexerModelTest : public MultiplexerTest {
 protected:
  void join() {
    const auto listener = std::make_shared<ModelListener>();
    listener->subscription = multiplexer_->subscribe(
        kPods, {.on_message = [raw = listener.get()](const kube::WatchEvent& event) { raw->read(event); }});
    listeners_.push_back(listener);
  }

  // Counts the steps at which something can go wrong; at the chosen one the connection is lost.
  bool fails_here() { return steps_++ == failing_step_; }

  void deliver(std::size_t count) {
    for (; count > 0; --count) {
      settle();
      if (!session_ || !session_->is_open()) return;
      session_->read();
      if (fails_here()) {
        lose();
        return;
      }
      session_->deliver(1);
      settle();
    }
  }
  void lose() {
    if (session_) session_->drop();
    settle();
    session_.reset();
  }
  void answer_dial() {
    settle();
    if (dialer_->waiting() == 0) {
      clock_.advance_to_next();
      settle();
    }
    if (dialer_->waiting() == 0) return;
    if (fails_here() || random_() % 4 == 0) {
      dialer_->refuse(Error{.code = Errc::connect_failed, .message = "no route"});
      settle();
      return;
    }
    session_ = std::make_unique<ModelSession>(cluster_, random_, dialer_->accept());
    settle();
  }
  void change() {
    const auto& event = cluster_.change(random_);
    if (session_) session_->publish(event);
  }

  void step() {
    switch (random_() % 16) {
      case 0: lose(); break;
      case 1: cluster_.compact(); break;
      case 2:
        if (listeners_.size() < 4) join();
        break;
      case 3:
        if (!listeners_.empty()) listeners_.erase(listeners_.begin());
        break;
      case 4: advance(milliseconds(50)); break;
      case 5:
        if (session_) session_->bookmark();
        break;
      case 6:
      case 7:
      case 8: change(); break;
      default:
        if (session_ && session_->is_open()) {
          deliver(random_() % 8);
        } else {
          answer_dial();
        }
    }
    settle();
  }

  // Until nothing is left to deliver and every listener has its initial data.
  void quiesce() {
    if (listeners_.empty()) join();
    for (int rounds = 0; rounds < 10'000; ++rounds) {
      settle();
      if (!session_ || !session_->is_open()) {
        session_.reset();
        answer_dial();
        continue;
      }
      deliver(10);
      if (!session_ || !session_->is_open()) continue;
      session_->read();
      if (session_->is_quiet() && multiplexer_->completed(kPods)) return;
      if (session_->is_quiet()) advance(seconds(1));  // a retry of a refused subscription
    }
    FAIL() << "it never became quiet";
  }

  void check() {
    for (const auto& listener : listeners_) {
      EXPECT_EQ(listener->believed, cluster_.state()) << ::testing::PrintToString(listener->history);
      State stored;
      for (const auto& object : *listener->subscription.snapshot()) {
        stored[std::string(object->name)] = std::stoull(std::string(object->resource_version));
      }
      EXPECT_EQ(stored, cluster_.state());
      EXPECT_EQ(listener->subscription.status().state, SubscriptionState::live);
    }
  }

  void run(unsigned seed, int steps, int failing_step) {
    random_.seed(seed);
    failing_step_ = failing_step;
    join();
    for (int i = 0; i < steps; ++i) step();
    quiesce();
    check();
  }

  std::mt19937 random_;
  ModelCluster cluster_;
  std::unique_ptr<ModelSession> session_;
  std::vector<std::shared_ptr<ModelListener>> listeners_;
  int steps_ = 0;
  int failing_step_ = -1;
};

class RandomHistory : public MultiplexerModelTest, public ::testing::WithParamInterface<unsigned> {};

TEST_P(RandomHistory, EndsWithTheClustersState) {
  for (unsigned round = 0; round < 25; ++round) {
    SCOPED_TRACE("seed " + std::to_string(GetParam() * 25 + round));
    run(GetParam() * 25 + round, 150, -1);
    if (HasFailure()) return;
    listeners_.clear();
    session_.reset();
    multiplexer_ = make();
    settle();
    while (dialer_->waiting() > 0) {
      dialer_->refuse(Error{.code = Errc::closed, .message = "the round is over"});
      settle();
    }
    cluster_ = ModelCluster();
  }
}
INSTANTIATE_TEST_SUITE_P(Seeds, RandomHistory, ::testing::Range(0u, 8u));

// The Nth step of I/O fails, for N = 0, 1, 2... until the history has no more steps.
TEST(FailingStep, EveryStepMayFailOnce) {
  struct History : MultiplexerModelTest {
    void TestBody() override {}
    int run_failing_at(int failing_step) {
      run(3, 40, failing_step);
      return steps_;
    }
  };
  for (int failing_step = 0;; ++failing_step) {
    SCOPED_TRACE("failing step " + std::to_string(failing_step));
    History history;
    const int steps = history.run_failing_at(failing_step);
    if (::testing::Test::HasFailure() || steps <= failing_step) break;
    ASSERT_LT(failing_step, 2'000);
  }
}

}  // namespace
}  // namespace fresnel::client

// A client that stops reading: it is told the newest state of each object when it reads on, and nobody waits for it.
#include <boost/json/parse.hpp>
#include <map>

#include "tests/gateway/fixture.hpp"

namespace fresnel::test {
namespace {

namespace json = boost::json;

constexpr int kObjects = 8;
constexpr int kRounds = 50;
constexpr std::size_t kSize = 64u << 10;  // of an object: all rounds together are more than the kernel's buffers hold

enum class Way { multiplexer, direct };

class SlowReader : public GatewayTest, public testing::WithParamInterface<Way> {
 protected:
  // What a client makes of what it is told.
  struct Reader {
    std::unique_ptr<net::MessageStream> stream;
    std::map<std::string, std::uint64_t> known;  // name -> version
    std::uint64_t newest = 0;
    int messages = 0;
  };

  Reader watch() {
    Reader reader;
    if (GetParam() == Way::direct) {
      reader.stream = open("/clusters/sim" + kPath + "?watch=1&resourceVersion=0").value();
      return reader;
    }
    reader.stream = open("/wsMultiplexer").value();
    write(*reader.stream,
          R"({"clusterId":"sim","path":")" + kPath + R"(","query":"watch=1","userId":"u","type":"REQUEST"})");
    return reader;
  }

  void read_one(Reader& reader) {
    auto message = read(*reader.stream);
    ASSERT_TRUE(message) << message.error().message;
    ++reader.messages;
    auto event = json::parse(message->payload);
    if (GetParam() == Way::multiplexer) {
      if (event.at("type").as_string() != "DATA") return;
      event = json::parse(event.at("data").as_string());
    }
    const auto& metadata = event.at("object").at("metadata");
    const std::string name(metadata.at("name").as_string());
    const auto version = std::stoull(std::string(metadata.at("resourceVersion").as_string()));
    const auto type = event.at("type").as_string();
    EXPECT_EQ(type == "ADDED", !reader.known.contains(name)) << type << " " << name;
    EXPECT_GT(version, reader.newest) << "out of order";
    reader.newest = version;
    if (type == "DELETED") {
      reader.known.erase(name);
    } else {
      reader.known[name] = version;
    }
  }
  void read_through(Reader& reader, std::uint64_t version) {
    while (reader.newest < version && !HasFatalFailure()) read_one(reader);
  }

  std::uint64_t create(const std::string& name) {
    return on_sim([this, name] {
      json::object object{{"kind", "ConfigMap"}, {"apiVersion", "v1"}, {"metadata", {{"name", name}}}};
      object["data"] = {{"text", std::string(kSize, 'x')}};
      return sim_->create(std::move(object)).value()->revision();
    });
  }
  std::uint64_t change(const std::string& name, int round) {
    return on_sim([this, name, round] {
      const json::object patch{{"data", {{"round", std::to_string(round)}}}};
      return sim_->patch("configmaps", "default", name, patch).value()->revision();
    });
  }
  void remove(const std::string& name) {
    sim_loop_.run([&] { return sim_->remove("configmaps", "default", name).has_value(); });
  }
  template <class Action>
  std::uint64_t on_sim(Action action) {
    return sim_loop_.run([&] { return static_cast<std::uint64_t>(action()); });
  }
  // Reads /metrics until the sample is `value`.
  bool becomes(const std::string& sample, double value) {
    const auto limit = std::chrono::steady_clock::now() + 20s;
    while (metric(sample) != value) {
      if (std::chrono::steady_clock::now() > limit) return false;
    }
    return true;
  }

  const std::string kPath = "/api/v1/namespaces/default/configmaps";
};

INSTANTIATE_TEST_SUITE_P(Ways, SlowReader, testing::Values(Way::multiplexer, Way::direct),
                         [](const auto& way) { return way.param == Way::direct ? "Direct" : "Multiplexer"; });

TEST_P(SlowReader, GetsTheNewestStateOfEachObjectAndHoldsUpNobody) {
  start();
  for (int i = 0; i < kObjects; ++i) create("o" + std::to_string(i));
  auto slow = watch();
  auto quick = watch();
  while (slow.known.size() < kObjects) read_one(slow);
  while (quick.known.size() < kObjects) read_one(quick);

  for (int round = 0; round < kRounds; ++round) {
    std::uint64_t last = 0;
    for (int i = 0; i < kObjects; ++i) last = change("o" + std::to_string(i), round);
    read_through(quick, last);  // while the other does not read
  }
  create("came-and-went");
  remove("o0");
  remove("came-and-went");
  const auto last = create("new");
  read_through(quick, last);
  EXPECT_TRUE(becomes("fresnel_lagging_subscriptions", 1));
  EXPECT_GE(metric("fresnel_conflated_events_total"), kObjects);

  read_through(slow, last);
  EXPECT_EQ(slow.known, quick.known);
  EXPECT_FALSE(slow.known.contains("o0"));
  EXPECT_LT(slow.messages, quick.messages);
  EXPECT_TRUE(becomes("fresnel_lagging_subscriptions", 0));
  // It is live again.
  read_through(slow, change("o1", kRounds));
  EXPECT_EQ(metric("fresnel_slow_closes_total"), 0);
}

TEST_P(SlowReader, ThatGoesAwayLagsNoMore) {
  start();
  for (int i = 0; i < kObjects; ++i) create("o" + std::to_string(i));
  auto slow = watch();
  while (slow.known.size() < kObjects) read_one(slow);
  for (int round = 0; round < kRounds; ++round) {
    for (int i = 0; i < kObjects; ++i) change("o" + std::to_string(i), round);
  }
  EXPECT_TRUE(becomes("fresnel_lagging_subscriptions", 1));
  slow.stream.reset();
  EXPECT_TRUE(becomes("fresnel_lagging_subscriptions", 0));
}

}  // namespace
}  // namespace fresnel::test

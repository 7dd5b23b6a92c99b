// The generator against a scripted server on 127.0.0.1, which answers from the same thread between its turns.
#include "fresnel/load/generator.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace fresnel::load {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

constexpr std::string_view kAccepted = "HTTP/1.1 101 Switching Protocols\r\n\r\n";
constexpr std::string_view kComplete = "\x81\x13{\"type\":\"COMPLETE\"}";

class Listener {
 public:
  Listener() : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(socket_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(socket_, 16), 0);
    EXPECT_EQ(getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
  }
  ~Listener() {
    for (const int peer : peers_) ::close(peer);
    ::close(socket_);
  }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  [[nodiscard]] std::string url() const { return "ws://127.0.0.1:" + std::to_string(port_) + "/x"; }
  void accept() { peers_.push_back(::accept(socket_, nullptr, nullptr)); }
  [[nodiscard]] bool has_caller() const {
    pollfd wait{socket_, POLLIN, 0};
    return poll(&wait, 1, 0) == 1;
  }
  void send(std::size_t peer, std::string_view bytes) {
    EXPECT_EQ(::send(peers_[peer], bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  // What has come so far.
  [[nodiscard]] std::string received(std::size_t peer) {
    char buffer[4096];
    const auto size = recv(peers_[peer], buffer, sizeof buffer, MSG_DONTWAIT);
    return {buffer, size < 0 ? 0 : static_cast<std::size_t>(size)};
  }
  void cut(std::size_t peer) { (void)shutdown(peers_[peer], SHUT_RDWR); }

 private:
  int socket_;
  std::uint16_t port_ = 0;
  std::vector<int> peers_;
};

class GeneratorTest : public testing::Test {
 protected:
  Generator& make(GeneratorOptions options = {}) {
    options.target = resolve_target(listener.url()).value();
    generator_.emplace(std::move(options));
    EXPECT_TRUE(generator_->start());
    generator_->connect_all();
    return *generator_;
  }
  // Runs the generator until `done`.
  bool until(const std::function<bool()>& done) {
    return generator_->run_until(std::chrono::steady_clock::now() + seconds(10), done);
  }
  // Accepts a connection and lets it through the handshake.
  void open_one(std::size_t peer) {
    ASSERT_TRUE(until([&] { return listener.has_caller(); }));
    listener.accept();
    std::string request;
    ASSERT_TRUE(until([&] { return (request += listener.received(peer)).ends_with("\r\n\r\n"); }));
    listener.send(peer, kAccepted);
    ASSERT_TRUE(until([&] { return generator_->open() == peer + 1; }));
  }

  Listener listener;
  std::optional<Generator> generator_;
};

TEST_F(GeneratorTest, ConnectsSendsAndCounts) {
  auto& generator = make({.messages = {"REQUEST"}});
  open_one(0);
  EXPECT_EQ(generator.live(), 0u);
  std::string sent;
  ASSERT_TRUE(until([&] { return (sent += listener.received(0)).size() == 13; }));
  EXPECT_EQ(sent.substr(0, 2), "\x81\x87");

  listener.send(0, kComplete);
  ASSERT_TRUE(until([&] { return generator.live() == 1; }));
  EXPECT_EQ(generator.totals().completes, 1u);
  EXPECT_EQ(generator.totals().connect.count(), 1u);
  EXPECT_EQ(generator.totals().ready.count(), 1u);
  generator.clear_totals();

  listener.send(0, std::string(kComplete) + "\x81\x02{}\xC1\x03zip");
  ASSERT_TRUE(until([&] { return generator.totals().messages == 2; }));
  EXPECT_EQ(generator.totals().compressed, 1u);
  EXPECT_EQ(generator.totals().wire_bytes, kComplete.size() + 4 + 5);
  EXPECT_EQ(generator.live(), 1u);
}

TEST_F(GeneratorTest, MeasuresTheTimeSinceWriting) {
  auto& generator = make();
  open_one(0);
  const std::string text = R"({"bench.fresnel.dev/written-at":"1"})";
  listener.send(0, std::string("\x81") + static_cast<char>(text.size()) + text);
  ASSERT_TRUE(until([&] { return generator.totals().latency.count() == 1; }));
  EXPECT_EQ(generator.totals().latency.max(), Histogram::kMax);  // since 1970
}

TEST_F(GeneratorTest, AnswersPingsAndCloses) {
  auto& generator = make();
  open_one(0);
  listener.send(0, "\x89\x02hi");
  std::string answer;
  ASSERT_TRUE(until([&] { return (answer += listener.received(0)).size() == 8; }));
  EXPECT_EQ(answer.substr(0, 2), "\x8A\x82");

  listener.send(0, "\x88\x02\x03\xF5");  // 1013
  answer.clear();
  ASSERT_TRUE(until([&] { return (answer += listener.received(0)).size() == 8; }));
  EXPECT_EQ(answer.substr(0, 2), "\x88\x82");
  listener.cut(0);
  ASSERT_TRUE(until([&] { return generator.open() == 0; }));
  EXPECT_EQ(generator.totals().closed, 1u);
  EXPECT_THAT(generator.totals().first_fault, EndsWith("code 1013"));
}

TEST_F(GeneratorTest, AnErrorMessageAnswersARequestToo) {
  auto& generator = make({.messages = {"a", "b"}});
  open_one(0);
  listener.send(0, kComplete);
  listener.send(0, "\x81\x10{\"type\":\"ERROR\"}");
  ASSERT_TRUE(until([&] { return generator.live() == 1; }));
  EXPECT_EQ(generator.totals().errors, 1u);
  EXPECT_EQ(generator.totals().first_error, R"({"type":"ERROR"})");
}

TEST_F(GeneratorTest, KeepsTheReasonOfARefusal) {
  auto& generator = make({.connections = 1});
  ASSERT_TRUE(until([&] { return listener.has_caller(); }));
  listener.accept();
  listener.send(0, "HTTP/1.1 503 Service Unavailable\r\n\r\n");
  ASSERT_TRUE(until([&] { return generator.totals().failed == 1; }));
  EXPECT_THAT(generator.totals().first_fault, HasSubstr("503 Service Unavailable"));
  EXPECT_EQ(generator.open(), 0u);
}

TEST_F(GeneratorTest, ConnectsAFewAtATime) {
  make({.connections = 2, .connecting_at_once = 1});
  open_one(0);
  open_one(1);
  EXPECT_FALSE(listener.has_caller());
}

TEST_F(GeneratorTest, StoppedClientsDoNotRead) {
  auto& generator = make({.connections = 2});
  open_one(0);
  open_one(1);
  generator.set_stopped(1);
  listener.send(0, "\x81\x02{}");
  listener.send(1, "\x81\x02{}");
  ASSERT_TRUE(until([&] { return generator.totals().messages == 1; }));
  listener.send(1, "\x81\x02{}");
  ASSERT_TRUE(until([&] { return generator.totals().messages == 2; }));
  generator.set_stopped(0);
  ASSERT_TRUE(until([&] { return generator.totals().messages == 3; }));
}

TEST_F(GeneratorTest, SpinningServesTheSame) {
  auto& generator = make({.spin = true});
  open_one(0);
  listener.send(0, "\x81\x02{}");
  ASSERT_TRUE(until([&] { return generator.totals().messages == 1; }));
}

TEST_F(GeneratorTest, DropsAllAndComesBack) {
  auto& generator = make();
  open_one(0);
  generator.drop_all();
  EXPECT_EQ(generator.open(), 0u);
  EXPECT_EQ(generator.totals().closed, 0u);
  generator.connect_all();
  ASSERT_TRUE(until([&] { return listener.has_caller(); }));
  listener.accept();
  listener.send(1, kAccepted);
  ASSERT_TRUE(until([&] { return generator.open() == 1; }));
}

}  // namespace
}  // namespace fresnel::load

// A Gateway in this process with clusters: `sim` (a simulated API server), `renewing` (the same with a credential that
// renews itself), `proxied` (the same by a name that only its proxy knows), `up` (an upstream that the test controls),
// `as-carol` (the same as somebody else), and `down` (nobody listens there).
//
// Thread safety: the test's thread.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/json/value.hpp>
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "fresnel/gateway/gateway.hpp"
#include "fresnel/net/http_server.hpp"
#include "fresnel/net/testing.hpp"
#include "fresnel/net/websocket_client.hpp"
#include "fresnel/sim/cluster.hpp"
#include "tests/support/http.hpp"
#include "tests/support/wait.hpp"

namespace fresnel::test {

// An io_context that a thread of its own runs.
class LoopThread {
 public:
  LoopThread() : thread_([this] { io_.run(); }) {}
  ~LoopThread() {
    work_.reset();
    thread_.join();
  }
  [[nodiscard]] asio::io_context& io() noexcept { return io_; }
  // Runs `action` there and waits for its result.
  template <class Action>
  auto run(Action action) {
    std::packaged_task<decltype(action())()> task(std::move(action));
    auto done = task.get_future();
    asio::post(io_, [&task] { task(); });
    return done.get();
  }

 private:
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_ = asio::make_work_guard(io_);
  std::thread thread_;
};

// An API server's stand-in that says what it was asked, and streams as the test wants.
//   /echo     the request as text: method, target, one line a header, the body
//   /stream   one line at once, the next ones by push(); counts clients that went away
//   /cookie   an answer with fields that must not reach a browser
//   /refuse   403 to an upgrade
class Upstream {
 public:
  Upstream();
  ~Upstream();

  [[nodiscard]] std::string url() const { return "http://" + endpoint_.to_string(); }
  void push(std::string line);
  [[nodiscard]] const Watched<int>& streams_ended() const { return streams_ended_; }
  [[nodiscard]] int requests() const { return requests_.get(); }
  // What was asked for, in order.
  [[nodiscard]] std::vector<std::string> targets() {
    return loop_.run([this] { return targets_; });
  }

 private:
  static awaitable<void> handle(net::HttpExchange& exchange, Upstream* self);
  awaitable<void> stream(net::HttpExchange& exchange);
  awaitable<void> send_lines(net::HttpExchange& exchange);

  SteadyClock clock_;
  LoopThread loop_;
  std::unique_ptr<net::HttpServer> server_;
  std::unique_ptr<Timer> pushed_;
  std::vector<std::string> lines_;
  std::vector<std::string> targets_;
  net::Endpoint endpoint_;
  Watched<int> streams_ended_;
  Watched<int> requests_;
};

class GatewayTest : public testing::Test {
 protected:
  GatewayTest();
  ~GatewayTest() override;

  void start(gateway::GatewayOptions options = {});
  void stop() { gateway_.reset(); }

  // `path` below the gateway's address.
  [[nodiscard]] HttpReply ask(std::string method, std::string path, std::vector<std::string> headers = {},
                              std::string body = {});
  [[nodiscard]] HttpReply get(std::string path, std::vector<std::string> headers = {}) {
    return ask("GET", std::move(path), std::move(headers));
  }
  // A WebSocket to the gateway, or why there is none.
  [[nodiscard]] result<std::unique_ptr<net::MessageStream>> open(std::string path, net::Headers headers = {},
                                                                 std::vector<std::string> protocols = {});
  [[nodiscard]] result<net::Message> read(net::MessageStream& stream);
  // The next message, of JSON; {"type":""} and a failure when there is none.
  [[nodiscard]] boost::json::value next(net::MessageStream& stream);
  void write(net::MessageStream& stream, std::string text, bool binary = false);
  // What a raw request gets, until the gateway closes.
  [[nodiscard]] std::string raw(std::string request);
  [[nodiscard]] double metric(const std::string& sample);
  // The same, asked for again until it is `wanted`, 10 s at most: a connection's end is counted after its client has
  // seen it, and nothing tells when.
  [[nodiscard]] double metric_once(const std::string& sample, double wanted);

  [[nodiscard]] static std::string header_of(const HttpReply& reply, std::string_view name);

  SteadyClock clock_;
  LoopThread sim_loop_;
  std::unique_ptr<sim::Cluster> sim_;
  std::shared_ptr<kube::CredentialSource> renewing_;  // of the cluster `renewing`, set before start()
  std::string proxy_url_;                             // of the cluster `proxied`, set before start()
  Upstream upstream_;
  asio::io_context io_;
  net::WebSocketDialer dialer_{io_.get_executor()};
  std::unique_ptr<gateway::Gateway> gateway_;
  net::Endpoint endpoint_;
  std::string url_;
  std::string ca_file_;                              // for https: whom the test's clients trust
  std::shared_ptr<const net::TlsOptions> tls_ = {};  // the same for WebSockets
};

}  // namespace fresnel::test

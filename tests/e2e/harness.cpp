#include "tests/e2e/harness.hpp"

#include <unistd.h>

#include <iostream>
#include <sstream>

namespace fresnel::test {
namespace {

std::string fresh_namespace() {
  static int count = 0;
  return "e2e-" + std::to_string(::getpid()) + "-" + std::to_string(++count);
}

std::string client_message(std::string_view type, std::string_view path, std::string_view query,
                           std::string_view user) {
  std::string text = R"({"clusterId":"east","path":")";
  text.append(path).append(R"(","query":")").append(query).append(R"(","userId":")").append(user);
  return text.append(R"(","type":")").append(type).append(R"("})");
}

}  // namespace

EndToEnd::EndToEnd() : cluster_(cluster(GetParam())), ns_(fresh_namespace()), server_link_(cluster_.port()) {
  cluster_.create_namespace(ns_);
}

EndToEnd::~EndToEnd() = default;

// Multiplexers and raw clients of the test are gone: let their coroutines end before what they refer to.
void EndToEnd::TearDown() {
  io_.restart();
  io_.poll();
  if (HasFailure() && gateway_) std::cerr << "gateway's log:\n" << gateway_->error_output() << std::endl;
}

void EndToEnd::start_gateway(std::vector<std::string> extra) {
  const auto kubeconfig =
      dir_.write("kubeconfig", kubeconfig_.empty() ? cluster_.kubeconfig(kCluster, server_link_.port()) : kubeconfig_);
  std::vector<std::string> argv{FRESNEL_BINARY,      "serve",    "--kubeconfig",
                                kubeconfig.string(), "--listen", "127.0.0.1:" + std::to_string(gateway_port_),
                                "--log-level",       "debug"};
  argv.insert(argv.end(), extra.begin(), extra.end());
  gateway_.emplace(ProcessOptions{.argv = std::move(argv)});
  const std::string url = "http://127.0.0.1:" + std::to_string(gateway_port_) + "/readyz";
  ASSERT_TRUE(ask_until([&] { return http({.url = url}).status == 200; }, 15s)) << gateway_->error_output();
}

std::string EndToEnd::gateway_url(std::string_view scheme) const {
  return std::string(scheme) + "://127.0.0.1:" + std::to_string(client_link_.port());
}

std::unique_ptr<client::Multiplexer> EndToEnd::connect() {
  auto dialer = std::make_shared<net::WebSocketDialer>(io_.get_executor());
  client::MultiplexerOptions options{.url = gateway_url(), .user_id = "user"};
  options.backoff.first = milliseconds(100);
  options.backoff.limit = seconds(1);
  return std::make_unique<client::Multiplexer>(io_.get_executor(), clock_, Random(5), std::move(dialer),
                                               std::move(options));
}

std::shared_ptr<RawClient> EndToEnd::raw(std::string_view path, net::Headers headers,
                                         std::vector<std::string> protocols) {
  net::DialRequest request{.url = gateway_url("ws") + std::string(path)};
  request.headers = std::move(headers);
  request.protocols = std::move(protocols);
  return RawClient::connect(io_, std::move(request));
}

std::string EndToEnd::direct_path(std::string_view query) const {
  return "/clusters/" + std::string(kCluster) + list_path() + "?" + std::string(query);
}

std::string EndToEnd::request(std::string_view query, std::string_view user) const {
  return client_message("REQUEST", list_path(), query, user);
}

std::string EndToEnd::close_message(std::string_view query, std::string_view user) const {
  return client_message("CLOSE", list_path(), query, user);
}

void EndToEnd::expect_truth(Recorder& recorder, std::string_view selector) {
  const Truth truth = cluster_.truth(list_path() + std::string(selector));
  EXPECT_TRUE(until([&] { return recorder.live() && recorder.holds() == truth; }))
      << "state " << to_string(recorder.status().state) << ", holds " << recorder.holds().size()
      << " objects, the cluster " << truth.size() << "; errors: " << testing::PrintToString(recorder.errors());
  EXPECT_EQ(recorder.faults(), std::vector<std::string>{});
}

double EndToEnd::metric(std::string_view name) const {
  const auto reply = http({.url = "http://127.0.0.1:" + std::to_string(gateway_port_) + "/metrics"});
  std::istringstream lines(reply.body);
  double sum = 0;
  for (std::string line; std::getline(lines, line);) {
    const bool is_it =
        line.starts_with(name) && line.size() > name.size() && (line[name.size()] == '{' || line[name.size()] == ' ');
    if (is_it) sum += std::stod(line.substr(line.rfind(' ') + 1));
  }
  return sum;
}

}  // namespace fresnel::test

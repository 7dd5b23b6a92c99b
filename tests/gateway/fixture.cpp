#include "tests/gateway/fixture.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/json/parse.hpp>
#include <cstdlib>
#include <sstream>

#include "tests/support/ports.hpp"

namespace fresnel::test {
namespace {

kube::ClusterContext context(std::string name, std::string server) {
  kube::ClusterContext context;
  context.name = std::move(name);
  context.cluster = context.name;
  context.server = std::move(server);
  context.credential.bearer_token = "kubeconfig-token";
  return context;
}

}  // namespace

Upstream::Upstream() {
  loop_.run([this] {
    pushed_ = std::make_unique<Timer>(loop_.io().get_executor(), clock_);
    net::HttpServer::Handler handler = [this](net::HttpExchange& exchange) { return handle(exchange, this); };
    server_ = std::make_unique<net::HttpServer>(loop_.io().get_executor(), clock_, net::HttpServerOptions{},
                                                std::move(handler));
    const net::Endpoint any{"127.0.0.1", 0};
    endpoint_ = server_->listen(any).value();
    return 0;
  });
}

Upstream::~Upstream() {
  loop_.run([this] {
    server_.reset();
    pushed_->cancel();
    return 0;
  });
}

void Upstream::push(std::string line) {
  loop_.run([this, line = std::move(line)] {
    lines_.push_back(line);
    pushed_->cancel();
    return 0;
  });
}

awaitable<void> Upstream::handle(net::HttpExchange& exchange, Upstream* self) {
  self->requests_.update([](int& count) { ++count; });
  const auto& request = exchange.request();
  self->targets_.push_back(request.target);
  if (request.path().ends_with("/stream")) {
    co_await self->stream(exchange);
    co_return;
  }
  net::Headers headers;
  headers.add("content-type", "text/plain");
  std::string body = request.method + " " + request.target + "\n";
  for (const auto& [name, value] : request.headers) body += name + ": " + value + "\n";
  body += request.body;
  int status = 200;
  if (request.path().ends_with("/cookie")) {
    headers.add("set-cookie", "a=b");
    headers.add("x-kept", "1");
  }
  if (request.path().ends_with("/refuse")) {
    status = 403;
    body = "refused by the API server";
  }
  (void)co_await exchange.respond(status, std::move(headers), std::move(body));
}

awaitable<void> Upstream::stream(net::HttpExchange& exchange) {
  using namespace asio::experimental::awaitable_operators;
  net::Headers headers;
  headers.add("content-type", "text/plain");
  if (const auto begun = co_await exchange.begin(200, std::move(headers)); !begun) co_return;
  auto lines = send_lines(exchange);
  auto gone = exchange.wait_for_disconnect();
  const auto first = co_await (std::move(lines) || std::move(gone));
  streams_ended_.update([](int& count) { ++count; });
  if (first.index() == 0) (void)co_await exchange.finish();
}

awaitable<void> Upstream::send_lines(net::HttpExchange& exchange) {
  for (std::size_t next = 0;; ++next) {
    while (next == lines_.size()) co_await pushed_->wait();
    if (lines_[next].empty()) co_return;  // the end
    const std::string line = lines_[next];
    if (const auto written = co_await exchange.write(line); !written) co_return;
  }
}

GatewayTest::GatewayTest() {
  sim_loop_.run([this] {
    sim_ = std::make_unique<sim::Cluster>(sim_loop_.io().get_executor(), clock_);
    sim_->server().set_auth({.anonymous = sim::Anonymous::refused,
                             .tokens = {{.token = "kubeconfig-token", .user = "admin", .groups = {"system:masters"}},
                                        {.token = "second-token", .user = "second", .groups = {"system:masters"}},
                                        {.token = "alice-token", .user = "alice"}}});
    return sim_->listen().value();
  });
}

GatewayTest::~GatewayTest() {
  gateway_.reset();
  sim_loop_.run([this] {
    sim_.reset();
    return 0;
  });
}

void GatewayTest::start(gateway::GatewayOptions options) {
  options.listen.port = 0;
  options.drain_timeout = seconds(2);
  // As for `fresnel serve`; a test that needs a number sets it.
  const char* threads = std::getenv("FRESNEL_THREADS");
  if (options.threads == 0) options.threads = threads != nullptr && std::string_view(threads) == "1" ? 1 : 2;
  std::vector<kube::KubeconfigEntry> entries;
  const auto add = [&](const kube::ClusterContext& c) { entries.push_back({c.name, c.cluster, c.server, c}); };
  add(context("sim", sim_->url()));
  add(context("up", upstream_.url() + "/prefix"));
  auto basic = context("basic", upstream_.url());
  basic.credential = {};
  basic.credential.username = "ann";
  basic.credential.password = "pass";
  add(basic);
  auto carol = context("as-carol", upstream_.url());
  carol.credential.impersonate.user = "carol";
  add(carol);
  auto renewing = context("renewing", sim_->url());
  renewing.credential = {};
  renewing.source = renewing_;
  add(renewing);
  auto proxied = context("proxied", "http://sim.invalid" + sim_->url().substr(sim_->url().rfind(':')));
  proxied.proxy_url = proxy_url_;
  add(proxied);
  add(context("down", "http://127.0.0.1:" + std::to_string(free_port())));
  add(context("arn:aws:eks:eu:1:cluster/prod", upstream_.url()));
  entries.push_back({"broken", "c", "https://c", Error{Errc::invalid_argument, "context broken: no such user"}});
  const std::string base = options.base_url;
  const std::string scheme = options.tls_cert_file.empty() ? "http://" : "https://";
  gateway_ = std::make_unique<gateway::Gateway>(std::move(options), gateway::Clusters(std::move(entries)));
  endpoint_ = gateway_->start().value();
  url_ = scheme + "127.0.0.1:" + std::to_string(endpoint_.port) + base;
}

HttpReply GatewayTest::ask(std::string method, std::string path, std::vector<std::string> headers, std::string body) {
  HttpCall call;
  call.method = std::move(method);
  call.url = url_ + path;
  call.headers = std::move(headers);
  call.body = std::move(body);
  call.ca_file = ca_file_;
  return http(call);
}

result<std::unique_ptr<net::MessageStream>> GatewayTest::open(std::string path, net::Headers headers,
                                                              std::vector<std::string> protocols) {
  net::DialRequest request;
  request.url = "ws" + url_.substr(4) + path;
  request.headers = std::move(headers);
  request.protocols = std::move(protocols);
  request.tls = tls_;
  result<std::unique_ptr<net::MessageStream>> opened = Error{};
  net::testing::run(io_, [&]() -> awaitable<void> {
    auto dialling = dialer_.dial(request);
    opened = co_await std::move(dialling);
  });
  return opened;
}

result<net::Message> GatewayTest::read(net::MessageStream& stream) {
  result<net::Message> message = Error{};
  net::testing::run(io_, [&]() -> awaitable<void> {
    auto reading = stream.read();
    message = co_await std::move(reading);
  });
  return message;
}

boost::json::value GatewayTest::next(net::MessageStream& stream) {
  const auto message = read(stream);
  if (message) return boost::json::parse(message->payload);
  ADD_FAILURE() << message.error().message;
  return boost::json::object{{"type", ""}, {"code", ""}};
}

void GatewayTest::write(net::MessageStream& stream, std::string text, bool binary) {
  net::testing::run(io_, [&]() -> awaitable<void> {
    net::Message message{text, binary};
    EXPECT_TRUE(co_await stream.write(std::move(message)));
  });
}

std::string GatewayTest::raw(std::string request) {
  net::testing::RawClient client(io_);
  std::string answer;
  net::testing::run(io_, [&]() -> awaitable<void> {
    auto endpoint = endpoint_;
    co_await client.connect(std::move(endpoint));
    auto sending = client.send(request);
    co_await std::move(sending);
    answer = co_await client.read_to_end();
  });
  return answer;
}

double GatewayTest::metric(const std::string& sample) {
  std::istringstream lines(get("/metrics").body);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(sample + " ")) return std::stod(line.substr(sample.size()));
  }
  return -1;
}

double GatewayTest::metric_once(const std::string& sample, double wanted) {
  const auto limit = std::chrono::steady_clock::now() + seconds(10);
  double seen = metric(sample);
  while (seen != wanted && std::chrono::steady_clock::now() < limit) seen = metric(sample);
  return seen;
}

std::string GatewayTest::header_of(const HttpReply& reply, std::string_view name) {
  for (const auto& line : reply.headers) {
    const auto colon = line.find(':');
    if (colon != std::string::npos && net::equal_ignoring_case(line.substr(0, colon), name)) {
      const auto start = line.find_first_not_of(' ', colon + 1);
      return start == std::string::npos ? std::string() : line.substr(start);
    }
  }
  return {};
}

}  // namespace fresnel::test

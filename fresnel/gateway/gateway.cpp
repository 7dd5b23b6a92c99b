#include "fresnel/gateway/gateway.hpp"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <thread>
#include <utility>
#include <vector>

#include "fresnel/base/log.hpp"
#include "fresnel/broker/memory_broker.hpp"
#include "fresnel/broker/nats_broker.hpp"
#include "fresnel/gateway/channel_identity.hpp"
#include "fresnel/gateway/cluster_watch.hpp"
#include "fresnel/gateway/origin.hpp"
#include "fresnel/gateway/worker.hpp"

namespace fresnel::gateway {
namespace {

constexpr Duration kGrace = seconds(2);  // beyond the drain timeout: for what ends without waiting for anybody

GatewayOptions with_threads(GatewayOptions options) {
  if (options.threads == 0) options.threads = std::max(1u, std::thread::hardware_concurrency());
  return options;
}

// With SO_REUSEPORT the kernel would let a second gateway share the port of a first one, and each would get half of
// the clients. So ask once without it.
result<void> check_free(const net::Endpoint& endpoint, Clock& clock) {
  if (endpoint.port == 0) return {};
  asio::io_context io;
  net::HttpServer probe(io.get_executor(), clock, {}, [](net::HttpExchange&) -> awaitable<void> { co_return; });
  const auto bound = probe.listen(endpoint);
  probe.stop();
  while (io.poll() > 0) {
  }
  if (!bound) return bound.error();
  return {};
}

}  // namespace

class Gateway::Impl {
 public:
  Impl(GatewayOptions options, Clusters clusters, std::shared_ptr<ClusterFiles> files)
      : shared_(with_threads(std::move(options)), std::move(clusters)), files_(std::move(files)) {}

  result<net::Endpoint> start();
  void stop();

 private:
  result<net::Endpoint> listen();
  result<void> start_channels();

  Shared shared_;
  std::shared_ptr<ClusterFiles> files_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<ClusterWatch> watch_;
};

result<net::Endpoint> Gateway::Impl::start() {
  auto origins = websocket::OriginPolicy::parse(shared_.options.allowed_origins);
  if (!origins) return origins.error();
  shared_.origins = *std::move(origins);
  if (!shared_.options.html_static_dir.empty()) {
    auto files = StaticFiles::open(shared_.options.html_static_dir, shared_.options.base_url);
    if (!files) return files.error();
    shared_.files.emplace(*std::move(files));
  }
  auto tls = tls_server(shared_.options);
  if (!tls) return tls.error();
  shared_.tls = *std::move(tls);
  auto backend_token = BackendToken::load(shared_.options.backend_token_file, shared_.options.backend_token);
  if (!backend_token) return backend_token.error();
  shared_.backend_token = *std::move(backend_token);
  auto users = channel_authentication(shared_.options);
  if (!users) return users.error();
  auto back_ends = api_authentication(shared_.options);
  if (!back_ends) return back_ends.error();
  shared_.channels.users = *std::move(users);
  shared_.channels.back_ends = *std::move(back_ends);
  for (unsigned i = 0; i < shared_.options.threads; ++i) workers_.push_back(std::make_unique<Worker>(shared_, i));
  std::vector<hub::HubThread> threads;
  for (const auto& worker : workers_) threads.push_back(worker->hub_thread());
  hub::SharedStreamOptions streams;
  streams.linger = shared_.options.linger;
  shared_.hub = std::make_unique<hub::Hub>(std::move(threads), shared_.clock, streams);
  const auto joined = start_channels();
  auto bound = joined ? listen() : joined.error();
  if (!bound) {
    shared_.hub.reset();
    for (const auto& worker : workers_) worker->channels().leave();
    shared_.channels.broker.reset();
    workers_.clear();
    return bound.error();
  }
  // What counts is the address, not the name that it was given by.
  shared_.loopback_listener = is_loopback_host(bound->host);
  shared_.ready = true;
  log::info("listening on {} with {} threads, {} clusters", bound->to_string(), workers_.size(),
            shared_.first_clusters->entries().size());
  for (const auto& worker : workers_) shared_.workers.push_back(worker.get());
  watch_ = std::make_unique<ClusterWatch>(shared_, workers_.front()->executor(), files_);
  for (const auto& worker : workers_) worker->run();
  return bound;
}

// The broker's state belongs to the first thread.
result<void> Gateway::Impl::start_channels() {
  const auto& home = workers_.front()->channels().executor();
  const auto& options = shared_.options;
  if (options.broker.empty()) {
    shared_.channels.broker = std::make_unique<broker::MemoryBroker>(home, shared_.clock);
  } else {
    broker::NatsBrokerOptions nats;
    nats.servers = options.broker;
    nats.credentials_file = options.broker_credentials;
    nats.ca_file = options.broker_ca_file;
    nats.prefix = options.broker_prefix;
    nats.replicas = static_cast<int>(options.broker_replicas);
    if (options.broker_wait) nats.on_disconnect = broker::NatsBrokerOptions::OnDisconnect::wait;
    try {
      shared_.channels.broker = std::make_unique<broker::NatsBroker>(home, shared_.clock, std::move(nats));
    } catch (const std::exception& error) {
      return Error{Errc::invalid_argument, std::string("--broker: ") + error.what()};
    }
  }
  for (const auto& worker : workers_) {
    worker->channels().join();
    shared_.channels.threads.push_back(&worker->channels());
  }
  return {};
}

result<net::Endpoint> Gateway::Impl::listen() {
  if (const auto free = check_free(shared_.options.listen, shared_.clock); !free) return free.error();
  net::Endpoint endpoint = shared_.options.listen;
  for (const auto& worker : workers_) {
    auto bound = worker->listen(endpoint);
    if (!bound) return bound.error();
    endpoint = *std::move(bound);  // the others get the port that the first was given
  }
  return endpoint;
}

void Gateway::Impl::stop() {
  if (!shared_.ready.exchange(false)) return;
  watch_->stop();
  std::vector<std::future<void>> drains;
  for (const auto& worker : workers_) drains.push_back(worker->drain());
  const auto deadline = std::chrono::steady_clock::now() + shared_.options.drain_timeout + kGrace;
  bool clean = true;
  for (auto& drained : drains) clean = drained.wait_until(deadline) == std::future_status::ready && clean;
  shared_.hub->stop();
  if (clean) shared_.channels.broker.reset();  // its nodes have left; what it has to end is done on the first thread
  for (const auto& worker : workers_) {
    if (!worker->finish(kGrace)) log::debug("a thread of the gateway had to be cut off");
  }
  if (!clean) {
    // Handlers that were cut off hold leases on streams of threads that would be destroyed before them.
    log::error("some clients could not be closed within the drain timeout");
    for (auto& worker : workers_) (void)worker.release();
    (void)shared_.hub.release();
    (void)shared_.channels.broker.release();
  }
  shared_.hub.reset();  // before the threads' contexts, which its streams refer to
  watch_.reset();
  workers_.clear();
}

Gateway::Gateway(GatewayOptions options, Clusters clusters, std::shared_ptr<ClusterFiles> files)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(clusters), std::move(files))) {}

Gateway::~Gateway() { stop(); }

result<net::Endpoint> Gateway::start() { return impl_->start(); }

void Gateway::stop() { impl_->stop(); }

}  // namespace fresnel::gateway

#include "fresnel/hub/hub.hpp"

#include <boost/asio/post.hpp>
#include <random>
#include <utility>

namespace fresnel::hub {

// The streams of one thread; touched there only.
struct Hub::Shard : std::enable_shared_from_this<Shard> {
  Shard(std::size_t thread, HubThread resources, Clock& time, SharedStreamOptions stream_options)
      : number(thread),
        executor(std::move(resources.executor)),
        transport(*resources.transport),
        clock(time),
        options(stream_options),
        random(std::random_device{}()) {}

  const std::size_t number;
  Executor executor;
  net::HttpTransport& transport;
  Clock& clock;
  SharedStreamOptions options;
  Random random;
  std::unordered_map<StreamKey, std::shared_ptr<SharedStream>, StreamKeyHash> streams;
  // Where each subscriber is, though its stream may have been replaced under the same key.
  std::unordered_map<SubscriberId, std::weak_ptr<SharedStream>> subscribers;
  bool stopped = false;

  void join(const StreamSource& source, std::shared_ptr<ClusterMetrics> metrics, SubscriberId id,
            const HomeThread& home, std::weak_ptr<StreamSubscriber> subscriber, JoinOptions join_options) {
    if (stopped) return;
    const auto it = streams.find(source.key);
    const bool is_new = it == streams.end();
    const auto stream = is_new ? make_stream(source, std::move(metrics)) : it->second;
    if (is_new) streams.emplace(source.key, stream);
    subscribers[id] = stream;
    stream->join(id, home, std::move(subscriber), std::move(join_options));
    if (is_new) stream->start();  // with its first member there, whose version decides where the watch starts
  }

  std::shared_ptr<SharedStream> make_stream(const StreamSource& source, std::shared_ptr<ClusterMetrics> metrics) {
    auto client = std::make_shared<kube::ApiClient>(transport, source.context);
    // The stream is retired from within its own calls, so it goes in a turn of its own.
    auto retire = [self = weak_from_this(), key = source.key] {
      const auto shard = self.lock();
      if (!shard) return;
      const auto it = shard->streams.find(key);
      if (it == shard->streams.end()) return;
      asio::post(shard->executor, [shard, retired = std::move(it->second)] {});
      shard->streams.erase(it);
    };
    return std::make_shared<SharedStream>(source.key, std::move(client), executor, clock, random, std::move(metrics),
                                          options, std::move(retire));
  }
};

StreamLease::StreamLease(StreamLease&& other) noexcept
    : hub_(std::exchange(other.hub_, nullptr)), thread_(other.thread_), id_(other.id_) {}

StreamLease& StreamLease::operator=(StreamLease&& other) noexcept {
  if (this != &other) {
    release();
    hub_ = std::exchange(other.hub_, nullptr);
    thread_ = other.thread_;
    id_ = other.id_;
  }
  return *this;
}

void StreamLease::release() noexcept {
  if (hub_ != nullptr) std::exchange(hub_, nullptr)->leave(thread_, id_);
}

Hub::Hub(std::vector<HubThread> threads, Clock& clock, SharedStreamOptions options) {
  for (auto& thread : threads) {
    shards_.push_back(std::make_shared<Shard>(shards_.size(), std::move(thread), clock, options));
  }
}

Hub::~Hub() = default;

const Executor& Hub::executor(std::size_t thread) const { return shards_.at(thread)->executor; }

StreamLease Hub::subscribe(StreamSource source, std::size_t home, std::weak_ptr<StreamSubscriber> subscriber,
                           JoinOptions options) {
  const SubscriberId id = next_id_.fetch_add(1, std::memory_order_relaxed);
  const std::size_t stream_thread = StreamKeyHash{}(source.key) % shards_.size();
  Shard& shard = *shards_[stream_thread];
  HomeThread thread{home, shards_.at(home)->executor};
  auto metrics = metrics_.for_cluster(source.context.brought_by_client ? kBroughtClusters : source.key.cluster);
  asio::post(shard.executor, [shard = shard.shared_from_this(), id, thread = std::move(thread),
                              source = std::move(source), subscriber = std::move(subscriber),
                              options = std::move(options), metrics = std::move(metrics)]() mutable {
    shard->join(source, std::move(metrics), id, thread, std::move(subscriber), std::move(options));
  });
  return StreamLease(this, stream_thread, id);
}

void Hub::leave(std::size_t thread, SubscriberId id) {
  Shard& shard = *shards_[thread];
  asio::post(shard.executor, [shard = shard.shared_from_this(), id] {
    const auto it = shard->subscribers.find(id);
    if (it == shard->subscribers.end()) return;
    const auto stream = it->second.lock();
    shard->subscribers.erase(it);
    if (stream) stream->leave(id);
  });
}

void Hub::renew(const std::shared_ptr<kube::CredentialSource>& source) {
  for (const auto& shard : shards_) {
    asio::post(shard->executor, [shard, source] {
      for (const auto& [key, stream] : shard->streams) stream->renew(*source);
    });
  }
}

void Hub::stop() {
  for (const auto& shard : shards_) {
    asio::post(shard->executor, [shard] {
      shard->stopped = true;
      shard->subscribers.clear();
      shard->streams.clear();
    });
  }
}

}  // namespace fresnel::hub

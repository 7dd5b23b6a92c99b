// StreamKey -> SharedStream: joins subscribers on any thread to the one upstream watch of a list.
//
//   hub.subscribe({.key = key, .context = context}, thread, join, subscription)   // keep the StreamLease
//
// A stream lives on the thread that its key's hash chooses; everything that concerns it is posted there.
//
// Thread safety: subscribe() and StreamLease may be used from any of the program's threads. The Hub must outlive its
// leases and be destroyed after the threads have been joined.
#pragma once

#include <atomic>
#include <memory>
#include <unordered_map>
#include <vector>

#include "fresnel/hub/shared_stream.hpp"
#include "fresnel/net/http.hpp"

namespace fresnel::hub {

// One of the program's threads: an executor whose context that thread alone runs, and the transport that lives there.
struct HubThread {
  Executor executor;
  net::HttpTransport* transport = nullptr;
};

// What clusters that clients bring are counted as, all together: their names are the clients' own, and without a bound.
inline const std::string kBroughtClusters = "(brought)";

struct StreamSource {
  StreamKey key;
  kube::ClusterContext context;  // asks with this credential; key.identity is its identity
};

class Hub;

// Ends the subscription when it is destroyed.
class StreamLease {
 public:
  StreamLease() = default;
  StreamLease(StreamLease&& other) noexcept;
  StreamLease& operator=(StreamLease&& other) noexcept;
  ~StreamLease() { release(); }

  void release() noexcept;

 private:
  friend class Hub;
  StreamLease(Hub* hub, std::size_t thread, SubscriberId id) : hub_(hub), thread_(thread), id_(id) {}

  Hub* hub_ = nullptr;
  std::size_t thread_ = 0;  // of the stream
  SubscriberId id_ = 0;
};

class Hub {
 public:
  Hub(std::vector<HubThread> threads, Clock& clock, SharedStreamOptions options = {});
  ~Hub();
  Hub(const Hub&) = delete;
  Hub& operator=(const Hub&) = delete;

  // `home` is the number of the subscriber's own thread. The subscriber is called there, never from within subscribe().
  [[nodiscard]] StreamLease subscribe(StreamSource source, std::size_t home, std::weak_ptr<StreamSubscriber> subscriber,
                                      JoinOptions options);

  // The source gives another credential: the watches that ask with it are opened again.
  void renew(const std::shared_ptr<kube::CredentialSource>& source);
  // Ends every stream; their subscribers hear nothing more, and whoever subscribes from now on hears nothing at all.
  // Completes on each thread in its own time.
  void stop();

  [[nodiscard]] HubMetrics& metrics() noexcept { return metrics_; }
  [[nodiscard]] std::size_t threads() const noexcept { return shards_.size(); }
  [[nodiscard]] const Executor& executor(std::size_t thread) const;

 private:
  friend class StreamLease;
  struct Shard;

  void leave(std::size_t thread, SubscriberId id);

  HubMetrics metrics_;
  std::atomic<SubscriberId> next_id_{1};
  std::vector<std::shared_ptr<Shard>> shards_;
};

}  // namespace fresnel::hub

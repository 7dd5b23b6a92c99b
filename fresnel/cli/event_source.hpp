// Where `fresnel watch` gets its events from: straight from API servers (DirectSource), or through a gateway
// (GatewaySource). Both resume by themselves after any failure and then say what changed meanwhile.
//
// Thread safety: one thread, that of the executor. A source that is destroyed calls no handler any more.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "fresnel/base/asio.hpp"
#include "fresnel/base/backoff.hpp"
#include "fresnel/base/clock.hpp"
#include "fresnel/base/error.hpp"
#include "fresnel/kube/cluster_context.hpp"
#include "fresnel/kube/watcher.hpp"
#include "fresnel/net/http.hpp"
#include "fresnel/net/message_stream.hpp"

namespace fresnel::client {
class Multiplexer;
class Subscription;
}  // namespace fresnel::client

namespace fresnel::cli {

enum class LinkState {
  connecting,    // not yet answered
  live,          // every change comes at once
  reconnecting,  // was live; what is known is kept, and completed when the link is back
  failed,        // refused or unreachable from the start; it is tried again all the same
};

[[nodiscard]] std::string_view to_string(LinkState state) noexcept;

struct SourceHandlers {
  // ADDED, MODIFIED or DELETED, in stream order; first an ADDED for each existing object.
  std::function<void(const std::string& cluster, const kube::WatchEvent& event)> on_event;
  // The existing objects have all been told; comes once more after each resumption through a gateway.
  std::function<void(const std::string& cluster)> on_synced;
  // `error` says why a link is reconnecting or failed; its message is empty when that is not known.
  std::function<void(const std::string& cluster, LinkState state, const Error& error)> on_state;
};

class EventSource {
 public:
  virtual ~EventSource() = default;
  // Follows one list of one cluster for as long as the source lives. Once a cluster.
  virtual void follow(const kube::ClusterContext& cluster, const kube::WatchTarget& target) = 0;
};

// One kube::Watcher a cluster. `transport`, `clock` and `random` must outlive the executor's work.
class DirectSource final : public EventSource {
 public:
  DirectSource(const Executor& executor, Clock& clock, Random& random, net::HttpTransport& transport,
               SourceHandlers handlers);
  ~DirectSource() override;
  void follow(const kube::ClusterContext& cluster, const kube::WatchTarget& target) override;

 private:
  struct Followed;
  Executor executor_;
  Clock& clock_;
  Random& random_;
  net::HttpTransport& transport_;
  SourceHandlers handlers_;
  std::vector<std::unique_ptr<Followed>> followed_;
};

// One socket to the gateway, one subscription a cluster; of a ClusterContext it uses the name only.
class GatewaySource final : public EventSource {
 public:
  GatewaySource(const Executor& executor, Clock& clock, Random random, std::shared_ptr<net::MessageDialer> dialer,
                std::string gateway_url, SourceHandlers handlers);
  ~GatewaySource() override;
  void follow(const kube::ClusterContext& cluster, const kube::WatchTarget& target) override;

 private:
  SourceHandlers handlers_;
  std::unique_ptr<client::Multiplexer> multiplexer_;
  std::vector<client::Subscription> subscriptions_;
};

}  // namespace fresnel::cli

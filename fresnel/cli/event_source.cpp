#include "fresnel/cli/event_source.hpp"

#include <utility>

#include "fresnel/client/multiplexer.hpp"
#include "fresnel/client/subscription.hpp"
#include "fresnel/kube/api_client.hpp"

namespace fresnel::cli {
namespace {

LinkState link_state(client::SubscriptionState state) noexcept {
  switch (state) {
    case client::SubscriptionState::connecting: return LinkState::connecting;
    case client::SubscriptionState::live: return LinkState::live;
    case client::SubscriptionState::reconnecting: return LinkState::reconnecting;
    case client::SubscriptionState::failed: return LinkState::failed;
  }
  return LinkState::failed;
}

}  // namespace

std::string_view to_string(LinkState state) noexcept {
  switch (state) {
    case LinkState::connecting: return "connecting";
    case LinkState::live: return "live";
    case LinkState::reconnecting: return "reconnecting";
    case LinkState::failed: return "failed";
  }
  return "unknown";
}

// A followed list, and what its Watcher's handlers need.
struct DirectSource::Followed {
  std::string cluster;
  const SourceHandlers& handlers;
  std::unique_ptr<kube::Watcher> watcher;
  bool synced = false;

  void on_listed(const kube::ListedInfo& info) {
    if (info.relist) return;  // the difference follows as events
    bool first = true;
    for (const auto& object : watcher->index().snapshot()) {
      // The columns of a Table travel with its first event, as in a watch.
      handlers.on_event(cluster, first && info.columns != nullptr ? with_columns(object, *info.columns) : object);
      first = false;
    }
    synced = true;
    handlers.on_synced(cluster);
  }

  void on_events(const std::vector<kube::WatchEvent>& events) const {
    for (const auto& event : events) {
      if (event.changes_an_object()) handlers.on_event(cluster, event);
    }
  }

  void on_status(const kube::WatchStatus& status) const {
    switch (status.phase) {
      case kube::WatchStatus::Phase::connecting: handlers.on_state(cluster, LinkState::connecting, {}); break;
      case kube::WatchStatus::Phase::connected: handlers.on_state(cluster, LinkState::live, {}); break;
      case kube::WatchStatus::Phase::failing:
        handlers.on_state(cluster, synced ? LinkState::reconnecting : LinkState::failed, status.error);
        break;
    }
  }
};

DirectSource::DirectSource(const Executor& executor, Clock& clock, Random& random, net::HttpTransport& transport,
                           SourceHandlers handlers)
    : executor_(executor), clock_(clock), random_(random), transport_(transport), handlers_(std::move(handlers)) {}

DirectSource::~DirectSource() = default;

void DirectSource::follow(const kube::ClusterContext& cluster, const kube::WatchTarget& target) {
  auto followed = std::make_unique<Followed>(Followed{cluster.name, handlers_, nullptr});
  auto* self = followed.get();  // outlives its watcher, which calls nothing once destroyed
  kube::WatcherHandlers handlers;
  handlers.on_listed = [self](const kube::ListedInfo& info) { self->on_listed(info); };
  handlers.on_events = [self](const std::vector<kube::WatchEvent>& events) { self->on_events(events); };
  handlers.on_status = [self](const kube::WatchStatus& status) { self->on_status(status); };
  self->watcher = std::make_unique<kube::Watcher>(
      executor_, clock_, random_, std::make_shared<kube::ApiClient>(transport_, cluster), target, std::move(handlers));
  followed_.push_back(std::move(followed));
  self->watcher->start();
}

GatewaySource::GatewaySource(const Executor& executor, Clock& clock, Random random,
                             std::shared_ptr<net::MessageDialer> dialer, std::string gateway_url,
                             SourceHandlers handlers)
    : handlers_(std::move(handlers)),
      multiplexer_(std::make_unique<client::Multiplexer>(executor, clock, random, std::move(dialer),
                                                         client::MultiplexerOptions{.url = std::move(gateway_url)})) {}

GatewaySource::~GatewaySource() = default;

void GatewaySource::follow(const kube::ClusterContext& cluster, const kube::WatchTarget& target) {
  const std::string name = cluster.name;
  client::SubscriptionHandlers handlers;
  handlers.on_message = [this, name](const kube::WatchEvent& event) {
    if (event.changes_an_object()) handlers_.on_event(name, event);
  };
  handlers.on_complete = [this, name] { handlers_.on_synced(name); };
  handlers.on_state = [this, name](const client::SubscriptionStatus& status) {
    const auto state = link_state(status.state);
    const bool well = state == LinkState::live || state == LinkState::connecting;
    handlers_.on_state(name, state, well ? Error{} : status.last_error.value_or(Error{}));
  };
  client::SubscriptionKey key{.cluster_id = name, .path = target.path, .query = target.query, .accept = target.accept};
  subscriptions_.push_back(multiplexer_->subscribe(key, std::move(handlers)));
}

}  // namespace fresnel::cli

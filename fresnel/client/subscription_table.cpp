#include "fresnel/client/subscription_table.hpp"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <exception>
#include <utility>

#include "fresnel/base/log.hpp"

namespace fresnel::client {
namespace {

// Keys are equal however watch, allowWatchBookmarks and resourceVersion were written.
SubscriptionKey normal_form(SubscriptionKey key, const WatchQuery& query) {
  key.query = query.parameters();
  if (!query.start_version().empty()) key.query.append("&resourceVersion=").append(query.start_version());
  return key;
}

// Errors that hardly go away by themselves.
bool is_lasting(const Error& error) noexcept {
  return error.code == Errc::invalid_argument || error.code == Errc::unauthorized || error.code == Errc::forbidden ||
         error.code == Errc::not_found;
}

}  // namespace

struct SubscriptionTable::Key {
  Key(const Clock& clock, SubscriptionKey normal, SubscriptionKey key, WatchQuery query, BackoffOptions options)
      : name(std::move(normal)), shared(clock, std::move(key), std::move(query)), backoff(options) {}

  void stop_timer() noexcept {
    if (timer) timer->cancel();
    timer.reset();
  }

  SubscriptionKey name;  // the normal form
  SharedSubscription shared;
  Backoff backoff;
  std::shared_ptr<Timer> timer;
};

// A Subscription's side of the table, which it may outlive.
class SubscriptionTable::ListeningTo final : public Subscription::Listening {
 public:
  ListeningTo(std::weak_ptr<SubscriptionTable> table, KeyPtr key, std::shared_ptr<Listener> listener)
      : table_(std::move(table)), key_(std::move(key)), listener_(std::move(listener)) {}

  void stop() noexcept override {
    listener_->active = false;
    if (const auto table = table_.lock()) table->unsubscribe(key_, listener_);
  }
  [[nodiscard]] SubscriptionStatus status() const override { return key_->shared.status(); }
  [[nodiscard]] ObjectStore::Snapshot snapshot() const override { return key_->shared.store().snapshot(); }

 private:
  std::weak_ptr<SubscriptionTable> table_;
  KeyPtr key_;
  std::shared_ptr<Listener> listener_;
};

SubscriptionTable::SubscriptionTable(const Executor& executor, Clock& clock, Random random, Options options)
    : executor_(executor), clock_(clock), random_(random), options_(std::move(options)) {}

// ---- Listeners

Subscription SubscriptionTable::subscribe(const SubscriptionKey& key, SubscriptionHandlers handlers) {
  WatchQuery query(key.query);
  const bool wants_bookmarks = query.wants_bookmarks();
  const auto entry = find_or_add(key, std::move(query));
  if (!entry->shared.has_listeners()) entry->stop_timer();  // the debounce
  const auto listener = entry->shared.add(std::move(handlers), wants_bookmarks);
  // Not before subscribe() has returned: handlers may use the subscription.
  asio::post(executor_, [self = weak_from_this(), entry, listener] {
    if (const auto table = self.lock()) table->replay(entry, listener);
  });
  if (link_ && entry->shared.wire_query().empty() && !entry->timer) request(entry);
  return Subscription(std::make_unique<ListeningTo>(weak_from_this(), entry, listener));
}

SubscriptionTable::KeyPtr SubscriptionTable::find_or_add(const SubscriptionKey& key, WatchQuery query) {
  auto name = normal_form(key, query);
  if (const auto at = keys_.find(name); at != keys_.end()) return at->second;
  auto entry = std::make_shared<Key>(clock_, name, key, std::move(query), options_.backoff);
  if (shut_) {
    entry->shared.shut(*shut_);  // replay() tells the listener
  } else {
    keys_.emplace(std::move(name), entry);
  }
  return entry;
}

void SubscriptionTable::replay(const KeyPtr& key, const std::shared_ptr<Listener>& listener) {
  if (key->shared.replay(listener) || shut_) return;
  cancel_request(key);
  key->shared.restart_fresh();
  if (link_) request(key);
}

void SubscriptionTable::unsubscribe(const KeyPtr& key, const std::shared_ptr<Listener>& listener) {
  key->shared.remove(listener);
  if (key->shared.has_listeners() || shut_) return;
  key->stop_timer();  // a retry
  start_timer(key, options_.debounce, &SubscriptionTable::forget);
}

void SubscriptionTable::forget(const KeyPtr& key) {
  cancel_request(key);
  keys_.erase(key->name);
}

bool SubscriptionTable::completed(const SubscriptionKey& key) const {
  const auto at = keys_.find(normal_form(key, WatchQuery(key.query)));
  return at != keys_.end() && at->second->shared.has_listeners() && at->second->shared.completed();
}

std::size_t SubscriptionTable::active() const noexcept {
  return static_cast<std::size_t>(std::count_if(
      keys_.begin(), keys_.end(), [](const auto& named) { return named.second->shared.has_listeners(); }));
}

std::vector<SubscriptionTable::KeyPtr> SubscriptionTable::all_keys() const {
  std::vector<KeyPtr> keys;
  keys.reserve(keys_.size());
  for (const auto& [name, key] : keys_) keys.push_back(key);
  return keys;
}

// ---- The connection

void SubscriptionTable::attach(std::shared_ptr<GatewayLink> link) {
  link_ = std::move(link);
  closes_were_sent_ = false;
  last_tag_ = 0;
  for (const auto& key : all_keys()) request(key);
}

void SubscriptionTable::detach(const Error& why) {
  link_.reset();
  routes_.clear();
  for (const auto& key : all_keys()) {
    key->stop_timer();
    if (key->shared.has_listeners()) {
      key->shared.on_socket_lost(why);
    } else {
      keys_.erase(key->name);
    }
  }
}

void SubscriptionTable::report_to_all(const Error& error) {
  for (const auto& key : all_keys()) key->shared.report(error);
}

void SubscriptionTable::shut(const Error& why) {
  shut_ = why;
  for (const auto& key : all_keys()) {
    key->stop_timer();
    key->shared.shut(why);
  }
  keys_.clear();
  routes_.clear();
  link_.reset();
}

// ---- Requests

void SubscriptionTable::request(const KeyPtr& key) {
  key->stop_timer();
  const auto& name = key->shared.key();
  auto wire_query = key->shared.next_wire_query(0);
  // Messages of a REQUEST that was closed on this connection may still be on their way, and the same list in another
  // media type has the same query.
  if (closes_were_sent_ || routes_.contains({name.cluster_id, name.path, wire_query})) {
    wire_query = key->shared.next_wire_query(++last_tag_);
  }
  routes_[{name.cluster_id, name.path, wire_query}] = key;
  key->shared.begin_request(std::move(wire_query));
  send(wire::ClientMessage::Type::request, key);
}

void SubscriptionTable::cancel_request(const KeyPtr& key) {
  if (!link_ || key->shared.wire_query().empty()) return;
  send(wire::ClientMessage::Type::close, key);
  routes_.erase({key->shared.key().cluster_id, key->shared.key().path, key->shared.wire_query()});
  closes_were_sent_ = true;
}

void SubscriptionTable::send(wire::ClientMessage::Type type, const KeyPtr& key) {
  const auto user_id = options_.user_id.ask();
  if (!user_id) {
    // Later: this may run inside subscribe(), where no handler is called.
    asio::post(executor_, [key, error = user_id.error()] { key->shared.report(error); });
  }
  const auto& name = key->shared.key();
  wire::ClientMessage message{.type = type,
                              .cluster_id = name.cluster_id,
                              .path = name.path,
                              .query = key->shared.wire_query(),
                              .user_id = user_id ? *user_id : std::string(),
                              .accept = name.accept};
  if (type == wire::ClientMessage::Type::request && options_.cluster_token) {
    const TextSource source(std::function<std::string()>([&] { return options_.cluster_token(name.cluster_id); }));
    auto token = source.ask();
    if (!token) {
      // Without it the gateway would take the client for somebody else.
      asio::post(executor_, [key, error = token.error()] { key->shared.report(error); });
      return;
    }
    message.token = *std::move(token);
  }
  link_->send(wire::encode(message));
}

void SubscriptionTable::renew_tokens() {
  if (!link_) return;  // they go with the REQUESTs of the next connection
  for (const auto& [route, key] : routes_) send(wire::ClientMessage::Type::request, key);
}

// ---- Messages

void SubscriptionTable::on_message(net::Message message) {
  ++counters_.messages;
  auto parsed =
      message.binary
          ? result<wire::ServerMessage>(Error{.code = Errc::protocol, .message = "message: expected text, got binary"})
          : wire::parse_server_message(message.payload);
  if (parsed) {
    on_server_message(std::move(*parsed));
    return;
  }
  ++counters_.bad_messages;
  report_to_all(parsed.error());
}

void SubscriptionTable::on_server_message(wire::ServerMessage message) {
  if (message.type == wire::ServerMessage::Type::status) {
    on_status(message);
    return;
  }
  const auto route = routes_.find({message.cluster_id, message.path, message.query});
  if (route == routes_.end()) {
    if (message.path.empty()) {
      ++counters_.bad_messages;
      log::warn("the gateway could not route a request: {}", wire::parse_error_data(message.data).message);
    } else {
      ++counters_.late_messages;
    }
    return;
  }
  const KeyPtr key = route->second;
  if (message.type == wire::ServerMessage::Type::data) {
    key->shared.on_data(std::move(message.data));
  } else if (message.type == wire::ServerMessage::Type::complete) {
    key->backoff.reset();
    key->shared.on_complete();
  } else {
    routes_.erase(route);
    on_refused(key, message);
  }
}

void SubscriptionTable::on_status(const wire::ServerMessage& message) {
  const auto status = wire::parse_status_data(message.data);
  if (!status) {
    ++counters_.bad_messages;
    return;
  }
  for (const auto& key : all_keys()) {
    const auto& name = key->shared.key();
    if (name.cluster_id != message.cluster_id || name.path != message.path) continue;
    // Other gateways do not say which query they mean.
    if (!message.request_query.empty() && message.request_query != key->shared.wire_query()) continue;
    key->shared.on_upstream(*status);
  }
}

void SubscriptionTable::on_refused(const KeyPtr& key, const wire::ServerMessage& message) {
  auto error = wire::parse_error_data(message.data);
  if (key->shared.has_listeners()) {
    const auto delay = is_lasting(error) ? options_.slow_retry : key->backoff.next(random_);
    start_timer(key, delay, &SubscriptionTable::request);
  }
  key->shared.on_refused(std::move(error));
}

// ---- Timers

void SubscriptionTable::start_timer(const KeyPtr& key, Duration delay, Step then) {
  key->timer = std::make_shared<Timer>(executor_, clock_);
  asio::co_spawn(executor_, wait_then(shared_from_this(), key, key->timer, clock_.now() + delay, then),
                 [](std::exception_ptr thrown) {
                   if (thrown) log::error("a subscription's timer threw");
                 });
}

awaitable<void> SubscriptionTable::wait_then(std::shared_ptr<SubscriptionTable> self, KeyPtr key,
                                             std::shared_ptr<Timer> timer, TimePoint due, Step then) {
  // Stopped before it began, or while it waited.
  if (key->timer != timer) co_return;
  co_await timer->wait_until(due);
  if (key->timer != timer) co_return;
  key->timer.reset();
  ((*self).*then)(key);
}

}  // namespace fresnel::client

#include "fresnel/broker/memory_broker.hpp"

#include <algorithm>
#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <deque>
#include <random>
#include <set>
#include <unordered_map>
#include <utility>

#include "fresnel/broker/home_calls.hpp"

namespace fresnel::broker {
namespace {

using NodeId = std::uint64_t;

std::string random_name() {
  std::random_device random;
  const auto number = static_cast<std::uint64_t>(random()) << 32 | random();
  return std::to_string(number);
}

// What a publication has come to at the nodes: their answers arrive at the home executor.
struct Gathering {
  Gathering(const Executor& home, Clock& clock) : all(home, clock) {}

  std::size_t missing = 0;
  Delivery sum;
  Timer all;
};

class Publishing {
 public:
  explicit Publishing(std::size_t& count) : count_(count) { ++count_; }
  ~Publishing() { --count_; }
  Publishing(const Publishing&) = delete;
  Publishing& operator=(const Publishing&) = delete;

 private:
  std::size_t& count_;
};

}  // namespace

// Everything but its constructor runs on the home executor.
class MemoryBroker::Core : public std::enable_shared_from_this<Core> {
 public:
  Core(const Executor& home, Clock& clock, MemoryBrokerOptions options)
      : home_(home), clock_(clock), options_(options), sweep_(home, clock), name_(random_name()) {}

  [[nodiscard]] const Executor& home() const noexcept { return home_; }
  [[nodiscard]] NodeId next_node() noexcept { return nodes_made_.fetch_add(1, std::memory_order_relaxed); }

  void join(NodeId id, const Executor& executor, std::weak_ptr<Handlers> handlers) {
    nodes_.emplace(id, Member{executor, std::move(handlers)});
  }
  void leave(NodeId id);
  void subscribe(NodeId id, const std::string& channel) { channel_of(channel).nodes.insert(id); }
  void unsubscribe(NodeId id, const std::string& channel);
  void add_presence(NodeId id, const std::string& channel, Presence presence);
  void remove_presence(const std::string& channel, const std::string& connection_id);
  [[nodiscard]] std::size_t channels() const noexcept { return channels_.size(); }
  // Nothing keeps the home executor's context from running out of work then.
  void end() { sweep_.cancel(); }

  static awaitable<result<Published>> publish(std::shared_ptr<Core> self, std::string channel, Publication publication,
                                              HistoryLimits limits);
  static awaitable<result<History>> history(std::shared_ptr<Core> self, std::string channel,
                                            std::optional<Position> since, HistoryLimits limits);
  static awaitable<result<std::vector<Presence>>> presence(std::shared_ptr<Core> self, std::string channel);
  static awaitable<result<Delivery>> control(std::shared_ptr<Core> self, Control control);

 private:
  struct Member {
    Executor executor;
    std::weak_ptr<Handlers> handlers;
  };
  struct Kept {
    PublicationPtr publication;
    TimePoint until;
  };
  struct There {
    Presence presence;
    NodeId node;
  };
  struct Channel {
    std::set<NodeId> nodes;
    Position position;
    std::deque<Kept> history;
    std::map<std::string, There> presence;  // by connection
    TimePoint known_until;                  // somebody may come back with a position of it
    [[nodiscard]] bool is_needed(TimePoint now) const {
      return !nodes.empty() || !history.empty() || !presence.empty() || now < known_until;
    }
  };

  Channel& channel_of(const std::string& name);
  void trim(Channel& channel, HistoryLimits limits);
  void forget_if_unneeded(const std::string& name);
  void schedule_sweep();
  [[nodiscard]] bool is_busy() const noexcept { return publishing_ >= options_.max_publishing; }
  [[nodiscard]] static Error too_busy() { return {Errc::throttled, "too many messages are being published", 429}; }
  // Has `call` run at each of these nodes, and waits for what they say.
  static awaitable<result<Delivery>> ask(std::shared_ptr<Core> self, std::vector<NodeId> nodes,
                                         std::function<Delivery(const Handlers&)> call);

  Executor home_;
  Clock& clock_;
  const MemoryBrokerOptions options_;
  std::atomic<NodeId> nodes_made_{1};
  std::map<NodeId, Member> nodes_;
  std::unordered_map<std::string, Channel> channels_;
  std::uint64_t epochs_ = 0;
  std::size_t publishing_ = 0;
  Timer sweep_;
  TimePoint sweep_at_;
  bool sweeps_ = false;
  const std::string name_;
};

MemoryBroker::Core::Channel& MemoryBroker::Core::channel_of(const std::string& name) {
  const auto [at, is_new] = channels_.try_emplace(name);
  if (is_new) at->second.position.epoch = name_ + "." + std::to_string(++epochs_);
  schedule_sweep();
  return at->second;
}

void MemoryBroker::Core::forget_if_unneeded(const std::string& name) {
  const auto found = channels_.find(name);
  if (found != channels_.end() && !found->second.is_needed(clock_.now())) channels_.erase(found);
}

void MemoryBroker::Core::schedule_sweep() {
  if (std::exchange(sweeps_, true)) return;
  sweep_at_ = clock_.now() + options_.sweep_interval;
  sweep_.call_at(sweep_at_, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self || self->clock_.now() < self->sweep_at_) return;
    self->sweeps_ = false;
    for (auto& [name, channel] : self->channels_) self->trim(channel, {.size = channel.history.size()});
    std::erase_if(self->channels_,
                  [now = self->clock_.now()](const auto& entry) { return !entry.second.is_needed(now); });
    if (!self->channels_.empty()) self->schedule_sweep();
  });
}

void MemoryBroker::Core::trim(Channel& channel, HistoryLimits limits) {
  auto& history = channel.history;
  while (!history.empty() && (history.size() > limits.size || clock_.now() >= history.front().until))
    history.pop_front();
}

void MemoryBroker::Core::leave(NodeId id) {
  nodes_.erase(id);
  for (auto& [name, channel] : channels_) {
    channel.nodes.erase(id);
    std::erase_if(channel.presence, [id](const auto& entry) { return entry.second.node == id; });
  }
  std::erase_if(channels_, [now = clock_.now()](const auto& entry) { return !entry.second.is_needed(now); });
}

void MemoryBroker::Core::unsubscribe(NodeId id, const std::string& channel) {
  const auto found = channels_.find(channel);
  if (found == channels_.end()) return;
  found->second.nodes.erase(id);
  forget_if_unneeded(channel);
}

void MemoryBroker::Core::add_presence(NodeId id, const std::string& channel, Presence presence) {
  auto key = presence.connection_id;
  channel_of(channel).presence.insert_or_assign(std::move(key), There{std::move(presence), id});
}

void MemoryBroker::Core::remove_presence(const std::string& channel, const std::string& connection_id) {
  const auto found = channels_.find(channel);
  if (found == channels_.end()) return;
  found->second.presence.erase(connection_id);
  forget_if_unneeded(channel);
}

awaitable<result<Delivery>> MemoryBroker::Core::ask(std::shared_ptr<Core> self, std::vector<NodeId> nodes,
                                                    std::function<Delivery(const Handlers&)> call) {
  const auto gathering = std::make_shared<Gathering>(self->home_, self->clock_);
  gathering->missing = nodes.size();
  const Publishing counted(self->publishing_);
  for (const auto id : nodes) {
    const auto& member = self->nodes_.at(id);
    asio::post(member.executor, [weak = member.handlers, call, gathering = gathering, home = self->home_]() mutable {
      const auto handlers = weak.lock();
      const auto delivery = handlers ? call(*handlers) : Delivery();
      asio::post(home, [gathering = std::move(gathering), delivery] {
        gathering->sum += delivery;
        if (--gathering->missing == 0) gathering->all.cancel();
      });
    });
  }
  if (gathering->missing > 0) {
    auto waiting = gathering->all.wait_for(self->options_.publish_timeout);
    (void)co_await std::move(waiting);
  }
  if (gathering->missing > 0) co_return Error{Errc::timeout, "a thread of this program did not take a message in time"};
  co_return gathering->sum;
}

awaitable<result<Published>> MemoryBroker::Core::publish(std::shared_ptr<Core> self, std::string name,
                                                         Publication publication, HistoryLimits limits) {
  co_await asio::post(self->home_, asio::use_awaitable);  // behind what its node has asked for before
  if (self->is_busy()) co_return self->too_busy();
  std::vector<NodeId> nodes;
  Published published;
  auto shared = std::make_shared<Publication>(std::move(publication));
  if (limits.size > 0 || self->channels_.contains(name)) {
    auto& channel = self->channel_of(name);
    nodes.assign(channel.nodes.begin(), channel.nodes.end());
    if (limits.size > 0) {
      shared->offset = ++channel.position.offset;
      shared->epoch = channel.position.epoch;
      channel.history.push_back({shared, self->clock_.now() + limits.lifetime});
      self->trim(channel, limits);
      channel.known_until = self->clock_.now() + limits.lifetime;
      published.position = channel.position;
    }
  }
  auto asking = ask(self, std::move(nodes), [name, publication = PublicationPtr(shared)](const Handlers& handlers) {
    return handlers.on_publication(name, publication);
  });
  const auto delivery = co_await std::move(asking);
  if (!delivery) co_return delivery.error();
  published.delivery = *delivery;
  co_return published;
}

awaitable<result<History>> MemoryBroker::Core::history(std::shared_ptr<Core> self, std::string name,
                                                       std::optional<Position> since, HistoryLimits limits) {
  co_await asio::post(self->home_, asio::use_awaitable);  // behind what its node has asked for before
  auto& channel = self->channel_of(name);
  self->trim(channel, {.size = channel.history.size()});  // by age only: other nodes may keep more
  if (limits.size > 0) channel.known_until = self->clock_.now() + limits.lifetime;
  History history;
  history.position = channel.position;
  const bool same_epoch = since && since->epoch == channel.position.epoch;
  const auto known = same_epoch ? since->offset : 0;
  const auto oldest = channel.position.offset - std::min<std::uint64_t>(channel.position.offset, limits.size);
  for (const auto& kept : channel.history) {
    if (kept.publication->offset > std::max(known, oldest)) history.publications.push_back(kept.publication);
  }
  history.recovered = same_epoch && known + history.publications.size() == channel.position.offset;
  co_return history;
}

awaitable<result<std::vector<Presence>>> MemoryBroker::Core::presence(std::shared_ptr<Core> self, std::string name) {
  co_await asio::post(self->home_, asio::use_awaitable);  // behind what its node has asked for before
  std::vector<Presence> present;
  const auto found = self->channels_.find(name);
  if (found == self->channels_.end()) co_return present;
  for (const auto& [connection, there] : found->second.presence) present.push_back(there.presence);
  co_return present;
}

awaitable<result<Delivery>> MemoryBroker::Core::control(std::shared_ptr<Core> self, Control control) {
  co_await asio::post(self->home_, asio::use_awaitable);  // behind what its node has asked for before
  if (self->is_busy()) co_return self->too_busy();
  std::vector<NodeId> nodes;
  for (const auto& [id, member] : self->nodes_) nodes.push_back(id);
  auto asking = ask(self, std::move(nodes),
                    [control = std::move(control)](const Handlers& handlers) { return handlers.on_control(control); });
  co_return co_await std::move(asking);
}

class MemoryBroker::MemoryNode final : public Node {
 public:
  MemoryNode(std::shared_ptr<Core> core, const Executor& executor, Handlers handlers)
      : home_(std::move(core)),
        id_(home_.core()->next_node()),
        handlers_(std::make_shared<Handlers>(std::move(handlers))) {
    home_.post(
        [id = id_, executor, weak = std::weak_ptr<Handlers>(handlers_)](Core& core) { core.join(id, executor, weak); });
  }
  ~MemoryNode() override {
    home_.post([id = id_](Core& core) { core.leave(id); });
  }
  MemoryNode(const MemoryNode&) = delete;
  MemoryNode& operator=(const MemoryNode&) = delete;

  void subscribe(const std::string& channel, HistoryLimits /*limits*/) override {
    home_.post([id = id_, channel](Core& core) { core.subscribe(id, channel); });
  }
  void unsubscribe(const std::string& channel) override {
    home_.post([id = id_, channel](Core& core) { core.unsubscribe(id, channel); });
  }
  awaitable<result<Published>> publish(std::string channel, Publication publication, HistoryLimits limits) override {
    return home_.ask(Core::publish(home_.core(), std::move(channel), std::move(publication), limits));
  }
  awaitable<result<History>> history(std::string channel, std::optional<Position> since,
                                     HistoryLimits limits) override {
    return home_.ask(Core::history(home_.core(), std::move(channel), std::move(since), limits));
  }
  void add_presence(const std::string& channel, Presence presence) override {
    home_.post(
        [id = id_, channel, presence = std::move(presence)](Core& core) { core.add_presence(id, channel, presence); });
  }
  void remove_presence(const std::string& channel, const std::string& connection_id) override {
    home_.post([channel, connection_id](Core& core) { core.remove_presence(channel, connection_id); });
  }
  awaitable<result<std::vector<Presence>>> presence(std::string channel) override {
    return home_.ask(Core::presence(home_.core(), std::move(channel)));
  }
  awaitable<result<Delivery>> control(Control control) override {
    return home_.ask(Core::control(home_.core(), std::move(control)));
  }

 private:
  const HomeCalls<Core> home_;
  const NodeId id_;
  std::shared_ptr<Handlers> handlers_;
};

MemoryBroker::MemoryBroker(const Executor& home, Clock& clock, MemoryBrokerOptions options)
    : core_(std::make_shared<Core>(home, clock, options)) {}

MemoryBroker::~MemoryBroker() {
  const auto home = core_->home();
  asio::post(home, [core = std::move(core_)] { core->end(); });
}

std::unique_ptr<Node> MemoryBroker::join(const Executor& executor, Handlers handlers) {
  return std::make_unique<MemoryNode>(core_, executor, std::move(handlers));
}

std::size_t MemoryBroker::channels() const noexcept { return core_->channels(); }

}  // namespace fresnel::broker

#include "fresnel/broker/nats_broker.hpp"

#include <utility>

#include "fresnel/broker/home_calls.hpp"
#include "fresnel/broker/nats_core.hpp"

namespace fresnel::broker {
namespace {

class NatsNode final : public Node {
 public:
  NatsNode(std::shared_ptr<NatsCore> core, const Executor& executor, Handlers handlers)
      : home_(std::move(core)),
        id_(home_.core()->next_node()),
        handlers_(std::make_shared<Handlers>(std::move(handlers))) {
    home_.post([id = id_, executor, weak = std::weak_ptr<Handlers>(handlers_)](NatsCore& core) {
      core.join(id, executor, weak);
    });
  }
  ~NatsNode() override {
    home_.post([id = id_](NatsCore& core) { core.leave(id); });
  }
  NatsNode(const NatsNode&) = delete;
  NatsNode& operator=(const NatsNode&) = delete;

  void subscribe(const std::string& channel, HistoryLimits limits) override {
    home_.post([id = id_, channel, limits](NatsCore& core) { core.subscribe(id, channel, limits); });
  }
  void unsubscribe(const std::string& channel) override {
    home_.post([id = id_, channel](NatsCore& core) { core.unsubscribe(id, channel); });
  }
  awaitable<result<Published>> publish(std::string channel, Publication publication, HistoryLimits limits) override {
    return home_.ask(NatsCore::publish(home_.core(), std::move(channel), std::move(publication), limits));
  }
  awaitable<result<History>> history(std::string channel, std::optional<Position> since,
                                     HistoryLimits limits) override {
    return home_.ask(NatsCore::history(home_.core(), std::move(channel), std::move(since), limits));
  }
  void add_presence(const std::string& channel, Presence presence) override {
    home_.post([id = id_, channel, presence = std::move(presence)](NatsCore& core) {
      core.presence().add(id, channel, presence);
    });
  }
  void remove_presence(const std::string& channel, const std::string& connection_id) override {
    home_.post([channel, connection_id](NatsCore& core) { core.presence().remove(channel, connection_id); });
  }
  awaitable<result<std::vector<Presence>>> presence(std::string channel) override {
    return home_.ask(NatsCore::who(home_.core(), std::move(channel)));
  }
  awaitable<result<Delivery>> control(Control control) override {
    return home_.ask(NatsCore::control(home_.core(), std::move(control)));
  }

 private:
  const HomeCalls<NatsCore> home_;
  const NatsCore::NodeId id_;
  std::shared_ptr<Handlers> handlers_;
};

}  // namespace

NatsBroker::NatsBroker(const Executor& home, Clock& clock, NatsBrokerOptions options)
    : core_(std::make_shared<NatsCore>(home, clock, std::move(options))) {
  core_->start();
}

NatsBroker::~NatsBroker() { core_->stop(); }

std::unique_ptr<Node> NatsBroker::join(const Executor& executor, Handlers handlers) {
  return std::make_unique<NatsNode>(core_, executor, std::move(handlers));
}

std::uint64_t NatsBroker::stream_requests() const noexcept { return core_->stream_requests(); }

}  // namespace fresnel::broker

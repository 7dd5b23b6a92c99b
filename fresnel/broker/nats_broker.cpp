#include "fresnel/broker/nats_broker.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "fresnel/broker/nats_core.hpp"

namespace fresnel::broker {
namespace {

class NatsNode final : public Node {
 public:
  NatsNode(std::shared_ptr<NatsCore> core, const Executor& executor, Handlers handlers)
      : core_(std::move(core)), id_(core_->next_node()), handlers_(std::make_shared<Handlers>(std::move(handlers))) {
    at_home([id = id_, executor, weak = std::weak_ptr<Handlers>(handlers_)](NatsCore& core) {
      core.join(id, executor, weak);
    });
  }
  ~NatsNode() override {
    at_home([id = id_](NatsCore& core) { core.leave(id); });
  }
  NatsNode(const NatsNode&) = delete;
  NatsNode& operator=(const NatsNode&) = delete;

  void subscribe(const std::string& channel, HistoryLimits limits) override {
    at_home([id = id_, channel, limits](NatsCore& core) { core.subscribe(id, channel, limits); });
  }
  void unsubscribe(const std::string& channel) override {
    at_home([id = id_, channel](NatsCore& core) { core.unsubscribe(id, channel); });
  }
  awaitable<result<Published>> publish(std::string channel, Publication publication, HistoryLimits limits) override {
    return asked(NatsCore::publish(core_, std::move(channel), std::move(publication), limits));
  }
  awaitable<result<History>> history(std::string channel, std::optional<Position> since,
                                     HistoryLimits limits) override {
    return asked(NatsCore::history(core_, std::move(channel), std::move(since), limits));
  }
  void add_presence(const std::string& channel, Presence presence) override {
    at_home([id = id_, channel, presence = std::move(presence)](NatsCore& core) {
      core.presence().add(id, channel, presence);
    });
  }
  void remove_presence(const std::string& channel, const std::string& connection_id) override {
    at_home([channel, connection_id](NatsCore& core) { core.presence().remove(channel, connection_id); });
  }
  awaitable<result<std::vector<Presence>>> presence(std::string channel) override {
    return asked(NatsCore::who(core_, std::move(channel)));
  }
  awaitable<result<Delivery>> control(Control control) override {
    return asked(NatsCore::control(core_, std::move(control)));
  }

 private:
  // What a node asks for happens at home in the order it was asked for.
  template <class Call>
  void at_home(Call call) {
    asio::post(core_->home(), [core = core_, call = std::move(call)] { call(*core); });
  }
  template <class T>
  awaitable<T> asked(awaitable<T> asking) {
    // Without the awaiter's cancellation: Boost 1.81 would hand it to another thread by a pointer into this one's
    // frame.
    return asio::co_spawn(core_->home(), std::move(asking),
                          asio::bind_cancellation_slot(asio::cancellation_slot(), asio::use_awaitable));
  }

  std::shared_ptr<NatsCore> core_;
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

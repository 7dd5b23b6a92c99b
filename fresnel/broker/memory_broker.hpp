// The broker of one process: channels, history and presence in memory, between the process's threads. No state is
// shared by threads: all of it belongs to the home executor, the nodes send messages there and get theirs.
//
// Bounds: what is under way by max_publishing; a channel's history by its own limits; who is present, and which
// channels there are, by what nodes ask for. A channel that nobody follows and whose history has run out is forgotten.
//
// Thread safety: join() from any thread, before or while the executors run. `clock` is used on the home executor only.
#pragma once

#include <memory>

#include "fresnel/broker/broker.hpp"

namespace fresnel::broker {

struct MemoryBrokerOptions {
  Duration publish_timeout = seconds(10);  // for every node of the process to have handed a publication on
  Duration sweep_interval = seconds(30);   // between looks for channels that can be forgotten
  std::size_t max_publishing = 10'000;     // publications under way; one more is refused as throttled
};

class MemoryBroker final : public Broker {
 public:
  // `home` must be run by one thread alone, or be a strand; it may be that of a node.
  MemoryBroker(const Executor& home, Clock& clock, MemoryBrokerOptions options = {});
  ~MemoryBroker() override;
  MemoryBroker(const MemoryBroker&) = delete;
  MemoryBroker& operator=(const MemoryBroker&) = delete;

  [[nodiscard]] std::unique_ptr<Node> join(const Executor& executor, Handlers handlers) override;
  // Channels that are known, on the home executor's thread.
  [[nodiscard]] std::size_t channels() const noexcept;

 private:
  class Core;
  class MemoryNode;

  std::shared_ptr<Core> core_;
};

}  // namespace fresnel::broker

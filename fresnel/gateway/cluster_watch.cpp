#include "fresnel/gateway/cluster_watch.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <utility>
#include <vector>

#include "fresnel/base/log.hpp"

namespace fresnel::gateway {
namespace {

constexpr Duration kInterval = seconds(1);

}  // namespace

class ClusterWatch::Loop {
 public:
  Loop(Shared& shared, const Executor& executor, std::shared_ptr<ClusterFiles> files)
      : shared_(shared),
        executor_(executor),
        files_(std::move(files)),
        clusters_(shared.first_clusters),
        timer_(executor, shared.clock) {
    look_at_sources();  // what is there now is what streams begin with
  }

  static awaitable<void> run(std::shared_ptr<Loop> self) {
    while (!self->stopped_) {
      (void)co_await self->timer_.wait_for(kInterval);
      if (self->stopped_) break;
      if (self->files_ && self->files_->changed()) self->read_again();
      for (const auto& source : self->look_at_sources()) self->shared_.hub->renew(source);
    }
  }

  static void stop(const std::shared_ptr<Loop>& self) {
    asio::post(self->executor_, [self] {
      self->stopped_ = true;
      self->timer_.cancel();
    });
  }

 private:
  using Source = std::shared_ptr<kube::CredentialSource>;

  void read_again() {
    auto clusters = files_->load();
    if (!clusters) {
      log::warn("the clusters stay as they were: {}", clusters.error().message);
      return;
    }
    clusters_ = std::make_shared<const Clusters>(*std::move(clusters));
    log::info("the kubeconfig has changed: {} clusters", clusters_->entries().size());
    for (const auto& entry : clusters_->entries()) {
      if (!entry.context) log::warn("cluster {} cannot be used: {}", entry.name, entry.context.error().message);
    }
    for (auto* worker : shared_.workers) worker->use_clusters(clusters_);
  }

  // Those that give something else than the last time.
  std::vector<Source> look_at_sources() {
    std::map<Source, std::uint64_t> now;
    for (const auto& entry : clusters_->entries()) {
      if (entry.context && entry.context->source) now.emplace(entry.context->source, 0);
    }
    std::vector<Source> changed;
    for (auto& [source, generation] : now) {
      generation = source->generation();
      const auto known = generations_.find(source);
      // The first credential of all is not another one.
      if (known != generations_.end() && known->second != 0 && known->second != generation) changed.push_back(source);
    }
    generations_ = std::move(now);
    return changed;
  }

  Shared& shared_;
  Executor executor_;
  std::shared_ptr<ClusterFiles> files_;
  std::shared_ptr<const Clusters> clusters_;
  Timer timer_;
  std::map<Source, std::uint64_t> generations_;
  bool stopped_ = false;
};

ClusterWatch::ClusterWatch(Shared& shared, const Executor& executor, std::shared_ptr<ClusterFiles> files)
    : loop_(std::make_shared<Loop>(shared, executor, std::move(files))) {
  asio::co_spawn(executor, Loop::run(loop_), asio::detached);
}

void ClusterWatch::stop() { Loop::stop(loop_); }

}  // namespace fresnel::gateway

// A Watcher of this program on a cluster, with options that no gateway offers: for what takes minutes with its own.
//
// Thread safety: the thread that runs the io_context.
#pragma once

#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "fresnel/kube/kubeconfig.hpp"
#include "fresnel/kube/watcher.hpp"
#include "fresnel/net/curl_client.hpp"

namespace fresnel::test {

class LiveWatcher {
 public:
  using Phase = kube::WatchStatus::Phase;

  LiveWatcher(boost::asio::io_context& io, Clock& clock, const std::filesystem::path& kubeconfig,
              kube::WatchTarget target, kube::WatcherOptions options = {}, net::CurlClientOptions http = {})
      : io_(io), transport_(io.get_executor(), http) {
    const auto config = kube::load_kubeconfig({.explicit_path = kubeconfig.string()}).value();
    const auto context = config.find().value();
    kube::WatcherHandlers handlers;
    handlers.on_status = [this](const kube::WatchStatus& status) {
      status_ = status;
      if (status.phase == Phase::failing) failures_.push_back(status.error);
      if (status.phase == Phase::connected) ++connections_;
    };
    handlers.on_events = [this](const std::vector<kube::WatchEvent>& events) {
      for (const auto& event : events) bookmarks_ += event.type == kube::WatchEvent::Type::bookmark ? 1 : 0;
    };
    watcher_.emplace(io.get_executor(), clock, random_, std::make_shared<kube::ApiClient>(transport_, context),
                     std::move(target), std::move(handlers), options);
    watcher_->start();
  }
  // Its coroutines end before what they refer to.
  ~LiveWatcher() {
    watcher_.reset();
    io_.restart();
    io_.poll();
  }
  LiveWatcher(const LiveWatcher&) = delete;
  LiveWatcher& operator=(const LiveWatcher&) = delete;

  [[nodiscard]] bool connected() const noexcept { return status_.phase == Phase::connected; }
  [[nodiscard]] const std::vector<Error>& failures() const noexcept { return failures_; }
  [[nodiscard]] int connections() const noexcept { return connections_; }
  [[nodiscard]] int bookmarks() const noexcept { return bookmarks_; }
  [[nodiscard]] const kube::Watcher& watcher() const noexcept { return *watcher_; }
  // (uid, resourceVersion), as Cluster::truth().
  [[nodiscard]] std::set<std::pair<std::string, std::string>> holds() const {
    std::set<std::pair<std::string, std::string>> objects;
    for (const auto& [uid, event] : watcher_->index()) objects.emplace(uid, event.resource_version);
    return objects;
  }

 private:
  boost::asio::io_context& io_;
  Random random_{7};
  net::CurlClient transport_;
  kube::WatchStatus status_;
  std::vector<Error> failures_;
  int connections_ = 0;
  int bookmarks_ = 0;
  std::optional<kube::Watcher> watcher_;
};

}  // namespace fresnel::test

// Follows one list of one cluster for ever: lists, watches, resumes, relists after a 410, and says what changed.
// Nothing is lost: after any failure the handlers have been given exactly the events that lead to the cluster's state.
//
//   Watcher watcher(executor, clock, random, std::make_shared<ApiClient>(transport, context),
//                   {.path = "/api/v1/pods"}, handlers);
//   watcher.start();
//
// Thread safety: one thread, that of the executor; handlers run there and may destroy the Watcher. The clock,
// the random source and the client's transport must outlive the executor's work. Destruction ends everything; no
// handler is called afterwards.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "fresnel/base/backoff.hpp"
#include "fresnel/base/clock.hpp"
#include "fresnel/kube/api_client.hpp"
#include "fresnel/kube/object_index.hpp"
#include "fresnel/kube/watch_event.hpp"

namespace fresnel::kube {

struct WatchTarget {
  std::string path;   // of the list: "/api/v1/namespaces/shop/pods"
  std::string query;  // selectors only, percent-encoded: "labelSelector=app%3Dweb"
  std::string accept = std::string(kJson);
};

struct WatcherOptions {
  BackoffOptions backoff = {};            // 0.8 s doubling to 30 s; starts over after a healthy minute
  Duration watch_timeout = seconds(300);  // timeoutSeconds asked for: this much to twice this much, by chance
  Duration watchdog = seconds(10);        // a watch that outlives its timeoutSeconds by so much is dropped
  int page_size = 500;                    // objects a list request
  std::size_t max_list = 1u << 30;        // bytes a page
  // The first list, and that after a 410, come as the first events of the watch that follows (sendInitialEvents,
  // Kubernetes 1.32): less work for the API server. Where it is refused the list comes in pages, from then on.
  bool streaming_lists = false;
};

// A list has been taken. On the first, index() holds it; on a relist its difference follows as on_events.
struct ListedInfo {
  std::string resource_version;
  std::string start_version;  // the watch starts at this older version, empty: at the list's
  bool relist = false;
  std::string kind;  // of the events' objects: "Pod", or "Table"
  std::string api_version;
  const std::string* columns = nullptr;  // a Table's columnDefinitions as JSON
};

struct WatchStatus {
  enum class Phase { connecting, connected, failing } phase = Phase::connecting;
  Error error = {};  // failing: why
};

struct WatcherHandlers {
  std::function<void(const ListedInfo&)> on_listed;
  // In stream order. A BOOKMARK says that everything up to its version has been seen. A Table's events come without
  // columnDefinitions: ListedInfo has them.
  std::function<void(std::vector<WatchEvent>)> on_events;
  // Connecting: at the start and while relisting. A watch that ends at its timeoutSeconds and is opened again stays
  // connected.
  std::function<void(const WatchStatus&)> on_status;
  // Asked once, when the first list is there: watch from this older version on (for subscribers that know that
  // state). Optional.
  std::function<std::string()> start_version;
  // The server no longer has start_version: events begin at the list's version.
  std::function<void()> on_start_lost;
};

class Watcher {
 public:
  Watcher(const Executor& executor, Clock& clock, Random& random, std::shared_ptr<ApiClient> client, WatchTarget target,
          WatcherHandlers handlers, WatcherOptions options = {});
  ~Watcher();
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  void start();
  // The client's credential is another one: an open watch is opened again with it, from the version reached, and a
  // pause after a failure ends.
  void renew();
  // The objects as of the last event handed out; while older events are being replayed, as of the first list.
  [[nodiscard]] const ObjectIndex& index() const noexcept;
  // The version reached, empty before the first list.
  [[nodiscard]] const std::string& version() const noexcept;
  // Relists done so far.
  [[nodiscard]] std::uint64_t relists() const noexcept;

  // Asks the server how far its history has come; the answer is at least as new as this call. Tried until it succeeds
  // or is forbidden; one at a time.
  void ask_server_version(std::function<void(std::uint64_t)> answer);

 private:
  class Driver;
  std::shared_ptr<Driver> driver_;
};

}  // namespace fresnel::kube

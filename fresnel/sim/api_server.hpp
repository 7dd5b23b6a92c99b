// The simulated API server on the network: HTTP/1.1, watches as chunked lines and as WebSockets, and an echo behind
// the upgrades of pods/exec, attach and portforward. With the controls that tests need to make it misbehave.
//
// A WebSocket watch is answered with the first subprotocol offered that is no credential; kube-apiserver refuses a
// request with two of them, and one without an Origin.
//
// Thread safety: one thread, that of the executor. The clock and the Resources must outlive the server's coroutines,
// which end in the turn of the loop after stop() or the destructor.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "fresnel/base/asio.hpp"
#include "fresnel/base/clock.hpp"
#include "fresnel/net/http_server.hpp"
#include "fresnel/sim/authorizer.hpp"
#include "fresnel/sim/resources.hpp"

namespace fresnel::sim {

struct ApiServerOptions {
  // A watch from a version that is gone gets status 410; otherwise 200 and an ERROR event, as from kube-apiserver.
  bool expired_as_http_status = false;
  // Between bookmarks of a watch that asked for them. One more comes when its timeoutSeconds are over.
  Duration bookmark_interval = std::chrono::minutes(1);
  // For watches that do not say timeoutSeconds.
  Duration watch_timeout = std::chrono::minutes(30);
  // How often the history that is older than this is forgotten; zero: only when compact() is called. kube-apiserver's
  // default is 5 min.
  Duration compaction_interval = Duration::zero();
  net::HttpServerOptions http = {};
};

struct ApiServerCounters {
  std::uint64_t requests = 0;  // all of them
  std::uint64_t list_requests = 0;
  std::uint64_t watch_requests = 0;
  std::map<std::string, std::size_t, std::less<>> open_watches = {};  // by path, without the query
};

class ApiServer {
 public:
  enum class Mode {
    serving,
    unavailable,  // every new request is answered with 503
    stalled,      // connections stay open, nothing is answered and watches are silent, until the mode changes
  };

  ApiServer(const Executor& executor, Clock& clock, Resources& resources, AuthOptions auth = {},
            ApiServerOptions options = {});
  ~ApiServer();  // stop()
  ApiServer(const ApiServer&) = delete;
  ApiServer& operator=(const ApiServer&) = delete;

  // May be called again after stop(): the same port is a restart, with the cluster's state kept.
  [[nodiscard]] result<net::Endpoint> listen(const net::Endpoint& endpoint);
  // Cuts every connection, WebSockets included, and refuses new ones.
  void stop();

  void set_mode(Mode mode);
  void set_auth(AuthOptions auth);
  void set_expired_as_http_status(bool on);
  // Streaming lists (sendInitialEvents), as Kubernetes has them from 1.32 on. Off: they are refused.
  void set_streaming_lists(bool on);
  // Cuts the connections of the watches on `path`, of all watches when it is empty: no last chunk, no Close frame.
  void drop_watches(std::string_view path = {});
  // Ends them as their timeout would.
  void end_watches(std::string_view path = {});

  [[nodiscard]] ApiServerCounters counters() const;
  [[nodiscard]] std::size_t open_watches() const noexcept;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace fresnel::sim

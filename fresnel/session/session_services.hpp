// What a session needs of the gateway around it.
//
// Thread safety: SessionMetrics are atomics; the rest belongs to the session's thread and outlives its sessions.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "fresnel/base/clock.hpp"
#include "fresnel/hub/hub.hpp"
#include "fresnel/session/live_sessions.hpp"

namespace fresnel::session {

struct SessionMetrics {
  std::atomic<std::uint64_t> malformed_messages{0};  // broken JSON, missing or wrong fields, unknown types
  std::atomic<std::uint64_t> binary_messages{0};
  std::atomic<std::uint64_t> oversized_messages{0};
  std::atomic<std::uint64_t> refused_requests{0};      // bad path, unknown cluster, no credential, too many
  std::atomic<std::uint64_t> slow_closes{0};           // clients that let too many answers wait (1013)
  std::atomic<std::int64_t> lagging_subscriptions{0};  // now: their clients read too slowly
  std::atomic<std::uint64_t> conflated_events{0};      // never sent, newer ones took their place
};

struct SessionLimits {
  std::size_t max_subscriptions = 4096;      // a connection; beyond: ERROR with code 429
  std::size_t max_answers = 4096;            // waiting for a slow client, events apart; beyond: close code 1013
  Duration admission_timeout = seconds(10);  // how long a direct watch's upgrade waits for the API server's yes or no
};

// What the gateway knows of one client. Both are called on the session's thread, take_token() before the refresh() of
// the sessions that it concerns.
struct ClusterAccess {
  // Which cluster the client means, and as whom it may ask there. `user_id` is the client's label for itself, maybe
  // empty. Errors: not_found, unauthorized.
  std::function<result<kube::ClusterContext>(std::string_view cluster, std::string_view user_id)> resolve;
  // The client's token for a cluster, from now on; false when it was that already. Errors: invalid_argument: it can be
  // none; not_found: there is no such cluster.
  std::function<result<bool>(std::string_view cluster, std::string_view token)> take_token;
};

struct SessionServices {
  hub::Hub& hub;
  std::size_t thread;  // the session's own, as the hub counts them
  Clock& clock;
  SessionMetrics& metrics;
  LiveSessions& sessions;
  std::string_view base_url = {};  // "" or "/path": what clients may put in front of an API path
  SessionLimits limits = {};
};

// Whether the path can be a list of objects: /api/... or /apis/..., without a query, a fragment, empty or dot segments.
[[nodiscard]] result<void> check_api_path(std::string_view path);

// A REQUEST's path as an API path. Headlamp's frontend makes it from the gateway's URL, base URL included.
[[nodiscard]] result<std::string> api_path_of(std::string_view path, std::string_view base_url);

}  // namespace fresnel::session

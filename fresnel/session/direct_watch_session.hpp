// One direct watch socket: `GET <base-url>/clusters/<name>/<api path>?watch=1&...` with an Upgrade. Events travel as
// kube-apiserver sends them, one JSON text a frame, from the same SharedStream as the multiplexer's.
//
//   auto watch = DirectWatchSession::open(services, access, request);
//   if (!watch) ... respond
//   auto admitted = co_await watch->admitted();      // before the upgrade: a refusal is an HTTP status
//   if (!admitted) ... respond
//   co_await watch->serve(connection);              // goes on while the client's credential changes
//
// Thread safety: the connection's thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "fresnel/net/websocket_connection.hpp"
#include "fresnel/session/event_sender.hpp"
#include "fresnel/session/movable_subscription.hpp"
#include "fresnel/session/session_services.hpp"

namespace fresnel::session {

struct DirectWatchRequest {
  std::string cluster;
  std::string user_id;  // the client's label for itself, maybe empty
  std::string path;
  std::string query;
  std::string accept;
  bool deflated = false;  // the connection will have permessage-deflate
};

class DirectWatchSession final : public MovableSubscription,
                                 public LiveSession,
                                 public std::enable_shared_from_this<DirectWatchSession> {
 public:
  // Errors: those of access.resolve().
  [[nodiscard]] static result<std::shared_ptr<DirectWatchSession>> open(SessionServices services, ClusterAccess access,
                                                                        DirectWatchRequest request);
  DirectWatchSession(SessionServices services, ClusterAccess access, DirectWatchRequest request);
  ~DirectWatchSession() override;
  DirectWatchSession(const DirectWatchSession&) = delete;
  DirectWatchSession& operator=(const DirectWatchSession&) = delete;

  // An Error is the API server's refusal (403, 404, ...). Success too when the API server has said nothing within
  // admission_timeout: the watch then waits for it, as any subscription does.
  [[nodiscard]] awaitable<result<void>> admitted();
  // Until the connection, the watch's timeoutSeconds or its version ends.
  [[nodiscard]] awaitable<void> serve(std::shared_ptr<net::WebSocketConnection> connection);

  void refresh(std::string_view cluster) override;

 private:
  void take_events(std::span<const hub::EventPtr> events) override;
  void take_complete() override;
  void take_status(const kube::WatchStatus& status) override;
  void take_failure(const Error& error) override;

  void join_stream(const kube::ClusterContext& context);
  void end_with(const Error& error);
  static awaitable<void> end_after(std::shared_ptr<DirectWatchSession> self, Duration timeout);
  static awaitable<void> close(std::shared_ptr<net::WebSocketConnection> connection);

  SessionServices services_;
  ClusterAccess access_;
  DirectWatchRequest request_;
  int timeout_seconds_ = 0;
  Timer changed_;  // admission, then the watch's own end
  bool decided_ = false;
  std::optional<Error> failure_;
  hub::PendingEvents early_;  // before the upgrade was answered
  std::shared_ptr<net::WebSocketConnection> connection_;
  std::unique_ptr<EventSender> sender_;
};

}  // namespace fresnel::session

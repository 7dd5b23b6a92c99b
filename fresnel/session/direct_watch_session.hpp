// One direct watch socket: `GET <base-url>/clusters/<name>/<api path>?watch=1&...` with an Upgrade. Events travel as
// kube-apiserver sends them, one JSON text a frame, from the same SharedStream as the multiplexer's.
//
//   auto watch = DirectWatchSession::open(services, context, path, query, accept, deflated);
//   auto admitted = co_await watch->admitted();      // before the upgrade: a refusal is an HTTP status
//   if (!admitted) ... respond
//   co_await watch->serve(connection);
//
// Thread safety: the connection's thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "fresnel/net/websocket_connection.hpp"
#include "fresnel/session/event_sender.hpp"
#include "fresnel/session/session_services.hpp"

namespace fresnel::session {

class DirectWatchSession final : public hub::StreamSubscriber, public std::enable_shared_from_this<DirectWatchSession> {
 public:
  // `deflated`: the connection will have permessage-deflate.
  [[nodiscard]] static std::shared_ptr<DirectWatchSession> open(SessionServices services, kube::ClusterContext context,
                                                                std::string path, std::string_view query,
                                                                std::string accept, bool deflated);
  explicit DirectWatchSession(SessionServices services);
  ~DirectWatchSession() override = default;

  // An Error is the API server's refusal (403, 404, ...). Success too when the API server has said nothing within
  // admission_timeout: the watch then waits for it, as any subscription does.
  [[nodiscard]] awaitable<result<void>> admitted();
  // Until the connection, the watch's timeoutSeconds or its version ends.
  [[nodiscard]] awaitable<void> serve(std::shared_ptr<net::WebSocketConnection> connection);

  void on_events(std::span<const hub::EventPtr> events) override;
  void on_complete() override;
  void on_status(const kube::WatchStatus& status) override;
  void on_failed(const Error& error) override;

 private:
  static awaitable<void> end_after(std::shared_ptr<DirectWatchSession> self, Duration timeout);
  static awaitable<void> close(std::shared_ptr<net::WebSocketConnection> connection);

  SessionServices services_;
  int timeout_seconds_ = 0;
  Timer changed_;  // admission, then the watch's own end
  bool decided_ = false;
  std::optional<Error> failure_;
  hub::PendingEvents early_;  // before the upgrade was answered
  std::shared_ptr<net::WebSocketConnection> connection_;
  std::unique_ptr<EventSender> sender_;
  hub::StreamLease lease_;
};

}  // namespace fresnel::session

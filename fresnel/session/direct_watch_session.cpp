#include "fresnel/session/direct_watch_session.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <utility>

#include "fresnel/base/log.hpp"

namespace fresnel::session {

DirectWatchSession::DirectWatchSession(SessionServices services, ClusterAccess access, DirectWatchRequest request)
    : services_(services),
      access_(std::move(access)),
      request_(std::move(request)),
      timeout_seconds_(hub::parse_watch_query(request_.query).timeout_seconds),
      changed_(services.hub.executor(services.thread), services.clock) {
  services_.sessions.add(*this);
}

DirectWatchSession::~DirectWatchSession() { services_.sessions.remove(*this); }

result<std::shared_ptr<DirectWatchSession>> DirectWatchSession::open(SessionServices services, ClusterAccess access,
                                                                     DirectWatchRequest request) {
  const auto context = access.resolve(request.cluster, request.user_id);
  if (!context) return context.error();
  auto self = std::make_shared<DirectWatchSession>(services, std::move(access), std::move(request));
  self->join_stream(*context);
  return self;
}

void DirectWatchSession::join_stream(const kube::ClusterContext& context) {
  auto query = hub::parse_watch_query(request_.query);
  hub::StreamSource source{
      {context.name, context.identity(), request_.path, request_.accept, std::move(query.selectors)}, context};
  hub::JoinOptions options{.resource_version = std::move(query.resource_version),
                           .bookmarks = query.bookmarks,
                           .initial_events = query.initial_events,
                           .escaped = false,
                           .deflated = request_.deflated,
                           .restart_after_gone = false};
  join(services_, std::move(source), std::move(options), shared_from_this());
}

void DirectWatchSession::refresh(std::string_view cluster) {
  if (failure_ || (!cluster.empty() && cluster != request_.cluster)) return;
  const auto context = access_.resolve(request_.cluster, request_.user_id);
  if (!context && context.error().code == Errc::not_found && !request_.user_id.empty()) return;  // as the other session
  if (!context) {
    leave();
    take_failure(context.error());
    return;
  }
  if (!is_at(hash_of(*context))) join_stream(*context);
}

awaitable<result<void>> DirectWatchSession::admitted() {
  const TimePoint deadline = services_.clock.now() + services_.limits.admission_timeout;
  while (!decided_ && services_.clock.now() < deadline) {
    auto waiting = changed_.wait_until(deadline);
    (void)co_await std::move(waiting);
  }
  // A version that is gone is told inside the watch, as kube-apiserver does.
  if (failure_ && early_.empty()) co_return *failure_;
  co_return result<void>();
}

awaitable<void> DirectWatchSession::serve(std::shared_ptr<net::WebSocketConnection> connection) {
  const auto self = shared_from_this();
  connection_ = std::move(connection);
  decided_ = true;  // changed_ is the watch's own end from here on
  const auto pacer = std::make_shared<PacedSender>(connection_, services_.metrics, services_.limits.max_answers);
  pacer->start();
  sender_ = std::make_unique<EventSender>(pacer, std::string_view(), services_.metrics);
  while (!early_.empty()) {
    const auto item = early_.pop();
    if (item.event != nullptr) {
      sender_->send(std::span(&item.event, 1));
    } else {
      sender_->send(item.mark, {});
    }
  }
  if (failure_) end_with(*failure_);
  if (timeout_seconds_ > 0) {
    asio::co_spawn(connection_->executor(), end_after(self, seconds(timeout_seconds_)), asio::detached);
  }
  for (;;) {
    auto reading = connection_->read();
    auto message = co_await std::move(reading);
    if (!message) break;  // what a client sends on a watch has no meaning
  }
  changed_.cancel();
  leave();
}

void DirectWatchSession::take_events(std::span<const hub::EventPtr> events) {
  if (!std::exchange(decided_, true)) changed_.cancel();
  if (!sender_) {
    for (const auto& event : events) (void)early_.push(event);
    return;
  }
  sender_->send(events);
}

void DirectWatchSession::take_complete() {
  if (!std::exchange(decided_, true)) changed_.cancel();
  constexpr auto kComplete = hub::PendingEvents::Mark::complete;
  if (sender_) {
    sender_->send(kComplete, {});
  } else {
    early_.push(kComplete);
  }
}

void DirectWatchSession::take_status(const kube::WatchStatus&) {}

void DirectWatchSession::take_failure(const Error& error) {
  if (failure_) return;  // it has been told why it ends
  failure_ = error;
  if (!std::exchange(decided_, true)) changed_.cancel();
  if (sender_) end_with(error);
}

// As kube-apiserver ends a watch: an ERROR event, then the end. A version that is gone has had its event.
void DirectWatchSession::end_with(const Error& error) {
  if (error.code != Errc::gone) {
    hub::ClusterMetrics uncounted;
    const auto event = hub::publish(kube::make_error_event(error), hub::Forms{}, uncounted);
    sender_->send(std::span(&event, 1));
  }
  sender_->when_sent([connection = std::weak_ptr(connection_)] {
    const auto open = connection.lock();
    if (open) asio::co_spawn(open->executor(), close(open), asio::detached);
  });
}

awaitable<void> DirectWatchSession::close(std::shared_ptr<net::WebSocketConnection> connection) {
  std::string reason;
  co_await connection->close(1000, std::move(reason));
}

awaitable<void> DirectWatchSession::end_after(std::shared_ptr<DirectWatchSession> self, Duration timeout) {
  const bool due = co_await self->changed_.wait_for(timeout);
  if (!due) co_return;
  auto closing = close(self->connection_);
  co_await std::move(closing);
}

}  // namespace fresnel::session

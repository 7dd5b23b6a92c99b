#include "fresnel/session/direct_watch_session.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <utility>

#include "fresnel/base/log.hpp"

namespace fresnel::session {

DirectWatchSession::DirectWatchSession(SessionServices services)
    : services_(services), changed_(services.hub.executor(services.thread), services.clock) {}

std::shared_ptr<DirectWatchSession> DirectWatchSession::open(SessionServices services, kube::ClusterContext context,
                                                             std::string path, std::string_view query,
                                                             std::string accept, bool deflated) {
  auto self = std::make_shared<DirectWatchSession>(services);
  auto parsed = hub::parse_watch_query(query);
  self->timeout_seconds_ = parsed.timeout_seconds;
  hub::StreamKey key{context.name, context.identity(), std::move(path), std::move(accept),
                     std::move(parsed.selectors)};
  hub::JoinOptions join{.resource_version = std::move(parsed.resource_version),
                        .bookmarks = parsed.bookmarks,
                        .escaped = false,
                        .deflated = deflated,
                        .restart_after_gone = false};
  hub::StreamSource source{std::move(key), std::move(context)};
  self->lease_ = services.hub.subscribe(std::move(source), services.thread, self, std::move(join));
  return self;
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
  if (failure_) on_failed(*failure_);
  if (timeout_seconds_ > 0) {
    asio::co_spawn(connection_->executor(), end_after(self, seconds(timeout_seconds_)), asio::detached);
  }
  for (;;) {
    auto reading = connection_->read();
    auto message = co_await std::move(reading);
    if (!message) break;  // what a client sends on a watch has no meaning
  }
  changed_.cancel();
  lease_.release();
}

void DirectWatchSession::on_events(std::span<const hub::EventPtr> events) {
  if (!std::exchange(decided_, true)) changed_.cancel();
  if (!sender_) {
    for (const auto& event : events) (void)early_.push(event);
    return;
  }
  sender_->send(events);
}

void DirectWatchSession::on_complete() {
  if (!std::exchange(decided_, true)) changed_.cancel();
  constexpr auto kComplete = hub::PendingEvents::Mark::complete;
  if (sender_) {
    sender_->send(kComplete, {});
  } else {
    early_.push(kComplete);
  }
}

void DirectWatchSession::on_status(const kube::WatchStatus&) {}

void DirectWatchSession::on_failed(const Error& error) {
  failure_ = error;
  if (!std::exchange(decided_, true)) changed_.cancel();
  if (!sender_) return;
  // What it was told before, a 410 for one, comes first.
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

#include "fresnel/session/paced_sender.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <utility>

#include "fresnel/base/log.hpp"

namespace fresnel::session {

PacedSender::PacedSender(std::shared_ptr<net::WebSocketConnection> connection, SessionMetrics& metrics,
                         std::size_t max_backlog)
    : connection_(std::move(connection)), metrics_(metrics), max_backlog_(max_backlog) {}

void PacedSender::start() {
  connection_->on_drained([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->drain();
  });
}

void PacedSender::send(const std::shared_ptr<const Prefix>& prefix, const SharedBytes& body) {
  if (over_) return;
  Entry entry{prefix, body};
  if (!paused_) {
    const auto status = put(entry);
    if (accepted(status)) return;
    if (status == net::SendStatus::closed) return;
    paused_ = true;  // full: wait for the queue to drain
  }
  if (backlog_.size() >= max_backlog_) {
    give_up();
    return;
  }
  backlog_.push_back(std::move(entry));
}

net::SendStatus PacedSender::put(const Entry& entry) {
  const std::string_view prefix = entry.prefix ? std::string_view(entry.prefix->bytes) : std::string_view();
  const auto status = connection_->send(prefix, entry.body);
  if (status == net::SendStatus::above_high_water) paused_ = true;
  return status;
}

void PacedSender::drain() {
  paused_ = false;
  while (!paused_ && !backlog_.empty()) {
    const Entry& next = backlog_.front();
    if (next.prefix == nullptr || next.prefix->wanted) {
      const auto status = put(next);
      if (status == net::SendStatus::full) {
        paused_ = true;
        return;
      }
    }
    backlog_.pop_front();
  }
}

void PacedSender::give_up() {
  over_ = true;
  backlog_.clear();
  metrics_.slow_closes.fetch_add(1, std::memory_order_relaxed);
  log::warn("client {}: closed, it reads too slowly: more than {} messages waited for it", connection_->peer(),
            max_backlog_);
  asio::co_spawn(connection_->executor(), close_slow(connection_), asio::detached);
}

awaitable<void> PacedSender::close_slow(std::shared_ptr<net::WebSocketConnection> connection) {
  std::string reason = "the client reads too slowly";
  co_await connection->close(1013, std::move(reason));
}

}  // namespace fresnel::session

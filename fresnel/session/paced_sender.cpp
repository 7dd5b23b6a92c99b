#include "fresnel/session/paced_sender.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <utility>

#include "fresnel/base/log.hpp"
#include "fresnel/session/event_sender.hpp"

namespace fresnel::session {
namespace {

awaitable<void> close(std::shared_ptr<net::WebSocketConnection> connection, int code, std::string reason) {
  co_await connection->close(code, std::move(reason));
}

}  // namespace

PacedSender::PacedSender(std::shared_ptr<net::WebSocketConnection> connection, SessionMetrics& metrics,
                         std::size_t max_answers)
    : connection_(std::move(connection)), metrics_(metrics), max_answers_(max_answers) {}

void PacedSender::start() {
  connection_->on_drained([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->drain();
  });
}

// What is for a closed connection is done with.
void PacedSender::put(net::SendStatus status) {
  if (status == net::SendStatus::above_high_water) paused_ = true;
  if (status == net::SendStatus::full) give_up(1009, "a message is larger than the connection may hold");
}

void PacedSender::answer(std::string text) {
  if (over_) return;
  SharedBytes bytes(std::move(text));
  if (has_room()) {
    put({}, bytes);
  } else if (answers_.size() < max_answers_) {
    answers_.push_back(std::move(bytes));
  } else {
    metrics_.slow_closes.fetch_add(1, std::memory_order_relaxed);
    give_up(1013, "the client reads too slowly");
  }
}

void PacedSender::drain() {
  paused_ = false;
  while (has_room() && !answers_.empty()) {
    const auto answer = std::move(answers_.front());
    answers_.pop_front();  // put() may give up and clear them
    put({}, answer);
  }
  while (has_room() && !waiting_.empty()) {
    EventSender* next = waiting_.front();
    waiting_.pop_front();
    if (next->take_turn()) waiting_.push_back(next);
  }
}

void PacedSender::give_up(int code, std::string reason) {
  if (std::exchange(over_, true)) return;
  paused_ = true;
  answers_.clear();
  log::warn("client {}: closed, {}", connection_->peer(), reason);
  asio::co_spawn(connection_->executor(), close(connection_, code, std::move(reason)), asio::detached);
}

}  // namespace fresnel::session

#include "fresnel/websocket/pooled_connection.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

namespace fresnel::websocket {

WebSocketPool::Connection::Connection(const Executor& executor, Clock& clock,
                                      std::unique_ptr<net::MessageStream> stream, const WebSocketPoolOptions& options)
    : born(clock.now()),
      timer(executor, clock),
      executor_(executor),
      stream_(std::move(stream)),
      max_unread_(options.max_unread),
      max_unread_bytes_(options.max_unread_bytes),
      changed_(executor, TimePoint::max()) {}

void WebSocketPool::Connection::start(std::function<void(const Error&)> ended) {
  ended_ = std::move(ended);
  auto reading = read_all(shared_from_this());
  asio::co_spawn(executor_, std::move(reading), asio::detached);
}

awaitable<void> WebSocketPool::Connection::read_all(std::shared_ptr<Connection> self) {
  for (;;) {
    while (self->lent_ && self->is_full()) {
      co_await self->changed_.async_wait(asio::as_tuple(asio::use_awaitable));
    }
    auto reading = self->stream_->read();
    auto message = co_await std::move(reading);
    if (!message) {
      self->end_ = message.error();
      break;
    }
    if (!self->lent_) continue;
    self->unread_bytes_ += message->payload.size();
    self->unread_.push_back(*std::move(message));
    self->changed_.cancel();
  }
  self->changed_.cancel();
  const auto ended = std::exchange(self->ended_, nullptr);
  if (ended) ended(*self->end_);
}

void WebSocketPool::Connection::lend() { lent_ = true; }

bool WebSocketPool::Connection::take_back() {
  const bool clean = unread_.empty() && under_way_ == 0 && !failed_ && !end_;
  lent_ = false;
  unread_.clear();
  unread_bytes_ = 0;
  changed_.cancel();
  return clean;
}

// A lease that is given back meanwhile has the connection dropped, which ends this.
awaitable<result<net::Message>> WebSocketPool::Connection::read(std::shared_ptr<Connection> self) {
  ++self->under_way_;
  bool cancelled = false;
  while (self->unread_.empty() && !self->end_ && !cancelled) {
    co_await self->changed_.async_wait(asio::as_tuple(asio::use_awaitable));
    const auto state = co_await asio::this_coro::cancellation_state;
    cancelled = state.cancelled() != asio::cancellation_type::none;
  }
  --self->under_way_;
  if (cancelled) co_return Error{Errc::cancelled, "the read was cancelled"};
  if (self->unread_.empty()) co_return *self->end_;
  auto message = std::move(self->unread_.front());
  self->unread_.pop_front();
  self->unread_bytes_ -= message.payload.size();
  self->changed_.cancel();
  co_return message;
}

awaitable<result<void>> WebSocketPool::Connection::write(std::shared_ptr<Connection> self, net::Message message) {
  ++self->under_way_;
  auto writing = self->stream_->write(std::move(message));
  auto written = co_await std::move(writing);
  --self->under_way_;
  if (!written) self->failed_ = true;
  co_return written;
}

awaitable<result<Duration>> WebSocketPool::Connection::ping(std::shared_ptr<Connection> self, Duration limit) {
  ++self->under_way_;
  auto pinging = self->stream_->ping(limit);
  auto answered = co_await std::move(pinging);
  --self->under_way_;
  if (!answered) self->failed_ = true;
  co_return answered;
}

awaitable<void> WebSocketPool::Connection::close(std::shared_ptr<Connection> self) {
  std::string reason;
  auto closing = self->stream_->close(1000, std::move(reason));
  co_await std::move(closing);
}

}  // namespace fresnel::websocket

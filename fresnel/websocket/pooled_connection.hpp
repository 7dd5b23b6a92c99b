// A connection of a WebSocketPool: read all the time, lent or not. Internal to the pool.
//
// Thread safety: one thread.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <optional>

#include "fresnel/base/asio.hpp"
#include "fresnel/base/clock.hpp"
#include "fresnel/net/message_stream.hpp"
#include "fresnel/websocket/websocket_pool.hpp"

namespace fresnel::websocket {

class WebSocketPool::Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(const Executor& executor, Clock& clock, std::unique_ptr<net::MessageStream> stream,
             const WebSocketPoolOptions& options);

  // Reads until the end, which `ended` is told of.
  void start(std::function<void(const Error&)> ended);

  void lend();
  // Whether it may be lent again.
  [[nodiscard]] bool take_back();
  [[nodiscard]] static awaitable<result<net::Message>> read(std::shared_ptr<Connection> self);
  [[nodiscard]] static awaitable<result<void>> write(std::shared_ptr<Connection> self, net::Message message);
  [[nodiscard]] static awaitable<result<Duration>> ping(std::shared_ptr<Connection> self, Duration limit);
  [[nodiscard]] static awaitable<void> close(std::shared_ptr<Connection> self);
  void abort() noexcept { stream_->abort(); }
  [[nodiscard]] bool is_over() const noexcept { return end_.has_value(); }
  [[nodiscard]] std::string_view protocol() const noexcept { return stream_->protocol(); }

  const TimePoint born;
  Timer timer;    // of its time as an idle one
  TimePoint due;  // of the timer

 private:
  [[nodiscard]] bool is_full() const noexcept {
    return unread_.size() >= max_unread_ || unread_bytes_ >= max_unread_bytes_;
  }
  static awaitable<void> read_all(std::shared_ptr<Connection> self);

  Executor executor_;
  std::unique_ptr<net::MessageStream> stream_;
  const std::size_t max_unread_;
  const std::size_t max_unread_bytes_;
  std::function<void(const Error&)> ended_;
  bool lent_ = false;
  bool failed_ = false;  // a write or a ping
  int under_way_ = 0;    // reads, writes and pings of the lease
  std::deque<net::Message> unread_;
  std::size_t unread_bytes_ = 0;
  std::optional<Error> end_;
  asio::steady_timer changed_;  // cancelled when unread_, lent_ or end_ change
};

}  // namespace fresnel::websocket

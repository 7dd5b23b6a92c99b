// Counts coroutines that are under way; whoever waits goes on when none is left. Internal to websocket.
//
// Thread safety: one thread.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstddef>
#include <exception>
#include <memory>
#include <utility>

#include "fresnel/base/asio.hpp"
#include "fresnel/base/clock.hpp"

namespace fresnel::websocket {

class Pending : public std::enable_shared_from_this<Pending> {
 public:
  explicit Pending(const Executor& executor) : executor_(executor), none_(executor, TimePoint::max()) {}

  void add(awaitable<void> operation) {
    ++count_;
    asio::co_spawn(executor_, std::move(operation), [self = shared_from_this()](const std::exception_ptr&) {
      if (--self->count_ == 0) self->none_.cancel();
    });
  }
  static awaitable<void> wait(std::shared_ptr<Pending> self) {
    while (self->count_ > 0) co_await self->none_.async_wait(asio::as_tuple(asio::use_awaitable));
  }

 private:
  Executor executor_;
  std::size_t count_ = 0;
  asio::steady_timer none_;
};

}  // namespace fresnel::websocket

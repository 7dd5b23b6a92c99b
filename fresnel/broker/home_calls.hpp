// How a broker's node reaches the broker's state on the home executor.
//
// Thread safety: the node's thread.
#pragma once

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <utility>

#include "fresnel/base/asio.hpp"

namespace fresnel::broker {

// `Core` has home(); everything it is asked for happens there, in the order it was asked for.
template <class Core>
class HomeCalls {
 public:
  explicit HomeCalls(std::shared_ptr<Core> core) : core_(std::move(core)) {}

  [[nodiscard]] const std::shared_ptr<Core>& core() const noexcept { return core_; }
  template <class Call>
  void post(Call call) const {
    asio::post(core_->home(), [core = core_, call = std::move(call)] { call(*core); });
  }
  // Without the awaiter's cancellation: Boost 1.81 would hand it to another thread by a pointer into this one's frame.
  template <class T>
  [[nodiscard]] awaitable<T> ask(awaitable<T> asking) const {
    return asio::co_spawn(core_->home(), std::move(asking),
                          asio::bind_cancellation_slot(asio::cancellation_slot(), asio::use_awaitable));
  }

 private:
  std::shared_ptr<Core> core_;
};

}  // namespace fresnel::broker

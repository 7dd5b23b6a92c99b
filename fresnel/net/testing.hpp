// Helpers of the tests that need sockets: run a coroutine to its end on the test's own thread, and talk raw TCP.
//
// Thread safety: one thread. Errors throw; everything ends after 20 s at the latest, so that a failing test ends too.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>

#include "fresnel/base/asio.hpp"
#include "fresnel/net/http_server.hpp"

namespace fresnel::net::testing {

// Runs `io` until `done`.
inline void run_until(asio::io_context& io, const std::function<bool()>& done) {
  io.restart();
  while (!done()) {
    if (io.run_one_for(seconds(20)) == 0) throw std::runtime_error("nothing more happens, the test waits in vain");
  }
}

// Runs `io` until the coroutine that `work` makes has ended. `work` may capture: it outlives its coroutine here.
inline void run(asio::io_context& io, const std::function<awaitable<void>()>& work) {
  bool done = false;
  std::exception_ptr failure;
  asio::co_spawn(io, work(), [&](std::exception_ptr thrown) {
    failure = thrown;
    done = true;
  });
  run_until(io, [&] { return done; });
  if (failure) std::rethrow_exception(failure);
}

// Opened once; whoever waits, before or after, goes on.
class Gate {
 public:
  explicit Gate(asio::io_context& io) : timer_(io, TimePoint::max()) {}
  void open() {
    open_ = true;
    timer_.cancel();
  }
  [[nodiscard]] bool is_open() const noexcept { return open_; }
  awaitable<void> wait() {
    while (!open_) co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable));
  }

 private:
  asio::steady_timer timer_;
  bool open_ = false;
};

// A TCP client that writes and reads text as it is.
class RawClient {
 public:
  explicit RawClient(asio::io_context& io) : socket_(io) {}

  awaitable<void> connect(Endpoint endpoint) {
    socket_.close();
    pending_.clear();
    const asio::ip::tcp::endpoint address(asio::ip::make_address(endpoint.host), endpoint.port);
    co_await socket_.async_connect(address, asio::use_awaitable);
  }
  awaitable<void> send(std::string text) {
    co_await asio::async_write(socket_, asio::buffer(text), asio::use_awaitable);
  }
  // Up to and including `mark`.
  awaitable<std::string> read_until(std::string mark) {
    auto buffer = asio::dynamic_buffer(pending_);
    const auto size = co_await asio::async_read_until(socket_, buffer, mark, asio::use_awaitable);
    co_return take(size);
  }
  awaitable<std::string> read_exactly(std::size_t size) {
    if (pending_.size() < size) {
      auto buffer = asio::dynamic_buffer(pending_);
      const auto missing = asio::transfer_exactly(size - pending_.size());
      co_await asio::async_read(socket_, buffer, missing, asio::use_awaitable);
    }
    co_return take(size);
  }
  // Until the peer closes or resets.
  awaitable<std::string> read_to_end() {
    auto buffer = asio::dynamic_buffer(pending_);
    try {
      co_await asio::async_read(socket_, buffer, asio::use_awaitable);
    } catch (const boost::system::system_error&) {
    }
    co_return take(pending_.size());
  }
  asio::ip::tcp::socket& socket() { return socket_; }
  void close() { socket_.close(); }

 private:
  std::string take(std::size_t size) {
    std::string taken = pending_.substr(0, size);
    pending_.erase(0, size);
    return taken;
  }

  asio::ip::tcp::socket socket_;
  std::string pending_;
};

}  // namespace fresnel::net::testing

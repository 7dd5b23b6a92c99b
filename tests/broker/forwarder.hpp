// A TCP forwarder between one gateway and nats-server, so that a test can take the network from that gateway alone.
//
// Thread safety: one thread, that of its io_context, which must run.
#pragma once

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <memory>
#include <string>
#include <vector>

#include "fresnel/base/asio.hpp"

namespace fresnel::test {

class Forwarder {
 public:
  Forwarder(asio::io_context& io, std::uint16_t to)
      : io_(io), to_(asio::ip::make_address("127.0.0.1"), to), acceptor_(io, {to_.address(), 0}) {
    asio::co_spawn(io_, accept(this), asio::detached);
  }
  ~Forwarder() { cut(); }
  Forwarder(const Forwarder&) = delete;
  Forwarder& operator=(const Forwarder&) = delete;

  [[nodiscard]] std::string url() const {
    return "nats://127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port());
  }
  // Ends all connections; those that come are ended at once, until mend().
  void cut() {
    is_cut_ = true;
    for (const auto& weak : sockets_) {
      const auto socket = weak.lock();
      if (socket) socket->close();
    }
    sockets_.clear();
  }
  void mend() { is_cut_ = is_stalled_ = false; }
  // From now on nothing passes to the gateway; its connection stays open.
  void stall() { is_stalled_ = true; }

 private:
  using Socket = asio::ip::tcp::socket;

  static awaitable<void> accept(Forwarder* self) {
    for (;;) {
      error_code error;
      auto socket = std::make_shared<Socket>(self->io_);
      co_await self->acceptor_.async_accept(*socket, asio::redirect_error(asio::use_awaitable, error));
      if (error) co_return;
      if (self->is_cut_) continue;
      auto other = std::make_shared<Socket>(self->io_);
      co_await other->async_connect(self->to_, asio::redirect_error(asio::use_awaitable, error));
      if (error) continue;
      self->sockets_.push_back(socket);
      self->sockets_.push_back(other);
      asio::co_spawn(self->io_, copy(self, socket, other, false), asio::detached);
      asio::co_spawn(self->io_, copy(self, other, socket, true), asio::detached);
    }
  }
  static awaitable<void> copy(Forwarder* self, std::shared_ptr<Socket> from, std::shared_ptr<Socket> to,
                              bool to_gateway) {
    std::array<char, 16'384> bytes{};
    error_code error;
    while (!error) {
      auto buffer = asio::buffer(bytes);
      const auto size = co_await from->async_read_some(buffer, asio::redirect_error(asio::use_awaitable, error));
      if (error) break;
      if (to_gateway && self->is_stalled_) continue;
      const auto part = asio::buffer(bytes.data(), size);
      co_await asio::async_write(*to, part, asio::redirect_error(asio::use_awaitable, error));
    }
    from->close();
    to->close();
  }

  asio::io_context& io_;
  asio::ip::tcp::endpoint to_;
  asio::ip::tcp::acceptor acceptor_;
  std::vector<std::weak_ptr<Socket>> sockets_;
  bool is_cut_ = false;
  bool is_stalled_ = false;
};

}  // namespace fresnel::test

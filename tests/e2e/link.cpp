#include "tests/e2e/link.hpp"

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <future>

namespace fresnel::test {

namespace asio = boost::asio;

struct Link::Pair {
  explicit Pair(Tcp::socket accepted) : client(std::move(accepted)), server(client.get_executor()) {}
  void close() {
    boost::system::error_code ignored;
    client.close(ignored);
    server.close(ignored);
  }
  Tcp::socket client;
  Tcp::socket server;
};

Link::Link(std::uint16_t target_port) : target_port_(target_port) {
  const Tcp::endpoint endpoint(asio::ip::address_v4::loopback(), 0);
  acceptor_.open(endpoint.protocol());
  acceptor_.bind(endpoint);
  acceptor_.listen();
  port_ = acceptor_.local_endpoint().port();
  asio::co_spawn(io_, accept_all(), asio::detached);
  thread_ = std::thread([this] { io_.run(); });
}

Link::~Link() {
  run([this] {
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    for (const auto& pair : pairs_) pair->close();
  });
  work_.reset();
  thread_.join();
}

void Link::run(std::function<void()> action) {
  std::promise<void> done;
  asio::post(io_, [&] {
    action();
    done.set_value();
  });
  done.get_future().wait();
}

void Link::cut() {
  run([this] {
    up_ = false;
    for (const auto& pair : pairs_) pair->close();
  });
}

void Link::mend() {
  run([this] { up_ = true; });
}

void Link::drop() {
  run([this] {
    for (const auto& pair : pairs_) pair->close();
  });
}

asio::awaitable<void> Link::accept_all() {
  for (;;) {
    auto [error, socket] = co_await acceptor_.async_accept(asio::as_tuple(asio::use_awaitable));
    if (error == asio::error::operation_aborted || !acceptor_.is_open()) co_return;
    if (error || !up_) continue;  // a cut cable: the connection ends at once
    auto pair = std::make_shared<Pair>(std::move(socket));
    pairs_.insert(pair);
    asio::co_spawn(io_, relay(std::move(pair)), asio::detached);
  }
}

asio::awaitable<void> Link::relay(std::shared_ptr<Pair> pair) {
  using namespace asio::experimental::awaitable_operators;
  const Tcp::endpoint target(asio::ip::address_v4::loopback(), target_port_);
  auto [error] = co_await pair->server.async_connect(target, asio::as_tuple(asio::use_awaitable));
  if (!error) {
    auto upward = copy(pair, true);
    auto downward = copy(pair, false);
    auto both = std::move(upward) && std::move(downward);
    co_await std::move(both);
  }
  pair->close();
  pairs_.erase(pair);
}

// The end of one direction is passed on and leaves the other open; a failure ends both.
asio::awaitable<void> Link::copy(std::shared_ptr<Pair> pair, bool from_client) {
  Tcp::socket& from = from_client ? pair->client : pair->server;
  Tcp::socket& to = from_client ? pair->server : pair->client;
  std::array<char, 65536> buffer;
  for (;;) {
    auto [error, size] = co_await from.async_read_some(asio::buffer(buffer), asio::as_tuple(asio::use_awaitable));
    if (error == asio::error::eof) {
      boost::system::error_code ignored;
      to.shutdown(Tcp::socket::shutdown_send, ignored);
      co_return;
    }
    if (error) break;
    const auto part = asio::buffer(buffer.data(), size);
    auto [failed, written] = co_await asio::async_write(to, part, asio::as_tuple(asio::use_awaitable));
    if (failed) break;
  }
  pair->close();
}

}  // namespace fresnel::test

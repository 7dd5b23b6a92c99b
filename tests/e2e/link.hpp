// A cable that a test can cut: a TCP relay on a port of its own.
//
// Thread safety: runs on a thread of its own; the functions may be called from any.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cstdint>
#include <memory>
#include <set>
#include <thread>

namespace fresnel::test {

class Link {
 public:
  // Listens on a free port of 127.0.0.1 and connects each client to `target_port`.
  explicit Link(std::uint16_t target_port);
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  // Drops every connection and refuses new ones until mend().
  void cut();
  void mend();
  // Drops every connection; new ones work.
  void drop();

 private:
  struct Pair;
  using Tcp = boost::asio::ip::tcp;

  boost::asio::awaitable<void> accept_all();
  boost::asio::awaitable<void> relay(std::shared_ptr<Pair> pair);
  static boost::asio::awaitable<void> copy(std::shared_ptr<Pair> pair, bool from_client);
  void run(std::function<void()> action);

  std::uint16_t target_port_;
  std::uint16_t port_ = 0;
  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{io_.get_executor()};
  Tcp::acceptor acceptor_{io_};
  bool up_ = true;
  std::set<std::shared_ptr<Pair>> pairs_;
  std::thread thread_;
};

}  // namespace fresnel::test

// A server on the toolkit for its load tests: WebSocketManager, Broadcaster on a MemoryBroker, serve_channels. It
// prints its port, then obeys commands:
//
//   account                      what it holds, and its memory, once it has given back what it does not use
//   broadcast TURNS BURST SIZE   BURST messages to every connection in one turn of the loop, TURNS times
//   publish TURNS BURST SIZE     one message to every channel, TURNS times; BURST are begun in one turn of the loop
//
// A turn begins when the kernel has taken everything of the last one. The messages are numbered through, as
// {"n":NUMBER,"data":PADDING} of about SIZE bytes, so that a receiver sees what is missing or comes twice. Those of
// channels wear the channel protocol's envelope. The answer has the CPU time from the command to the last byte taken.
//
// usage: bench_toolkit_server CONNECTIONS CHANNELS
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "bench/toolkit_process.hpp"
#include "fresnel/base/clock.hpp"
#include "fresnel/broker/memory_broker.hpp"
#include "fresnel/channel/broadcaster.hpp"
#include "fresnel/channel/channel_message.hpp"
#include "fresnel/channel/channel_session.hpp"
#include "fresnel/net/http_server.hpp"
#include "fresnel/websocket/websocket_manager.hpp"

namespace fresnel::bench {
namespace {

std::uint64_t cpu_microseconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto of = [](const timeval& time) {
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000 + static_cast<std::uint64_t>(time.tv_usec);
  };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

// Bytes. What the allocator keeps for later is not the connections'.
std::uint64_t resident() {
  malloc_trim(0);
  std::uint64_t size = 0;
  std::uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> size >> pages;
  return pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

struct Order {
  std::string command;
  std::size_t turns = 0, burst = 1, size = 0;
};

class Server {
 public:
  Server(std::size_t connections, std::size_t channels)
      : manager_(io_.get_executor(), clock_, manager_options(connections)),
        broker_(io_.get_executor(), clock_),
        broadcaster_(io_.get_executor(), broker_, broadcaster_options(manager_, channels)),
        http_(io_.get_executor(), clock_, http_options(connections),
              [this](net::HttpExchange& exchange) { return serve(exchange); }),
        pause_(io_),
        input_(io_, ::dup(STDIN_FILENO)) {
    for (std::size_t i = 0; i < channels; ++i) {
      channels_.push_back(broadcaster_.create_channel("c" + std::to_string(i)).value());
    }
  }

  void run() {
    say(std::to_string(http_.listen({"127.0.0.1", 0}).value().port));
    asio::co_spawn(io_, obey(), asio::detached);
    io_.run();
  }

 private:
  static websocket::WebSocketManagerOptions manager_options(std::size_t connections) {
    websocket::WebSocketManagerOptions options;
    options.max_connections = connections + kClosing;
    return options;
  }
  static net::HttpServerOptions http_options(std::size_t connections) {
    net::HttpServerOptions options;
    options.max_connections = connections + kClosing;
    return options;
  }
  static channel::BroadcasterOptions broadcaster_options(websocket::WebSocketManager& manager, std::size_t channels) {
    channel::BroadcasterOptions options;
    options.max_channels = channels;
    options.envelope = channel::encode_message;
    options.manager = &manager;
    return options;
  }

  // The session is a coroutine of its own, so that the exchange need not be kept for as long.
  awaitable<void> serve(net::HttpExchange& exchange) {
    auto accepting = manager_.accept(exchange);
    auto accepted = co_await std::move(accepting);
    if (!accepted) co_return;
    ++accepted_;
    asio::co_spawn(io_, channel::serve_channels(*std::move(accepted), broadcaster_), asio::detached);
  }

  // Until the end of its input, that is, of who commands it.
  awaitable<void> obey() {
    std::string line;
    char bytes[256];
    for (;;) {
      auto waiting = input_.async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable);
      co_await std::move(waiting);
      const auto size = ::read(input_.native_handle(), bytes, sizeof bytes);
      if (size <= 0) break;
      received_.append(bytes, static_cast<std::size_t>(size));
      while (take_line(received_, line)) {
        Order order;
        std::istringstream(line) >> order.command >> order.turns >> order.burst >> order.size;
        auto answering = answer(order);
        const auto text = co_await std::move(answering);
        say(text);
      }
    }
    io_.stop();
  }

  awaitable<std::string> answer(Order order) {
    if (order.command == "account") co_return account();
    if ((order.command != "broadcast" && order.command != "publish") || order.burst == 0) {
      co_return R"({"fault":"unknown command"})";
    }
    const auto begin = std::chrono::steady_clock::now();
    const auto cpu = cpu_microseconds();
    delivery_ = {};
    padding_.assign(order.size, 'x');
    for (std::size_t i = 0; i < order.turns; ++i) {
      auto turning = order.command == "broadcast" ? broadcast(order.burst) : publish(order.burst);
      co_await std::move(turning);
      auto draining = drain();
      co_await std::move(draining);
    }
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin;
    co_return fmt::format(R"({{"messages":{},"skipped":{},"slow":{},"seconds":{:.6f},"cpu_us":{}}})", delivery_.queued,
                          delivery_.skipped, delivery_.slow, spent.count(), cpu_microseconds() - cpu);
  }

  [[nodiscard]] std::string account() const {
    std::size_t subscriptions = 0;
    for (const auto& channel : channels_) subscriptions += channel.subscriber_count();
    return fmt::format(R"({{"connections":{},"subscriptions":{},"accepted":{},"rss":{}}})", manager_.active_count(),
                       subscriptions, accepted_, resident());
  }

  net::OutboundMessage next_message() { return net::OutboundMessage::json({{"n", ++number_}, {"data", padding_}}); }

  awaitable<void> broadcast(std::size_t burst) {
    for (std::size_t i = 0; i < burst; ++i) {
      const auto sent = manager_.broadcast(next_message());
      delivery_ += {sent.queued, sent.skipped, sent.slow};
    }
    co_return;
  }

  awaitable<void> publish(std::size_t burst) {
    for (std::size_t first = 0; first < channels_.size(); first += burst) {
      const auto end = std::min(channels_.size(), first + burst);
      publishing_ = end - first;
      for (auto i = first; i + 1 < end; ++i) asio::co_spawn(io_, publish_to(i), asio::detached);
      auto publishing = publish_to(end - 1);
      co_await std::move(publishing);
      while (publishing_ > 0) {
        auto yielding = asio::post(io_, asio::use_awaitable);
        co_await std::move(yielding);
      }
    }
  }

  awaitable<void> publish_to(std::size_t channel) {
    auto publishing = channels_[channel].broadcast(next_message());
    const auto published = co_await std::move(publishing);
    if (published) delivery_ += *published;
    --publishing_;
  }

  // What a turn of the loop has sent leaves at its end.
  awaitable<void> drain() {
    auto yielding = asio::post(io_, asio::use_awaitable);
    co_await std::move(yielding);
    while (!is_drained()) {
      pause_.expires_after(milliseconds(1));
      auto waiting = pause_.async_wait(asio::use_awaitable);
      co_await std::move(waiting);
    }
  }

  [[nodiscard]] bool is_drained() const {
    const auto sockets = manager_.get_active_connections();
    return std::all_of(sockets.begin(), sockets.end(),
                       [](const auto& socket) { return socket->connection()->outbound_bytes() == 0; });
  }

  SteadyClock clock_;
  asio::io_context io_{1};
  websocket::WebSocketManager manager_;
  broker::MemoryBroker broker_;
  channel::Broadcaster broadcaster_;
  net::HttpServer http_;
  std::vector<channel::Broadcaster::Channel> channels_;
  asio::steady_timer pause_;
  asio::posix::stream_descriptor input_;
  std::string received_;  // of the input
  std::string padding_;
  std::uint64_t number_ = 0;  // of the latest message
  std::uint64_t accepted_ = 0;
  std::size_t publishing_ = 0;
  broker::Delivery delivery_;
};

}  // namespace
}  // namespace fresnel::bench

int main(int argc, char** argv) {
  try {
    if (argc != 3) throw std::runtime_error("usage: bench_toolkit_server CONNECTIONS CHANNELS");
    const auto connections = std::stoul(argv[1]);
    fresnel::bench::allow_connections(connections);
    fresnel::bench::Server(connections, std::stoul(argv[2])).run();
  } catch (const std::exception& failure) {
    fmt::print(stderr, "bench_toolkit_server: {}\n", failure.what());
    return 1;
  }
  return 0;
}

// A chat: what one client sends, all clients get. A client that does not keep up loses the oldest messages, nobody
// waits for it.
//
// usage: example_chat_server [PORT]                try it with: python3 -m websockets ws://127.0.0.1:PORT
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "fresnel/base/clock.hpp"
#include "fresnel/websocket/websocket_manager.hpp"

namespace ws = fresnel::websocket;

namespace {

// The program ends when the last socket is closed.
fresnel::awaitable<void> close_at_a_signal(ws::WebSocketManager& manager) {
  const auto executor = co_await boost::asio::this_coro::executor;
  boost::asio::signal_set signals(executor, SIGINT, SIGTERM);
  co_await signals.async_wait(boost::asio::use_awaitable);
  std::string reason = "the chat is over";
  co_await manager.close(1001, std::move(reason));
}

}  // namespace

int main(int argc, char** argv) {
  fresnel::SteadyClock clock;
  boost::asio::io_context io;

  ws::WebSocketManagerOptions options;
  options.compression.enabled = true;
  options.slow_consumer = ws::SlowConsumer::drop_oldest;
  ws::WebSocketManager manager(io.get_executor(), clock, options);

  manager.on_open(
      [&](const auto& socket) { manager.broadcast(ws::OutboundMessage::text(socket->context().peer + " has come")); });
  manager.on_message([&](const auto& socket, fresnel::net::Message message) {
    manager.broadcast(ws::OutboundMessage::text(socket->context().peer + ": " + message.payload));
  });
  manager.on_close([&](const ws::ConnectionContext& context, int code, const std::string&) {
    manager.broadcast(ws::OutboundMessage::text(context.peer + " has gone, with code " + std::to_string(code)));
  });

  const auto port = static_cast<std::uint16_t>(argc > 1 ? std::atoi(argv[1]) : 0);
  const auto bound = manager.listen({"127.0.0.1", port});
  if (!bound) {
    std::fprintf(stderr, "%s\n", bound.error().message.c_str());
    return 1;
  }
  std::printf("chat on ws://%s\n", bound->to_string().c_str());
  std::fflush(stdout);
  boost::asio::co_spawn(io, close_at_a_signal(manager), boost::asio::detached);
  io.run();
}

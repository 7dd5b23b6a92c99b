// The toolkit's two ends for the conformance test: a server that echoes, and a client that echoes what a server sends.
//
// usage: toolkit_peer serve [deflate]          prints its address
//        toolkit_peer connect URL              prints how each connection ended: `end CODE`
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdio>
#include <string_view>

#include "fresnel/base/clock.hpp"
#include "fresnel/net/websocket_client.hpp"
#include "fresnel/websocket/websocket_manager.hpp"

namespace fresnel {
namespace {

constexpr std::size_t kMaxMessage = 17u << 20;

awaitable<void> echo(net::WebSocketDialer& dialer, std::string url) {
  net::DialRequest request;
  request.url = std::move(url);
  request.max_message = kMaxMessage;
  auto dialing = dialer.dial(std::move(request));
  const auto dialled = co_await std::move(dialing);
  if (!dialled) {
    std::printf("end %d\n", dialled.error().status);
    co_return;
  }
  const auto& stream = *dialled;
  for (;;) {
    auto reading = stream->read();
    auto message = co_await std::move(reading);
    if (!message) {
      std::printf("end %d\n", message.error().status);
      co_return;
    }
    auto writing = stream->write(*std::move(message));
    (void)co_await std::move(writing);
  }
}

int serve(bool deflate) {
  SteadyClock clock;
  asio::io_context io;
  websocket::WebSocketManagerOptions options;
  options.max_message = kMaxMessage;
  options.close_timeout = seconds(2);
  options.compression.enabled = deflate;
  options.protocols = {"v2.echo", "v1.echo"};
  options.outbound_high_water = 2 * kMaxMessage;
  websocket::WebSocketManager manager(io.get_executor(), clock, options);
  manager.on_message([](const auto& socket, net::Message message) {
    socket->send(message.binary ? net::OutboundMessage::binary(std::move(message.payload))
                                : net::OutboundMessage::text(std::move(message.payload)));
  });
  const auto bound = manager.listen({"127.0.0.1", 0});
  if (!bound) return 1;
  std::printf("http://%s\n", bound->to_string().c_str());
  io.run();
  return 0;
}

int run(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
  const std::string_view kind = argc > 1 ? argv[1] : "";
  if (kind == "serve") return serve(argc > 2);
  if (kind != "connect" || argc < 3) return 2;
  asio::io_context io;
  net::WebSocketDialer dialer(io.get_executor());
  asio::co_spawn(io, echo(dialer, argv[2]), asio::detached);
  io.run();
  return 0;
}

}  // namespace
}  // namespace fresnel

int main(int argc, char** argv) { return fresnel::run(argc, argv); }

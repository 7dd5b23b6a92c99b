// A server that lets in who brings a JSON Web Token, and greets him by name. The tokens' issuer publishes its keys as a
// key set (JWKS); without its URL the tokens are signed with a shared secret.
//
// usage: JWT_SECRET=...at-least-32-bytes... example_jwt_server [JWKS_URL]
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdio>
#include <cstdlib>

#include "fresnel/base/clock.hpp"
#include "fresnel/websocket/websocket_manager.hpp"

namespace ws = fresnel::websocket;

namespace {

ws::Authentication authentication(const char* jwks_url) {
  ws::Authentication by_token;
  by_token.cookie = "session";  // browsers cannot set Authorization for a WebSocket
  auto& jwt = by_token.jwt.emplace();
  if (jwks_url != nullptr) {
    jwt.jwks.emplace().url = jwks_url;
  } else if (const char* secret = std::getenv("JWT_SECRET")) {
    jwt.secret = secret;
  }
  jwt.rules.audience = "example";
  return by_token;
}

fresnel::awaitable<void> renew(std::shared_ptr<ws::Socket> socket, std::string token) {
  auto renewing = socket->renew(std::move(token));
  const auto renewed = co_await std::move(renewing);
  socket->send(renewed ? "renewed" : renewed.error().message);
}

}  // namespace

int main(int argc, char** argv) try {
  fresnel::SteadyClock clock;
  boost::asio::io_context io;

  ws::WebSocketManagerOptions options;
  options.authentication = authentication(argc > 1 ? argv[1] : nullptr);
  ws::WebSocketManager manager(io.get_executor(), clock, options);

  manager.on_open([](const auto& socket) { socket->send("welcome, " + socket->context().user_id); });
  // A token expires, and with it the connection (close code 4401), unless the client sends a newer one in time.
  manager.on_message([&io](const auto& socket, fresnel::net::Message message) {
    boost::asio::co_spawn(io, renew(socket, std::move(message.payload)), boost::asio::detached);
  });

  const auto bound = manager.listen({"127.0.0.1", 0});
  if (!bound) throw std::runtime_error(bound.error().message);
  std::printf("listening on ws://%s\n", bound->to_string().c_str());
  std::fflush(stdout);
  io.run();
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}

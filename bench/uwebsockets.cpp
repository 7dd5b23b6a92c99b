// uWebSockets, published from Loop::defer: what is published in one turn of its loop leaves in one batch. Compiled by
// build_uwebsockets.sh against a checkout of its own; version 20.
#include <algorithm>
#include <string>
#include <vector>

#include "App.h"
#include "bench/publication.hpp"

namespace fresnel::bench {
namespace {

struct Nothing {};
using Socket = uWS::WebSocket<false, true, Nothing>;

struct Server {
  FanOutArgs args;
  Publication publication{args};
  std::vector<std::string> messages{};
  std::vector<Socket*> clients{};
  uWS::App app{};
  us_timer_t* pause = nullptr;

  void defer_turn() {
    uWS::Loop::get()->defer([this] { turn(); });
  }

  void turn() {
    // Publishing is for all subscribers, so that one client that is behind holds the next turn back.
    if (std::any_of(clients.begin(), clients.end(), [](Socket* client) { return client->getBufferedAmount() != 0; })) {
      us_timer_set(pause, on_pause, 1, 0);
      return;
    }
    if (!publication.next_turn()) std::_Exit(0);
    for (const auto& message : messages) app.publish("bench", message, uWS::OpCode::TEXT, false);
    defer_turn();
  }

  static void on_pause(us_timer_t* timer);
};

Server* server = nullptr;

void Server::on_pause(us_timer_t*) { server->turn(); }

int run(const FanOutArgs& args) {
  Server made{args};
  server = &made;
  for (std::size_t i = 0; i < args.burst; ++i) {
    made.messages.push_back(message_prefix() + message_body(args.size, i));
  }
  made.pause = us_create_timer(reinterpret_cast<us_loop_t*>(uWS::Loop::get()), 0, 0);
  uWS::App::WebSocketBehavior<Nothing> behavior;
  behavior.compression = uWS::DISABLED;
  behavior.idleTimeout = 0;
  behavior.maxBackpressure = 64u << 20;
  behavior.sendPingsAutomatically = false;
  behavior.open = [](Socket* socket) {
    socket->subscribe("bench");
    server->clients.push_back(socket);
    if (server->clients.size() == server->args.clients) server->defer_turn();
  };
  made.app.ws<Nothing>("/*", std::move(behavior));
  made.app.listen("127.0.0.1", 0, [](us_listen_socket_t* listener) {
    if (listener == nullptr) std::exit(1);
    print_port(static_cast<unsigned>(us_socket_local_port(0, reinterpret_cast<us_socket_t*>(listener))));
  });
  made.app.run();
  return 0;
}

}  // namespace
}  // namespace fresnel::bench

int main(int argc, char** argv) {
  return fresnel::bench::run(fresnel::bench::parse_fan_out_args(argc, argv, "uWebSockets, published from Loop::defer"));
}

// Our way out: net::WebSocketConnection with a prefix a client and bodies shared by all. With --deflate each body is
// compressed once a turn, as the gateway does it, for clients that offer permessage-deflate.
#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <utility>

#include "bench/publication.hpp"
#include "fresnel/base/clock.hpp"
#include "fresnel/net/deflate.hpp"
#include "fresnel/net/http_server.hpp"
#include "fresnel/net/websocket_connection.hpp"

namespace fresnel::bench {
namespace {

class Server {
 public:
  explicit Server(const FanOutArgs& args)
      : args_(args),
        publication_(args),
        pause_(io_),
        http_(io_.get_executor(), clock_, {}, [this](net::HttpExchange& exchange) { return serve(exchange); }) {
    for (std::size_t i = 0; i < args.burst; ++i) bodies_.emplace_back(message_body(args.size, i));
  }

  int run() {
    print_port(http_.listen({"127.0.0.1", 0}).value().port);
    io_.run();
    return failed_ ? 1 : 0;
  }

 private:
  awaitable<void> serve(net::HttpExchange& exchange) {
    net::WebSocketConnectionOptions options;
    options.heartbeat_interval = Duration::zero();
    options.deflate = args_.deflate;
    auto accepting = net::WebSocketConnection::accept(exchange.take_socket(), exchange.request(), clock_, options);
    auto accepted = co_await std::move(accepting);
    if (!accepted) co_return;
    auto client = *accepted;
    clients_.push_back(client);
    if (clients_.size() == args_.clients) asio::post(io_, [this] { turn(); });
    while (true) {
      auto reading = client->read();
      const auto message = co_await std::move(reading);
      if (!message) break;
    }
  }

  // One turn: what a client has not taken of the last one, it takes before it is given more.
  void turn() {
    if (!publication_.next_turn()) {
      io_.stop();
      return;
    }
    if (args_.deflate) {
      std::transform(bodies_.begin(), bodies_.end(), deflated_.begin(),
                     [](const SharedBytes& body) { return net::deflate_body(body.view()); });
    }
    for (const auto& client : clients_) offer(*client);
    end_turn();
  }

  void offer(net::WebSocketConnection& client) {
    if (client.outbound_bytes() != 0) {
      behind_.push_back(&client);
      return;
    }
    for (std::size_t i = 0; i < bodies_.size(); ++i) {
      const bool deflate = client.deflates() && !deflated_[i].empty();
      const auto sent = deflate ? client.send_deflated(stored_prefix_, deflated_[i]) : client.send(prefix_, bodies_[i]);
      if (!net::accepted(sent)) return give_up();
    }
  }

  void end_turn() {
    if (behind_.empty()) {
      asio::post(io_, [this] { turn(); });
      return;
    }
    pause_.expires_after(std::chrono::microseconds(200));
    pause_.async_wait([this](const error_code&) {
      for (auto* client : std::exchange(behind_, {})) offer(*client);
      end_turn();
    });
  }

  void give_up() {
    std::fprintf(stderr, "bench_fan_out: a client went away\n");
    failed_ = true;
    io_.stop();
  }

  const FanOutArgs args_;
  const std::string prefix_ = message_prefix();
  const std::string stored_prefix_ = net::stored_block(prefix_);
  std::vector<SharedBytes> bodies_;
  std::vector<SharedBytes> deflated_ = std::vector<SharedBytes>(args_.burst);
  bool failed_ = false;
  SteadyClock clock_;
  asio::io_context io_{1};
  Publication publication_;
  asio::steady_timer pause_;
  std::vector<std::shared_ptr<net::WebSocketConnection>> clients_;
  std::vector<net::WebSocketConnection*> behind_;
  net::HttpServer http_;
};

}  // namespace
}  // namespace fresnel::bench

int main(int argc, char** argv) {
  fresnel::bench::Server server(
      fresnel::bench::parse_fan_out_args(argc, argv, "net::WebSocketConnection, prefix and shared body"));
  return server.run();
}

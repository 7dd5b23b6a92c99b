// The usual Beast server: a queue of shared strings for each client, and one async_write a message.
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <deque>
#include <memory>
#include <utility>

#include "bench/publication.hpp"
#include "fresnel/base/asio.hpp"

namespace fresnel::bench {
namespace {

using Message = std::shared_ptr<const std::string>;
using Tcp = asio::ip::tcp;

class Client : public std::enable_shared_from_this<Client> {
 public:
  explicit Client(Tcp::socket socket) : stream_(std::move(socket)) {
    stream_.next_layer().set_option(Tcp::no_delay(true));
    stream_.text(true);
  }

  void accept(std::function<void()> done) {
    stream_.async_accept([self = shared_from_this(), done = std::move(done)](const error_code& error) {
      if (error) return;
      done();
      self->read();
    });
  }
  void send(const Message& message) {
    queue_.push_back(message);
    if (queue_.size() == 1) write();
  }
  [[nodiscard]] bool idle() const noexcept { return queue_.empty(); }

 private:
  void write() {
    stream_.async_write(asio::buffer(*queue_.front()),
                        [self = shared_from_this()](const error_code& error, std::size_t) {
                          if (error) return;
                          self->queue_.pop_front();
                          if (!self->queue_.empty()) self->write();
                        });
  }
  void read() {
    stream_.async_read(buffer_, [self = shared_from_this()](const error_code& error, std::size_t) {
      if (error) return;
      self->buffer_.clear();
      self->read();
    });
  }

  boost::beast::websocket::stream<Tcp::socket> stream_;
  boost::beast::flat_buffer buffer_;
  std::deque<Message> queue_;
};

class Server {
 public:
  explicit Server(const FanOutArgs& args)
      : args_(args), publication_(args), pause_(io_), acceptor_(io_, {asio::ip::address_v4::loopback(), 0}) {
    for (std::size_t i = 0; i < args.burst; ++i) {
      messages_.push_back(std::make_shared<const std::string>(message_prefix() + message_body(args.size, i)));
    }
  }

  int run() {
    acceptor_.listen(4096);
    print_port(acceptor_.local_endpoint().port());
    accept();
    io_.run();
    return 0;
  }

 private:
  void accept() {
    acceptor_.async_accept([this](const error_code& error, Tcp::socket socket) {
      if (error) return;
      auto client = std::make_shared<Client>(std::move(socket));
      client->accept([this, client] {
        clients_.push_back(client);
        if (clients_.size() == args_.clients) asio::post(io_, [this] { turn(); });
      });
      accept();
    });
  }

  // One turn: what a client has not taken of the last one, it takes before it is given more.
  void turn() {
    if (!publication_.next_turn()) {
      io_.stop();
      return;
    }
    for (const auto& client : clients_) offer(*client);
    end_turn();
  }

  void offer(Client& client) {
    if (!client.idle()) {
      behind_.push_back(&client);
      return;
    }
    for (const auto& message : messages_) client.send(message);
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

  const FanOutArgs args_;
  std::vector<Message> messages_;
  asio::io_context io_{1};
  Publication publication_;
  asio::steady_timer pause_;
  Tcp::acceptor acceptor_;
  std::vector<std::shared_ptr<Client>> clients_;
  std::vector<Client*> behind_;
};

}  // namespace
}  // namespace fresnel::bench

int main(int argc, char** argv) {
  fresnel::bench::Server server(fresnel::bench::parse_fan_out_args(argc, argv, "Beast, one async_write a message"));
  return server.run();
}

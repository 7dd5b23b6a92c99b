// A WebSocket client that speaks the wire itself, for what a well-behaved client does not do.
//
// Thread safety: the thread that runs the io_context.
#pragma once

#include <boost/asio/io_context.hpp>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fresnel/kube/watch_event.hpp"
#include "fresnel/net/websocket_client.hpp"
#include "fresnel/wire/multiplexer_message.hpp"

namespace fresnel::test {

class RawClient : public std::enable_shared_from_this<RawClient> {
 public:
  // Connects; `error()` tells why it could not.
  static std::shared_ptr<RawClient> connect(boost::asio::io_context& io, net::DialRequest request);

  void send(std::string text, bool binary = false);
  void close() { stream_->abort(); }

  [[nodiscard]] std::string protocol() const { return stream_ ? std::string(stream_->protocol()) : std::string(); }
  [[nodiscard]] bool connected() const noexcept { return stream_ != nullptr && !error_; }
  [[nodiscard]] const std::optional<Error>& error() const noexcept { return error_; }
  [[nodiscard]] const std::vector<std::string>& received() const noexcept { return received_; }
  // DATA messages of that path and query, as events.
  [[nodiscard]] std::vector<kube::WatchEvent> events(std::string_view path, std::string_view query) const;
  // How many messages of a type carry that query.
  [[nodiscard]] int count(wire::ServerMessage::Type type, std::string_view query) const;

 private:
  explicit RawClient(boost::asio::io_context& io) : io_(io), dialer_(io.get_executor()) {}
  static awaitable<void> run(std::shared_ptr<RawClient> self, net::DialRequest request);
  static awaitable<void> write(std::shared_ptr<RawClient> self);

  boost::asio::io_context& io_;
  net::WebSocketDialer dialer_;
  std::unique_ptr<net::MessageStream> stream_;
  std::deque<net::Message> outbound_;
  bool writing_ = false;
  std::optional<Error> error_;
  std::vector<std::string> received_;
};

}  // namespace fresnel::test

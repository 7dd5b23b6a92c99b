// The WebSockets of a server: who may open one, what each may do, and how all are reached and closed together.
//
//   WebSocketManager manager(executor, clock, options);
//   manager.on_message([](const auto& socket, net::Message message) { socket->send(std::move(message.payload)); });
//   auto bound = manager.listen({"127.0.0.1", 8080});              // an echo server
//
//   auto accepted = co_await manager.accept(stream, request);      // or in a server on Boost.Beast that you have
//   if (!accepted) co_await http::async_write(stream, accepted.response, asio::use_awaitable);
//
// The manager does not own sockets: whoever accepted one does. Those it reads itself (on_message is set, or they came
// by listen(); not those that on_open has begun to read, by co_spawn of a session say) live until their connections are
// over, or the manager is destroyed. It forgets a socket when its connection is over. No callback comes after the
// manager's end.
//
// Thread safety: one thread, that of the executor; callbacks come there too, and may call anything but the destructor.
// A server with a manager a thread gives them one `connections` counter, so that max_connections holds for all
// together.
#pragma once

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fresnel/base/asio.hpp"
#include "fresnel/base/clock.hpp"
#include "fresnel/base/error.hpp"
#include "fresnel/net/deflate.hpp"
#include "fresnel/net/http_server.hpp"
#include "fresnel/websocket/authentication.hpp"
#include "fresnel/websocket/handshake.hpp"
#include "fresnel/websocket/origin_policy.hpp"
#include "fresnel/websocket/socket.hpp"

namespace fresnel::websocket {

// permessage-deflate (RFC 7692) without context takeover: a message is compressed once for all, and a connection keeps
// no state.
struct Compression {
  bool enabled = false;                            // grant it to clients that offer it
  std::size_t threshold = net::kDeflateThreshold;  // bytes; smaller messages, and all below 1 KiB, go as they are
};

struct WebSocketManagerOptions {
  std::size_t max_connections = 10'000;       // beyond: 503 with Retry-After
  Duration connection_timeout = seconds(10);  // from accept() to the finished handshake, authentication included
  Duration heartbeat_interval = seconds(30);  // silence after which a ping is sent; zero: no heartbeat
  Duration heartbeat_timeout = seconds(60);   // no sign of life for so long ends the connection
  Duration close_timeout = seconds(10);       // for a connection to drain and the peer to answer a Close
  Duration retry_after = seconds(5);          // told to clients that were refused with 503
  Authentication authentication;              // none: everybody may come
  std::optional<net::TlsServerOptions> tls;   // for listen(); none: plain TCP
  Compression compression;
  std::vector<std::string> protocols;        // subprotocols the server may select, the preferred one first
  std::vector<std::string> allowed_origins;  // "scheme://host[:port]" or "*", beside the server's own host
  std::size_t max_message = 64u << 10;       // bytes inbound; beyond: close code 1009
  std::size_t outbound_high_water = 1u << 20;
  std::size_t outbound_low_water = 256u << 10;
  std::size_t max_outbound = 64u << 20;
  SlowConsumer slow_consumer = SlowConsumer::close;  // for Socket::send beyond outbound_high_water
};

struct AcceptOptions {
  std::vector<std::string> protocols;             // served instead of the manager's; empty: the manager's
  std::map<std::string, std::string> attributes;  // go into the context, beside the identity's
  std::string leftover;                           // bytes of the connection read beyond the request
};

struct Accepted {
  std::shared_ptr<Socket> socket;  // null: not accepted
  // Of a refusal: 400, 401, 403, 426 or 503 with a JSON body, ready to send on the stream, which is as it was. Has
  // status 101 when the socket is there, or the client went away during the handshake: nothing is to be sent then.
  boost::beast::http::response<boost::beast::http::string_body> response;
  ConnectionContext context;
  Error error;  // why not

  explicit operator bool() const noexcept { return socket != nullptr; }
};

// How many sockets a message was queued for, how many a filter passed over or a closing connection, and how many of
// those it was queued for lag.
struct Delivery {
  std::size_t queued = 0;
  std::size_t skipped = 0;
  std::size_t slow = 0;

  friend bool operator==(const Delivery&, const Delivery&) = default;
};

class WebSocketManager {
 public:
  using Counter = std::shared_ptr<std::atomic<std::size_t>>;
  using SocketPtr = std::shared_ptr<Socket>;
  using Filter = std::function<bool(const ConnectionContext&)>;

  // `connections` counts those of all managers that share it; null: a counter of its own.
  // Throws when an option cannot be used: a malformed origin (OriginPolicy::parse says so without throwing), a key.
  WebSocketManager(const Executor& executor, Clock& clock, WebSocketManagerOptions options,
                   Counter connections = nullptr, net::HttpTransport* transport = nullptr);
  ~WebSocketManager();
  WebSocketManager(const WebSocketManager&) = delete;
  WebSocketManager& operator=(const WebSocketManager&) = delete;

  // Each replaces the one set before. on_open comes before any message; on_close once for each on_open. on_error tells
  // of handshakes that failed and of connections that end otherwise than by a Close; the text is for logs.
  void on_open(std::function<void(const SocketPtr&)> callback);
  void on_message(std::function<void(const SocketPtr&, net::Message)> callback);  // the manager reads from now on
  void on_close(std::function<void(const ConnectionContext&, int code, const std::string& reason)> callback);
  void on_error(std::function<void(const std::string& peer, const Error&)> callback);

  // Upgrades a connection that a Beast server has read `request` from. `stream` is a boost::beast::tcp_stream or an
  // asio::ip::tcp::socket; only when the upgrade goes ahead is the socket taken from it, which must live until then.
  template <class Stream, class Body, class Fields>
  [[nodiscard]] awaitable<Accepted> accept(Stream& stream, const boost::beast::http::request<Body, Fields>& request,
                                           AcceptOptions options) {
    auto& socket = socket_of(stream);
    auto plain = plain_request(request, request.method_string(), request.target(), request.version() >= 11, socket);
    return upgrade([&socket] { return std::move(socket); }, std::move(plain), std::move(options));
  }
  template <class Stream, class Body, class Fields>
  [[nodiscard]] awaitable<Accepted> accept(Stream& stream, const boost::beast::http::request<Body, Fields>& request) {
    return accept(stream, request, AcceptOptions());
  }
  // Upgrades an exchange of net::HttpServer, and writes the refusal itself. (Overloads instead of a default argument:
  // GCC 12 destroys such an aggregate twice when the call is awaited.)
  [[nodiscard]] awaitable<result<SocketPtr>> accept(net::HttpExchange& exchange, AcceptOptions options);
  [[nodiscard]] awaitable<result<SocketPtr>> accept(net::HttpExchange& exchange);

  // Accepts WebSockets at an address, on any path, until close(). Returns the address in use. Errors: invalid_argument,
  // tls_failed, or internal when it is taken.
  [[nodiscard]] result<net::Endpoint> listen(const net::Endpoint& endpoint);

  // Those whose connections are not over, in the order of their coming.
  [[nodiscard]] std::vector<SocketPtr> get_active_connections() const;
  [[nodiscard]] std::vector<SocketPtr> get_user_sockets(std::string_view user_id) const;
  [[nodiscard]] std::size_t active_count() const noexcept;
  // The socket with that connection id, null when there is none.
  [[nodiscard]] SocketPtr find(std::string_view connection_id) const;

  // To every socket that `filter` (null: none) lets through.
  Delivery broadcast(const OutboundMessage& message, const Filter& filter = nullptr);

  // Refuses new connections from now on and closes all others at once, each within close_timeout; returns when all
  // are over.
  [[nodiscard]] awaitable<void> close(int code = 1001, std::string reason = {});
  // Closes a user's connections alike; how many there were.
  [[nodiscard]] awaitable<std::size_t> close_user(std::string user_id, int code, std::string reason);

 private:
  class Core;
  class Slot;
  struct Admission;
  using TakeSocket = std::function<asio::ip::tcp::socket()>;

  [[nodiscard]] static net::ServerRequest plain_request(const boost::beast::http::fields& fields,
                                                        std::string_view method, std::string_view target,
                                                        bool may_upgrade, const asio::ip::tcp::socket& socket);
  [[nodiscard]] static asio::ip::tcp::socket& socket_of(asio::ip::tcp::socket& stream) { return stream; }
  [[nodiscard]] static asio::ip::tcp::socket& socket_of(boost::beast::tcp_stream& stream) { return stream.socket(); }
  [[nodiscard]] awaitable<Accepted> upgrade(TakeSocket take, net::ServerRequest request, AcceptOptions options);
  static awaitable<void> serve_exchange(std::shared_ptr<Core> core, net::HttpExchange& exchange);

  std::shared_ptr<Core> core_;
  Executor executor_;
  Clock& clock_;
  std::unique_ptr<net::HttpServer> server_;
};

}  // namespace fresnel::websocket

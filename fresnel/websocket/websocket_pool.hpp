// Client connections to one WebSocket server, kept open and lent out.
//
//   WebSocketPool pool(executor, clock, "wss://host/path", options);
//   auto lease = co_await pool.acquire();
//   if (!lease) ...                                    // timeout says what kept a connection from being made
//   net::Message question{"hello"};
//   (void)co_await lease->write(std::move(question));
//   auto answer = co_await lease->read();
//                                                      // the lease's end gives the connection back
//
// - Who waits longest is served first. A connection is made when one is needed and there are fewer than
//   max_connections; after a failure with exponential backoff, while the waiters wait on.
// - Every connection is read all the time, so that one which dies while idle is noticed, dropped and, below
//   min_connections, replaced. What a server sends to an idle connection is dropped: nobody has asked for it.
// - A connection on which something failed, or whose lease ends with messages unread or a write under way, is not lent
//   again.
//
// Thread safety: one thread, that of the executor. Leases may outlive the pool; clock and dialer must outlive both.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "fresnel/base/asio.hpp"
#include "fresnel/base/backoff.hpp"
#include "fresnel/base/clock.hpp"
#include "fresnel/base/error.hpp"
#include "fresnel/net/message_stream.hpp"

namespace fresnel::websocket {

struct WebSocketPoolOptions {
  std::size_t max_connections = 10;
  std::size_t min_connections = 0;                  // kept open even when nobody needs them
  Duration acquire_timeout = seconds(10);           // for acquire(), validation included
  Duration idle_timeout = std::chrono::minutes(5);  // an idle connection beyond min_connections is closed; zero: never
  Duration max_lifetime = std::chrono::hours(1);    // an older one is closed when it is idle; zero: no limit
  bool validate_on_checkout = false;                // a ping must be answered before a connection is lent
  Duration validate_timeout = seconds(2);
  BackoffOptions backoff;                   // between attempts to connect after a failure
  std::size_t max_waiting = 1000;           // acquire() beyond it fails at once (throttled)
  std::size_t max_unread_bytes = 4u << 20;  // read ahead of a lease, and one message; then the server waits
  std::size_t max_unread = 256;             // messages read ahead of a lease; then the server has to wait
  net::DialRequest dial = {};               // headers, protocols, TLS, limits; its url is the pool's
};

struct PoolHealth {
  bool healthy = true;  // the latest attempt to connect went well, or none was needed; false once the pool is closed
  std::size_t active = 0;
  std::size_t idle = 0;
  std::size_t waiting = 0;
  std::uint64_t failures = 0;  // attempts to connect, validations and idle connections that failed
  std::optional<Error> last_error;
  Duration latency = Duration::zero();  // the latest ping's round trip, zero before the first
};

class WebSocketPool {
 private:
  class Core;
  class Connection;

 public:
  // One connection, lent. Movable; an empty one has no connection.
  class Lease {
   public:
    Lease() = default;
    Lease(Lease&&) noexcept = default;
    Lease& operator=(Lease&& other) noexcept;
    ~Lease() { release(); }

    // As net::MessageStream; one of each at a time. An error is the connection's end.
    [[nodiscard]] awaitable<result<net::Message>> read();
    [[nodiscard]] awaitable<result<void>> write(net::Message message);
    [[nodiscard]] awaitable<result<Duration>> ping(Duration limit);
    [[nodiscard]] std::string_view protocol() const noexcept;
    // Gives the connection back; the lease is empty then.
    void release();
    // Drops the connection instead: the conversation on it is broken in a way that only the caller knows.
    void discard();
    explicit operator bool() const noexcept { return connection_ != nullptr; }

   private:
    friend class WebSocketPool;
    Lease(std::shared_ptr<Core> core, std::shared_ptr<Connection> connection)
        : core_(std::move(core)), connection_(std::move(connection)) {}

    std::shared_ptr<Core> core_;
    std::shared_ptr<Connection> connection_;
  };

  // `dialer` connects; null: net::WebSocketDialer. min_connections are made as soon as the executor runs.
  WebSocketPool(const Executor& executor, Clock& clock, std::string url, WebSocketPoolOptions options = {},
                net::MessageDialer* dialer = nullptr);
  ~WebSocketPool();  // drops idle connections; those lent end with their leases
  WebSocketPool(const WebSocketPool&) = delete;
  WebSocketPool& operator=(const WebSocketPool&) = delete;

  // Errors: timeout (with what kept a connection from being made), throttled (max_waiting), closed (close() was
  // called).
  [[nodiscard]] awaitable<result<Lease>> acquire();
  void release(Lease lease) { lease.release(); }

  [[nodiscard]] std::size_t get_active_count() const noexcept;
  [[nodiscard]] std::size_t get_idle_count() const noexcept;
  [[nodiscard]] PoolHealth get_health_status() const;

  // Wakes all who wait, with closed, and closes idle connections (1000); those lent are closed when they are given
  // back. Returns when the idle ones are closed.
  [[nodiscard]] awaitable<void> close();

 private:
  std::shared_ptr<Core> core_;
};

}  // namespace fresnel::websocket

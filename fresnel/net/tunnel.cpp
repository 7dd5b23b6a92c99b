#include "fresnel/net/tunnel.hpp"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <vector>

namespace fresnel::net {
namespace {

using asio::ip::tcp;

constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);

bool has_any(std::string_view text, std::string_view characters) {
  return text.find_first_of(characters) != std::string_view::npos;
}

void shutdown_send(ServerSocket& socket) {
  error_code ignored;
  socket.shutdown(tcp::socket::shutdown_send, ignored);
}
void shutdown_send(ClientStream& stream) { stream.shutdown_send(); }

// Owned by the coroutines of both directions and by tunnel() itself, whichever ends last.
class Tunnel {
 public:
  Tunnel(ServerSocket client, std::unique_ptr<ClientStream> server, Clock& clock, const TunnelOptions& options)
      : client_(std::move(client)),
        server_(std::move(server)),
        clock_(clock),
        options_(options),
        changed_(client_.get_executor(), clock),
        last_byte_(clock.now()) {}

  static awaitable<void> carry_to_server(std::shared_ptr<Tunnel> self, std::string first);
  static awaitable<void> carry_to_client(std::shared_ptr<Tunnel> self);
  // Completes when both directions have ended.
  awaitable<void> watch();
  [[nodiscard]] const TunnelReport& report() const noexcept { return report_; }

 private:
  template <class From, class To>
  awaitable<bool> copy(From& from, To& to, std::uint64_t& count);
  template <class To>
  awaitable<bool> write(To& to, std::string_view bytes, std::uint64_t& count);
  void ended(bool in_good_order);
  void close() noexcept;

  ServerSocket client_;
  std::unique_ptr<ClientStream> server_;
  Clock& clock_;
  const TunnelOptions options_;
  Timer changed_;
  TimePoint last_byte_;
  int open_directions_ = 2;
  TunnelReport report_;
};

template <class To>
awaitable<bool> Tunnel::write(To& to, std::string_view bytes, std::uint64_t& count) {
  const auto buffer = asio::buffer(bytes.data(), bytes.size());
  const auto [failed, size] = co_await asio::async_write(to, buffer, kNoThrow);
  count += size;
  last_byte_ = clock_.now();
  co_return !failed;
}

// True when `from` came to its end; false when either side failed.
template <class From, class To>
awaitable<bool> Tunnel::copy(From& from, To& to, std::uint64_t& count) {
  std::vector<char> buffer(options_.buffer);
  for (;;) {
    const auto space = asio::buffer(buffer);
    const auto [failed, size] = co_await from.async_read_some(space, kNoThrow);
    last_byte_ = clock_.now();
    if (failed) {
      // A TLS peer that ends without a close_notify has ended all the same: what travels here has an end of its own.
      const bool end = failed == asio::error::eof || failed == asio::ssl::error::stream_truncated;
      if (end) shutdown_send(to);
      co_return end;
    }
    if (!co_await write(to, std::string_view(buffer.data(), size), count)) co_return false;
  }
}

awaitable<void> Tunnel::carry_to_server(std::shared_ptr<Tunnel> self, std::string first) {
  bool good = co_await self->write(*self->server_, first, self->report_.to_server);
  first = {};
  if (good) good = co_await self->copy(self->client_, *self->server_, self->report_.to_server);
  self->ended(good);
}

awaitable<void> Tunnel::carry_to_client(std::shared_ptr<Tunnel> self) {
  const bool good = co_await self->copy(*self->server_, self->client_, self->report_.to_client);
  self->ended(good);
}

void Tunnel::ended(bool in_good_order) {
  --open_directions_;
  if (!in_good_order) close();
  changed_.cancel();
}

void Tunnel::close() noexcept {
  error_code ignored;
  client_.close(ignored);
  server_->close();
}

awaitable<void> Tunnel::watch() {
  const bool limited = options_.idle_timeout > Duration::zero();
  while (open_directions_ > 0) {
    if (limited) {
      (void)co_await changed_.wait_until(last_byte_ + options_.idle_timeout);
    } else {
      co_await changed_.wait();
    }
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) break;
    if (limited && open_directions_ > 0 && clock_.now() >= last_byte_ + options_.idle_timeout) {
      report_.idle = true;
      break;
    }
  }
  close();
}

}  // namespace

result<std::string> upgrade_request_head(std::string_view method, std::string_view target, const Headers& headers) {
  constexpr std::string_view kBreaks("\r\n\0", 3);
  const Error bad{Errc::invalid_argument, "the request for an upgrade cannot be passed on: its header is malformed"};
  if (method.empty() || target.empty() || has_any(method, " \r\n") || has_any(target, " \r\n") ||
      !headers.has("host")) {
    return bad;
  }
  std::string head;
  head.append(method).append(" ").append(target).append(" HTTP/1.1\r\n");
  for (const auto& [name, value] : headers) {
    if (name.empty() || has_any(name, kBreaks) || has_any(name, " :") || has_any(value, kBreaks)) return bad;
    head.append(name).append(": ").append(value).append("\r\n");
  }
  head += "\r\n";
  return head;
}

awaitable<TunnelReport> tunnel(UpgradedSocket client, std::unique_ptr<ClientStream> server, std::string request_head,
                               Clock& clock, TunnelOptions options) {
  const auto executor = client.socket.get_executor();
  auto shared = std::make_shared<Tunnel>(std::move(client.socket), std::move(server), clock, options);
  auto first = std::move(request_head) + client.leftover;
  // Side by side and by themselves: a direction that is being written must not be cut by the end of the other.
  asio::co_spawn(executor, Tunnel::carry_to_server(shared, std::move(first)), asio::detached);
  asio::co_spawn(executor, Tunnel::carry_to_client(shared), asio::detached);
  co_await shared->watch();
  co_return shared->report();
}

}  // namespace fresnel::net

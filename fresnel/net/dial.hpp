// Connections to a server that are not libcurl's, for protocols that upgrade: TCP, or TLS with HTTP/1.1 by ALPN,
// straight or through a proxy (net/proxy.hpp).
//
//   auto dialling = dial(executor, "example.com", 443, tls, seconds(10), proxy_url);
//   auto dialled = co_await std::move(dialling);
//   if (!dialled) ...                       // connect_failed, tls_failed, timeout or cancelled, with a sentence
//   ClientStream& stream = **dialled;
//
// Thread safety: one thread, that of the executor; at most one read and one write under way at a time.
#pragma once

#include <array>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/beast/core/role.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "fresnel/base/asio.hpp"
#include "fresnel/base/clock.hpp"
#include "fresnel/base/error.hpp"
#include "fresnel/net/tcp_options.hpp"
#include "fresnel/net/tls.hpp"

namespace fresnel::net {

// A plain or a TLS connection behind one type: an Asio AsyncReadStream and AsyncWriteStream, and a next layer for
// Beast's websocket::stream. Handlers are type-erased, so that nobody who includes this compiles TLS. Destroying it, or
// close(), ends operations under way with operation_aborted.
class ClientStream {
 public:
  using executor_type = Executor;
  class Impl;

  explicit ClientStream(std::shared_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
  ~ClientStream() { close(); }
  ClientStream(ClientStream&&) noexcept = default;
  ClientStream& operator=(ClientStream&&) = delete;

  [[nodiscard]] executor_type get_executor() noexcept;
  [[nodiscard]] bool is_tls() const noexcept;  // to the server, whatever a proxy's part of the way has

  template <class Buffers, class Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    return asio::async_initiate<Token, void(error_code, std::size_t)>(
        [](auto handler, ClientStream* self, const Buffers& space) {
          self->start_read(Pieces<asio::mutable_buffer>(space), Handler(std::move(handler), *self));
        },
        token, this, buffers);
  }
  template <class Buffers, class Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    return asio::async_initiate<Token, void(error_code, std::size_t)>(
        [](auto handler, ClientStream* self, const Buffers& bytes) {
          self->start_write(Pieces<asio::const_buffer>(bytes), Handler(std::move(handler), *self));
        },
        token, this, buffers);
  }
  // Ends the connection in good order: TLS's close_notify in both directions, or TCP's FIN.
  template <class Token>
  auto async_shutdown(Token&& token) {
    return asio::async_initiate<Token, void(error_code)>(
        [](auto handler, ClientStream* self) { self->start_shutdown(Handler(std::move(handler), *self)); }, token,
        this);
  }
  // No more bytes will be written; reading goes on. With TLS too this is TCP's FIN: OpenSSL behind Asio cannot send a
  // close_notify while a read is under way.
  void shutdown_send() noexcept;
  void close() noexcept;

  // Beast's customisation points (websocket/teardown.hpp, core/stream_traits.hpp), found by argument-dependent lookup.
  friend void beast_close_socket(ClientStream& stream) { stream.close(); }
  template <class TeardownHandler>
  friend void async_teardown(boost::beast::role_type, ClientStream& stream, TeardownHandler&& handler) {
    stream.async_shutdown(std::forward<TeardownHandler>(handler));
  }

 private:
  // The first buffers of a sequence: enough for a frame's header and payload; "some" allows the rest to wait.
  template <class Buffer>
  class Pieces {
   public:
    template <class Buffers>
    explicit Pieces(const Buffers& buffers) {
      const auto end = asio::buffer_sequence_end(buffers);
      for (auto it = asio::buffer_sequence_begin(buffers); it != end && count_ < items_.size(); ++it) {
        const Buffer piece(*it);
        if (piece.size() > 0) items_[count_++] = piece;
      }
    }
    [[nodiscard]] const Buffer* begin() const noexcept { return items_.data(); }
    [[nodiscard]] const Buffer* end() const noexcept { return items_.data() + count_; }

   private:
    std::array<Buffer, 8> items_;
    std::size_t count_ = 0;
  };

  // Any completion handler, with its executor and cancellation slot, keeping the connection alive while it is pending.
  class Handler {
   public:
    using executor_type = Executor;
    using cancellation_slot_type = asio::cancellation_slot;

    template <class Wrapped>
    Handler(Wrapped handler, ClientStream& stream)
        : executor_(asio::get_associated_executor(handler, stream.get_executor())),
          slot_(asio::get_associated_cancellation_slot(handler)),
          keep_(stream.impl_),
          call_(std::make_unique<Call<Wrapped>>(std::move(handler))) {}

    [[nodiscard]] executor_type get_executor() const noexcept { return executor_; }
    [[nodiscard]] cancellation_slot_type get_cancellation_slot() const noexcept { return slot_; }
    void operator()(const error_code& failed, std::size_t size = 0) {
      const auto call = std::move(call_);
      call->run(failed, size);
    }

   private:
    struct AnyCall {
      virtual ~AnyCall() = default;
      virtual void run(const error_code& failed, std::size_t size) = 0;
    };
    template <class Wrapped>
    struct Call final : AnyCall {
      explicit Call(Wrapped&& wrapped) : handler(std::move(wrapped)) {}
      void run(const error_code& failed, std::size_t size) override {
        if constexpr (std::is_invocable_v<Wrapped, error_code, std::size_t>) {
          std::move(handler)(failed, size);
        } else {
          std::move(handler)(failed);
        }
      }
      Wrapped handler;
    };

    Executor executor_;
    asio::cancellation_slot slot_;
    std::shared_ptr<Impl> keep_;
    std::unique_ptr<AnyCall> call_;
  };

  void start_read(const Pieces<asio::mutable_buffer>& space, Handler handler);
  void start_write(const Pieces<asio::const_buffer>& bytes, Handler handler);
  void start_shutdown(Handler handler);

  std::shared_ptr<Impl> impl_;
};

// Connects: DNS, TCP, what a proxy needs and, when `tls` is not null, TLS, all within `timeout`. `host` is a name or a
// numeric address, an IPv6 one without brackets. `proxy_url`: http, https or socks5; empty: as the environment says.
// With an http or https proxy this is CONNECT also for a server without TLS. An https proxy must have a certificate of
// the system's roots, whatever `tls` says of the server. Errors name host and port, and the proxy without its
// credentials. A cancelled coroutine gives the attempt up.
[[nodiscard]] awaitable<result<std::unique_ptr<ClientStream>>> dial(Executor executor, std::string host,
                                                                    std::uint16_t port,
                                                                    std::shared_ptr<const TlsOptions> tls,
                                                                    Duration timeout, std::string proxy_url,
                                                                    TcpLiveness liveness = {});

}  // namespace fresnel::net

// A server's end of a connection: TCP, or TLS over it. It can be used wherever a TCP socket can; reading, writing,
// shutdown() and close() go through TLS where there is any. (Not through a reference to the TCP socket: TLS reads and
// writes the descriptor by itself, which must not be closed behind its back.)
//
// Thread safety: one thread, that of its executor.
#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/asio/compose.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <memory>
#include <string_view>
#include <utility>

#include "fresnel/base/asio.hpp"
#include "fresnel/net/tls_server.hpp"

namespace fresnel::net {

class ServerSocket : public asio::ip::tcp::socket {
 public:
  using Tcp = asio::ip::tcp::socket;
  static constexpr std::size_t kMaxRecord = 16u << 10;  // bytes of plaintext (RFC 8446 section 5.1)

  ServerSocket(Tcp socket) : Tcp(std::move(socket)) {}  // NOLINT(google-explicit-constructor): plain TCP is one
  // Speaks TLS from the first byte on. The socket must be open.
  ServerSocket(Tcp socket, const TlsServer& tls) : Tcp(std::move(socket)) {
    error_code ignored;
    non_blocking(true, ignored);
    tls_ = tls.accept(native_handle());
  }

  [[nodiscard]] TlsSession* tls() const noexcept { return tls_.get(); }  // null: plain TCP
  // TLS may hold bytes that the socket has nothing left of: waiting for it to be readable would be in vain.
  [[nodiscard]] bool has_decrypted() const noexcept { return tls_ && tls_->has_decrypted(); }
  // Of the peer, verified; null when it showed none.
  [[nodiscard]] std::shared_ptr<const ClientCertificate> client_certificate() const {
    return tls_ ? tls_->client_certificate() : nullptr;
  }

  // Completes with an error_code; nothing to do without TLS. No other operation may be under way.
  template <class Token>
  auto async_handshake(Token&& token) {
    enum class Step { begin, shake };
    auto operation = [this, step = Step::begin](auto& self, error_code error = {}) mutable {
      if (!error && !is_open()) error = asio::error::bad_descriptor;
      if (error) return self.complete(error);
      if (step == Step::begin) {  // never inline
        step = Step::shake;
        asio::post(get_executor(), std::move(self));
        return;
      }
      const auto outcome = tls_ ? tls_->handshake() : error_code();
      const auto flushed = tls_ ? tls_->flush() : error_code();
      if (flushed == asio::error::would_block) return async_wait(wait_write, std::move(self));
      if (outcome == asio::error::would_block && !flushed) return async_wait(wait_read, std::move(self));
      self.complete(outcome && outcome != asio::error::would_block ? outcome : flushed);
    };
    return asio::async_compose<Token, void(error_code)>(std::move(operation), token, *this);
  }

  template <class MutableBuffers, class Token>
  auto async_read_some(const MutableBuffers& buffers, Token&& token) {
    if (!tls_) return Tcp::async_read_some(buffers, std::forward<Token>(token));
    enum class Step { begin, waited, posted };
    auto operation = [this, buffers, step = Step::begin, size = std::size_t{0}](auto& self,
                                                                                error_code error = {}) mutable {
      if (step == Step::posted) return self.complete(read_error_, size);
      if (!error) size = read_some(buffers, error);
      if (error == asio::error::would_block) {
        step = Step::waited;
        return async_wait(wait_read, std::move(self));
      }
      if (step == Step::waited) return self.complete(error, size);
      step = Step::posted;  // never inline
      read_error_ = error;
      asio::post(get_executor(), std::move(self));
    };
    return asio::async_compose<Token, void(error_code, std::size_t)>(std::move(operation), token, *this);
  }

  template <class ConstBuffers, class Token>
  auto async_write_some(const ConstBuffers& buffers, Token&& token) {
    if (!tls_) return Tcp::async_write_some(buffers, std::forward<Token>(token));
    enum class Step { begin, write, flush };
    auto operation = [this, buffers, step = Step::begin, size = std::size_t{0}](auto& self,
                                                                                error_code error = {}) mutable {
      if (step == Step::begin) {  // never inline
        step = Step::write;
        asio::post(get_executor(), std::move(self));
        return;
      }
      if (!error && !tls_) error = asio::error::bad_descriptor;  // closed since
      // Ciphertext of before first, then a record of this, and all of it before the next.
      if (!error) error = tls_->flush();
      if (!error && step == Step::write) {
        size = encrypt_some(buffers, error);
        step = Step::flush;
        if (!error) error = tls_->flush();
      }
      if (error == asio::error::would_block) return async_wait(wait_write, std::move(self));
      self.complete(error, error ? 0 : size);
    };
    return asio::async_compose<Token, void(error_code, std::size_t)>(std::move(operation), token, *this);
  }

  // Without waiting: would_block when there is nothing.
  template <class MutableBuffers>
  std::size_t read_some(const MutableBuffers& buffers, error_code& error) {
    if (!tls_) return Tcp::read_some(buffers, error);
    for (auto at = asio::buffer_sequence_begin(buffers); at != asio::buffer_sequence_end(buffers); ++at) {
      const asio::mutable_buffer buffer = *at;
      if (buffer.size() > 0) return tls_->read(buffer.data(), buffer.size(), error);
    }
    error = {};
    return 0;
  }

  void shutdown(shutdown_type what, error_code& error) noexcept {
    if (tls_ && what != shutdown_receive && is_open()) tls_->end();
    Tcp::shutdown(what, error);
  }

  void close(error_code& error) noexcept {
    tls_.reset();
    Tcp::close(error);
  }

 private:
  template <class ConstBuffers>
  std::size_t encrypt_some(const ConstBuffers& buffers, error_code& error) {
    std::size_t total = 0;
    for (auto at = asio::buffer_sequence_begin(buffers); at != asio::buffer_sequence_end(buffers); ++at) {
      const asio::const_buffer buffer = *at;
      const auto size = std::min(buffer.size(), kMaxRecord - total);
      if (size > 0) error = tls_->write({static_cast<const char*>(buffer.data()), size});
      if (error) return 0;
      total += size;
      if (total == kMaxRecord) break;
    }
    return total;
  }

  std::unique_ptr<TlsSession> tls_;  // null: plain TCP
  error_code read_error_;            // of a read that completes by a post
};

}  // namespace fresnel::net

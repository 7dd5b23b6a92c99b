// TLS on a server's side: who the server is, and whose clients it knows by certificate (mutual TLS).
//
// Thread safety: a TlsServer is immutable and may be shared by threads; a TlsSession belongs to its connection's.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "fresnel/base/asio.hpp"
#include "fresnel/base/clock.hpp"
#include "fresnel/base/error.hpp"

struct ssl_st;  // OpenSSL's SSL, SSL_CTX and BIO
struct ssl_ctx_st;
struct bio_st;

namespace fresnel::net {

struct TlsServerOptions {
  std::string certificate_pem;              // the server's own, then those of its issuers
  std::string key_pem;                      // not encrypted
  std::string client_ca_pem;                // authorities of client certificates; empty: clients are not asked for one
  bool require_client_certificate = false;  // else a client may do without
};

// Of a client, verified in the handshake.
struct ClientCertificate {
  std::string subject;      // RFC 4514 (2253): CN=ada,O=staff
  std::string common_name;  // the last one, as Kubernetes takes it for the user's name; empty when there is none
  WallTime not_after = WallTime::max();
};

// One connection's TLS. It reads from the socket itself; what is to be sent waits as ciphertext until flush() has
// passed it to the kernel. Never blocks.
class TlsSession {
 public:
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  // would_block: more bytes of the peer are needed. Flush after each step, also after a failure: it may have an alert.
  [[nodiscard]] error_code handshake();
  // The bytes read, or: eof (the peer said goodbye), would_block, or what failed.
  [[nodiscard]] std::size_t read(void* out, std::size_t size, error_code& error);
  [[nodiscard]] bool has_decrypted() const noexcept;  // bytes that read() gives without the socket
  // Encrypts all of it. Nothing but its callers bounds what waits: look at pending() first.
  [[nodiscard]] error_code write(std::string_view bytes);
  // Hands ciphertext to the kernel; would_block when some is left.
  [[nodiscard]] error_code flush();
  [[nodiscard]] std::size_t pending() const noexcept;  // ciphertext, bytes
  // Says goodbye, as far as the kernel takes it at once.
  void end() noexcept;
  // Null when the client showed none, or before the handshake is over.
  [[nodiscard]] std::shared_ptr<const ClientCertificate> client_certificate() const;

 private:
  friend class TlsServer;
  TlsSession(ssl_ctx_st* context, int socket);
  [[nodiscard]] error_code outcome_of(int done);
  void give_back_memory();

  const int socket_;
  ssl_st* ssl_;
  bio_st* out_;           // the ciphertext that waits; ssl_ owns it
  std::size_t sent_ = 0;  // of what out_ holds
};

class TlsServer {
 public:
  // TLS 1.2 or later; HTTP/1.1 by ALPN. Errors (tls_failed) name what cannot be read; they never quote a key.
  [[nodiscard]] static result<std::shared_ptr<const TlsServer>> make(const TlsServerOptions& options);

  // On a non-blocking socket, which must stay open as long as the session is used.
  [[nodiscard]] std::unique_ptr<TlsSession> accept(int socket) const;

 private:
  struct Context;
  explicit TlsServer(std::shared_ptr<Context> context) : context_(std::move(context)) {}

  std::shared_ptr<Context> context_;
};

}  // namespace fresnel::net

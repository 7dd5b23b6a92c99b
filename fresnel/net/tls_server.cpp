#include "fresnel/net/tls_server.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/error.hpp>
#include <cerrno>
#include <ctime>
#include <new>
#include <optional>
#include <utility>

namespace fresnel::net {
namespace {

using asio::ssl::context;

constexpr std::size_t kMaxPending = 256u << 10;  // bytes of ciphertext; writers keep far below
constexpr std::size_t kMaxKept = 4u << 10;       // bytes of memory that an idle session keeps for ciphertext

Error failure(std::string_view what, const error_code& failed) {
  return {Errc::tls_failed, std::string(what) + ": " + failed.message()};
}

error_code ssl_error() {
  const auto code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return asio::ssl::error::stream_truncated;
  return {static_cast<int>(code), asio::error::get_ssl_category()};
}

// The only protocol that is spoken here; a client that offers others alone is served it all the same.
int select_http_1_1(SSL*, const unsigned char** out, unsigned char* size, const unsigned char* offered,
                    unsigned offered_size, void*) {
  static constexpr unsigned char kHttp[] = "\x08http/1.1";
  unsigned char* selected = nullptr;
  const int found = SSL_select_next_proto(&selected, size, kHttp, sizeof(kHttp) - 1, offered, offered_size);
  *out = selected;
  return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

result<void> identify(context& tls, const TlsServerOptions& options) {
  error_code failed;
  tls.use_certificate_chain(asio::buffer(options.certificate_pem), failed);
  if (failed) return failure("the server's certificate cannot be read", failed);
  // An encrypted key must be an error, not a question on the terminal.
  tls.set_password_callback([](std::size_t, context::password_purpose) { return std::string(); }, failed);
  if (!failed) tls.use_private_key(asio::buffer(options.key_pem), context::pem, failed);
  if (failed) return failure("the server's key cannot be read or is not the certificate's", failed);
  return {};
}

result<void> ask_clients(context& tls, const TlsServerOptions& options) {
  if (options.client_ca_pem.empty()) return {};
  auto* native = tls.native_handle();
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(native), X509_V_FLAG_PARTIAL_CHAIN);
  error_code failed;
  tls.add_certificate_authority(asio::buffer(options.client_ca_pem), failed);
  if (failed) return failure("the clients' certificate authority cannot be read", failed);
  const auto* known = X509_STORE_get0_objects(SSL_CTX_get_cert_store(native));
  if (sk_X509_OBJECT_num(known) == 0) {  // text without any certificate is no error to Asio
    return Error{Errc::tls_failed, "the clients' certificate authority holds no PEM certificate"};
  }
  const int required = options.require_client_certificate ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
  SSL_CTX_set_verify(native, SSL_VERIFY_PEER | required, nullptr);
  return {};
}

std::string subject_of(const X509_NAME* name) {
  BIO* const memory = BIO_new(BIO_s_mem());
  if (memory == nullptr) throw std::bad_alloc();
  X509_NAME_print_ex(memory, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
  char* text = nullptr;
  const auto size = BIO_get_mem_data(memory, &text);
  std::string subject(text, static_cast<std::size_t>(size));
  BIO_free(memory);
  return subject;
}

// Nothing for a name with a NUL in it, which others might read differently.
std::string common_name_of(X509_NAME* name) {
  int last = -1;
  for (int at = -1; (at = X509_NAME_get_index_by_NID(name, NID_commonName, at)) >= 0;) last = at;
  if (last < 0) return {};
  unsigned char* text = nullptr;
  const int size = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, last)));
  if (size < 0) return {};
  std::string common_name(reinterpret_cast<const char*>(text), static_cast<std::size_t>(size));
  OPENSSL_free(text);
  return common_name.find('\0') == std::string::npos ? common_name : std::string();
}

WallTime time_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return WallTime::min();
  return std::chrono::time_point_cast<WallTime::duration>(std::chrono::system_clock::from_time_t(::timegm(&parts)));
}

}  // namespace

TlsSession::TlsSession(ssl_ctx_st* context, int socket) : socket_(socket), ssl_(SSL_new(context)) {
  BIO* in = BIO_new_socket(socket, BIO_NOCLOSE);
  out_ = BIO_new(BIO_s_mem());
  if (ssl_ == nullptr || in == nullptr || out_ == nullptr) throw std::bad_alloc();
  SSL_set_bio(ssl_, in, out_);  // both are the session's from here on
  SSL_set_accept_state(ssl_);
}

TlsSession::~TlsSession() { SSL_free(ssl_); }

error_code TlsSession::handshake() {
  ERR_clear_error();
  const int done = SSL_do_handshake(ssl_);
  return done == 1 ? error_code() : outcome_of(done);
}

std::size_t TlsSession::read(void* out, std::size_t size, error_code& error) {
  ERR_clear_error();
  std::size_t received = 0;
  const int done = SSL_read_ex(ssl_, out, size, &received);
  error = done == 1 ? error_code() : outcome_of(done);
  // What reading may have to answer (an update of keys) goes with the next flush at the latest; a peer that asks for
  // more and more of it and takes nothing is dropped.
  if (pending() > 0) (void)flush();
  if (pending() > kMaxPending) error = asio::error::no_buffer_space;
  return error ? 0 : received;
}

bool TlsSession::has_decrypted() const noexcept { return SSL_pending(ssl_) > 0; }

error_code TlsSession::write(std::string_view bytes) {
  ERR_clear_error();
  while (!bytes.empty()) {
    std::size_t taken = 0;
    const int done = SSL_write_ex(ssl_, bytes.data(), bytes.size(), &taken);
    if (done != 1) return outcome_of(done);
    bytes.remove_prefix(taken);
  }
  return {};
}

error_code TlsSession::flush() {
  while (pending() > 0) {
    char* text = nullptr;
    const auto size = static_cast<std::size_t>(BIO_get_mem_data(out_, &text));
    const auto sent = ::send(socket_, text + sent_, size - sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return asio::error::would_block;
    if (sent < 0) return {errno, boost::system::system_category()};
    sent_ += static_cast<std::size_t>(sent);
    if (sent_ < size) continue;
    sent_ = 0;
    give_back_memory();
  }
  return {};
}

// OpenSSL's memory grows with the largest burst, and would stay so.
void TlsSession::give_back_memory() {
  BUF_MEM* memory = nullptr;
  BIO_get_mem_ptr(out_, &memory);
  if (memory->max <= kMaxKept) {
    (void)BIO_reset(out_);
    return;
  }
  BIO* const fresh = BIO_new(BIO_s_mem());
  if (fresh == nullptr) throw std::bad_alloc();
  SSL_set0_wbio(ssl_, fresh);  // frees the other
  out_ = fresh;
}

std::size_t TlsSession::pending() const noexcept { return BIO_ctrl_pending(out_) - sent_; }

void TlsSession::end() noexcept {
  ERR_clear_error();
  if (SSL_is_init_finished(ssl_) == 1) (void)SSL_shutdown(ssl_);
  ERR_clear_error();
  (void)flush();
}

std::shared_ptr<const ClientCertificate> TlsSession::client_certificate() const {
  const X509* certificate = SSL_is_init_finished(ssl_) == 1 ? SSL_get0_peer_certificate(ssl_) : nullptr;
  if (certificate == nullptr || SSL_get_verify_result(ssl_) != X509_V_OK) return nullptr;
  auto* name = X509_get_subject_name(certificate);
  return std::make_shared<const ClientCertificate>(
      ClientCertificate{subject_of(name), common_name_of(name), time_of(X509_get0_notAfter(certificate))});
}

error_code TlsSession::outcome_of(int done) {
  switch (SSL_get_error(ssl_, done)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: return asio::error::would_block;
    case SSL_ERROR_ZERO_RETURN: return asio::error::eof;
    case SSL_ERROR_SYSCALL:
      ERR_clear_error();
      return errno != 0 ? error_code(errno, boost::system::system_category())
                        : error_code(asio::ssl::error::stream_truncated);
    default: return ssl_error();
  }
}

struct TlsServer::Context {
  context tls{context::tls_server};
};

result<std::shared_ptr<const TlsServer>> TlsServer::make(const TlsServerOptions& options) {
  auto made = std::make_shared<Context>();
  auto* native = made->tls.native_handle();
  if (SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION) != 1) {
    return Error{Errc::tls_failed, "TLS 1.2 is not available"};
  }
  if (auto identified = identify(made->tls, options); !identified) return identified.error();
  if (auto asked = ask_clients(made->tls, options); !asked) return asked.error();
  // Sessions are not resumed: a certificate that is no longer trusted is seen at the next connection.
  SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(native, 0);
  SSL_CTX_set_options(native, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);  // an idle connection keeps none
  SSL_CTX_set_alpn_select_cb(native, select_http_1_1, nullptr);
  return std::shared_ptr<const TlsServer>(new TlsServer(std::move(made)));
}

std::unique_ptr<TlsSession> TlsServer::accept(int socket) const {
  return std::unique_ptr<TlsSession>(new TlsSession(context_->tls.native_handle(), socket));
}

}  // namespace fresnel::net

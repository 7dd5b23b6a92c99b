// Helpers of the TLS tests: certificates made on the spot, and a TLS server that tells what it saw of its client.
//
// Thread safety: one thread. Errors throw.
#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "fresnel/net/testing.hpp"

namespace fresnel::net::testing {

struct Identity {
  std::string cert_pem;
  std::string key_pem;
};

// A certificate authority.
class Authority {
 public:
  explicit Authority(const std::string& name) : key_(EVP_EC_gen("P-256")), certificate_(X509_new()) {
    fill(certificate_.get(), key_.get(), name);
    add_extension(certificate_.get(), NID_basic_constraints, "critical,CA:TRUE");
    sign(certificate_.get(), certificate_.get());
  }

  [[nodiscard]] std::string pem() const { return pem_of(certificate_.get()); }
  // `names` as OpenSSL writes them: "IP:127.0.0.1,DNS:example.test"; empty for a client.
  [[nodiscard]] Identity issue(const std::string& common_name, const std::string& names = "") const {
    const Key key(EVP_EC_gen("P-256"));
    const Certificate certificate(X509_new());
    fill(certificate.get(), key.get(), common_name);
    if (!names.empty()) add_extension(certificate.get(), NID_subject_alt_name, names);
    sign(certificate.get(), certificate_.get());
    return {pem_of(certificate.get()), pem_of(key.get())};
  }

 private:
  struct Free {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
    void operator()(X509* certificate) const { X509_free(certificate); }
    void operator()(BIO* bio) const { BIO_free(bio); }
    void operator()(X509_EXTENSION* extension) const { X509_EXTENSION_free(extension); }
  };
  using Key = std::unique_ptr<EVP_PKEY, Free>;
  using Certificate = std::unique_ptr<X509, Free>;

  static void fill(X509* certificate, EVP_PKEY* key, const std::string& name) {
    static long serial = 1;
    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    const auto* text = reinterpret_cast<const unsigned char*>(name.c_str());
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8, text, -1, -1, 0);
  }
  static void add_extension(X509* certificate, int kind, const std::string& value) {
    const std::unique_ptr<X509_EXTENSION, Free> extension(X509V3_EXT_conf_nid(nullptr, nullptr, kind, value.c_str()));
    if (!extension) throw std::runtime_error("bad extension " + value);
    X509_add_ext(certificate, extension.get(), -1);
  }
  void sign(X509* certificate, X509* issuer) const {
    X509_set_issuer_name(certificate, X509_get_subject_name(issuer));
    if (X509_sign(certificate, key_.get(), EVP_sha256()) == 0) throw std::runtime_error("cannot sign");
  }
  static std::string text_of(BIO* bio) {
    char* bytes = nullptr;
    const auto size = BIO_get_mem_data(bio, &bytes);
    return {bytes, static_cast<std::size_t>(size)};
  }
  static std::string pem_of(X509* certificate) {
    const std::unique_ptr<BIO, Free> bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509(bio.get(), certificate);
    return text_of(bio.get());
  }
  static std::string pem_of(EVP_PKEY* key) {
    const std::unique_ptr<BIO, Free> bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
    return text_of(bio.get());
  }

  Key key_;
  Certificate certificate_;
};

using TlsStream = asio::ssl::stream<asio::ip::tcp::socket>;

// Accepts TLS connections and runs `session` on each.
class TlsServer {
 public:
  using Session = std::function<awaitable<void>(TlsStream&)>;

  // Clients must have a certificate of `client_ca` when that is not empty.
  TlsServer(asio::io_context& io, const Identity& identity, Session session, const std::string& client_ca = "",
            const std::string& protocol = "http/1.1")
      : protocol_(static_cast<char>(protocol.size()) + protocol),
        context_(asio::ssl::context::tls_server),
        acceptor_(io, {asio::ip::make_address("127.0.0.1"), 0}),
        session_(std::move(session)) {
    context_.use_certificate_chain(asio::buffer(identity.cert_pem));
    context_.use_private_key(asio::buffer(identity.key_pem), asio::ssl::context::pem);
    if (!client_ca.empty()) {
      context_.add_certificate_authority(asio::buffer(client_ca));
      context_.set_verify_mode(asio::ssl::verify_peer | asio::ssl::verify_fail_if_no_peer_cert);
    }
    constexpr unsigned char kSession[] = "test";
    SSL_CTX_set_session_id_context(context_.native_handle(), kSession, sizeof kSession);
    SSL_CTX_set_alpn_select_cb(context_.native_handle(), &TlsServer::select_protocol, this);
    asio::co_spawn(io, accept(), asio::detached);
  }
  ~TlsServer() { acceptor_.close(); }

  [[nodiscard]] Endpoint endpoint() const { return {"127.0.0.1", acceptor_.local_endpoint().port()}; }
  [[nodiscard]] int connections() const { return connections_; }
  // What the last client offered by ALPN, as on the wire.
  [[nodiscard]] const std::string& offered() const { return offered_; }

  static std::string server_name_of(TlsStream& stream) {
    const char* name = SSL_get_servername(stream.native_handle(), TLSEXT_NAMETYPE_host_name);
    return name == nullptr ? "" : name;
  }
  static std::string client_of(TlsStream& stream) {
    X509* certificate = SSL_get1_peer_certificate(stream.native_handle());
    if (certificate == nullptr) return "";
    char name[64] = "";
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof name);
    X509_free(certificate);
    return name;
  }

 private:
  static int select_protocol(SSL*, const unsigned char** out, unsigned char* length, const unsigned char* offered,
                             unsigned size, void* self) {
    auto& server = *static_cast<TlsServer*>(self);
    server.offered_.assign(reinterpret_cast<const char*>(offered), size);
    unsigned char* chosen = nullptr;
    const auto* wanted = reinterpret_cast<const unsigned char*>(server.protocol_.data());
    const auto wanted_size = static_cast<unsigned>(server.protocol_.size());
    const int found = SSL_select_next_proto(&chosen, length, wanted, wanted_size, offered, size);
    *out = chosen;
    return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
  }
  awaitable<void> accept() {
    constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);
    for (;;) {
      auto [closed, socket] = co_await acceptor_.async_accept(kNoThrow);
      if (closed) co_return;
      const auto executor = socket.get_executor();
      asio::co_spawn(executor, serve(TlsStream(std::move(socket), context_)), asio::detached);
    }
  }
  awaitable<void> serve(TlsStream stream) {
    constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);
    const auto [failed] = co_await stream.async_handshake(TlsStream::server, kNoThrow);
    if (failed) co_return;
    ++connections_;
    co_await session_(stream);
  }

  std::string protocol_;  // by ALPN, as on the wire
  asio::ssl::context context_;
  asio::ip::tcp::acceptor acceptor_;
  Session session_;
  std::string offered_;
  int connections_ = 0;
};

// A session: answers each request with what the server saw: "<server name> <client> <Host field>".
inline awaitable<void> answer_what_was_seen(TlsStream& stream) {
  std::string pending;
  try {
    for (;;) {
      auto buffer = asio::dynamic_buffer(pending);
      const auto size = co_await asio::async_read_until(stream, buffer, "\r\n\r\n", asio::use_awaitable);
      const auto head = pending.substr(0, size);
      pending.erase(0, size);
      const auto start = head.find("Host: ") + 6;
      const auto body = TlsServer::server_name_of(stream) + " " + TlsServer::client_of(stream) + " " +
                        head.substr(start, head.find("\r\n", start) - start);
      const auto answer = "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
      co_await asio::async_write(stream, asio::buffer(answer), asio::use_awaitable);
    }
  } catch (const boost::system::system_error&) {
  }
}

}  // namespace fresnel::net::testing

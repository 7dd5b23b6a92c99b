#include "fresnel/net/tls.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/ssl/context.hpp>
#include <cstdlib>

namespace fresnel::net {
namespace {

using asio::ssl::context;

Error failure(std::string_view what, const error_code& failed) {
  return {Errc::tls_failed, std::string(what) + ": " + failed.message()};
}

result<void> trust(context& tls, const TlsOptions& options) {
  error_code failed;
  if (options.insecure_skip_verify) {
    tls.set_verify_mode(asio::ssl::verify_none, failed);
    return {};
  }
  tls.set_verify_mode(asio::ssl::verify_peer, failed);
  auto* native = tls.native_handle();
  // As libcurl does: a cluster's CA file may hold an intermediate authority alone.
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(native), X509_V_FLAG_PARTIAL_CHAIN);
  if (options.ca_pem.empty()) {
    tls.set_default_verify_paths(failed);
    if (failed) return failure("the system's certificate authorities cannot be read", failed);
    return {};
  }
  tls.add_certificate_authority(asio::buffer(options.ca_pem), failed);
  if (failed) return failure("the certificate authority cannot be read", failed);
  // Text without any certificate is no error to Asio.
  if (sk_X509_OBJECT_num(X509_STORE_get0_objects(SSL_CTX_get_cert_store(native))) == 0) {
    return Error{Errc::tls_failed, "the certificate authority holds no PEM certificate"};
  }
  return {};
}

result<void> identify(context& tls, const TlsOptions& options) {
  if (options.client_cert_pem.empty()) return {};
  error_code failed;
  tls.use_certificate_chain(asio::buffer(options.client_cert_pem), failed);
  if (failed) return failure("the client certificate cannot be read", failed);
  // An encrypted key must be an error, not a question on the terminal.
  tls.set_password_callback([](std::size_t, context::password_purpose) { return std::string(); }, failed);
  if (!failed) tls.use_private_key(asio::buffer(options.client_key_pem), context::pem, failed);
  if (failed) return failure("the client key cannot be read or is not the certificate's", failed);
  return {};
}

}  // namespace

std::string system_roots_file() {
  const char* file = std::getenv(X509_get_default_cert_file_env());
  return file == nullptr ? "" : file;
}

result<std::shared_ptr<context>> make_client_context(const TlsOptions& options) {
  auto tls = std::make_shared<context>(context::tls_client);
  if (SSL_CTX_set_min_proto_version(tls->native_handle(), TLS1_2_VERSION) != 1) {
    return Error{Errc::tls_failed, "TLS 1.2 is not available"};
  }
  if (auto trusted = trust(*tls, options); !trusted) return trusted.error();
  if (auto identified = identify(*tls, options); !identified) return identified.error();
  return tls;
}

}  // namespace fresnel::net

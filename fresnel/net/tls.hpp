// What a TLS client needs to know: whom to trust, and who it is.
//
// Thread safety: plain values, shared read-only.
#pragma once

#include <memory>
#include <string>

#include "fresnel/base/asio.hpp"
#include "fresnel/base/error.hpp"

namespace boost::asio::ssl {
class context;
}

namespace fresnel::net {

struct TlsOptions {
  std::string ca_pem;           // certificate authorities; empty: the system's roots, never no verification
  std::string client_cert_pem;  // empty: none
  std::string client_key_pem;
  std::string server_name;  // for SNI and verification; empty: the URL's host
  bool insecure_skip_verify = false;

  friend bool operator==(const TlsOptions&, const TlsOptions&) = default;
};

// The file that the environment names for the system's roots (SSL_CERT_FILE, as OpenSSL reads it); empty: none.
// make_client_context() obeys it by itself, libcurl must be told.
[[nodiscard]] std::string system_roots_file();

// An OpenSSL client context for connections made without libcurl (upgrades): TLS 1.2 or later.
// Errors: tls_failed when a certificate or key cannot be read.
[[nodiscard]] result<std::shared_ptr<asio::ssl::context>> make_client_context(const TlsOptions& options);

}  // namespace fresnel::net

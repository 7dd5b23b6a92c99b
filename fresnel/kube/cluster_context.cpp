#include "fresnel/kube/cluster_context.hpp"

#include <openssl/evp.h>

#include <array>
#include <cstdint>
#include <utility>

namespace fresnel::kube {
namespace {

// Each field goes in with its length before it, so that no two credentials give the same bytes.
void append_field(std::string& bytes, const std::string& field) {
  std::uint64_t size = field.size();
  for (int i = 0; i < 8; ++i, size >>= 8) bytes.push_back(static_cast<char>(size & 0xffu));
  bytes += field;
}

}  // namespace

std::string Credential::identity() const {
  std::string bytes;
  append_field(bytes, bearer_token);
  append_field(bytes, client_cert_pem);
  append_field(bytes, client_key_pem);

  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr);
  constexpr char kHex[] = "0123456789abcdef";
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) {
    hex.push_back(kHex[digest[i] >> 4]);
    hex.push_back(kHex[digest[i] & 0x0f]);
  }
  return hex;
}

ClusterContext ClusterContext::with_credential(Credential other) const {
  ClusterContext context = *this;
  net::TlsOptions options = tls ? *tls : net::TlsOptions{};
  options.client_cert_pem = other.client_cert_pem;
  options.client_key_pem = other.client_key_pem;
  context.tls = std::make_shared<const net::TlsOptions>(std::move(options));
  context.user.clear();
  context.credential = std::move(other);
  return context;
}

}  // namespace fresnel::kube

// An issuer of tokens for tests: keys of its own, and tokens signed by them, sound or not.
//
// Thread safety: one thread. Errors throw.
#pragma once

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fresnel/base/base64url.hpp"

namespace fresnel::websocket::testing {

inline std::string hmac(const EVP_MD* digest, std::string_view secret, std::string_view text) {
  std::string out(EVP_MAX_MD_SIZE, '\0');
  unsigned size = 0;
  HMAC(digest, secret.data(), static_cast<int>(secret.size()), reinterpret_cast<const unsigned char*>(text.data()),
       text.size(), reinterpret_cast<unsigned char*>(out.data()), &size);
  out.resize(size);
  return out;
}

class TokenKey {
 public:
  static TokenKey rsa(unsigned bits = 2048) {
    return TokenKey(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", size_t{bits}));
  }
  static TokenKey ec(const char* curve) { return TokenKey(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", curve)); }
  static TokenKey ed25519() { return TokenKey(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")); }

  [[nodiscard]] std::string pem() const {
    BIO* bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PUBKEY(bio, key_.get());
    char* data = nullptr;
    const auto size = BIO_get_mem_data(bio, &data);
    std::string text(data, static_cast<std::size_t>(size));
    BIO_free(bio);
    return text;
  }

  [[nodiscard]] boost::json::object jwk(std::string_view id) const {
    boost::json::object jwk{{"kid", id}, {"use", "sig"}};
    if (type() == EVP_PKEY_RSA) {
      jwk["kty"] = "RSA";
      jwk["n"] = to_base64url(number(OSSL_PKEY_PARAM_RSA_N));
      jwk["e"] = to_base64url(number(OSSL_PKEY_PARAM_RSA_E));
    } else if (type() == EVP_PKEY_EC) {
      const auto size = coordinate();
      jwk["kty"] = "EC";
      jwk["crv"] = size == 32 ? "P-256" : size == 48 ? "P-384" : "P-521";
      jwk["x"] = to_base64url(padded(number(OSSL_PKEY_PARAM_EC_PUB_X), size));
      jwk["y"] = to_base64url(padded(number(OSSL_PKEY_PARAM_EC_PUB_Y), size));
    } else {
      std::string raw(32, '\0');
      std::size_t size = raw.size();
      EVP_PKEY_get_raw_public_key(key_.get(), reinterpret_cast<unsigned char*>(raw.data()), &size);
      jwk["kty"] = "OKP";
      jwk["crv"] = "Ed25519";
      jwk["x"] = to_base64url(raw);
    }
    return jwk;
  }

  [[nodiscard]] std::string sign(const EVP_MD* digest, std::string_view text) const {
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
    std::size_t size = 0;
    std::string out;
    if (EVP_DigestSignInit(context, nullptr, digest, nullptr, key_.get()) == 1 &&
        EVP_DigestSign(context, nullptr, &size, bytes, text.size()) == 1) {
      out.resize(size);
      EVP_DigestSign(context, reinterpret_cast<unsigned char*>(out.data()), &size, bytes, text.size());
      out.resize(size);
    }
    EVP_MD_CTX_free(context);
    if (out.empty()) throw std::runtime_error("a token could not be signed");
    return type() == EVP_PKEY_EC ? raw_of_der(out) : out;
  }

 private:
  struct Free {
    void operator()(EVP_PKEY* key) const noexcept { EVP_PKEY_free(key); }
  };

  explicit TokenKey(EVP_PKEY* key) : key_(key, Free()) {
    if (key == nullptr) throw std::runtime_error("a key could not be made");
  }
  [[nodiscard]] int type() const { return EVP_PKEY_get_base_id(key_.get()); }
  [[nodiscard]] std::size_t coordinate() const {
    return static_cast<std::size_t>(EVP_PKEY_get_bits(key_.get()) + 7) / 8;
  }
  [[nodiscard]] std::string number(const char* name) const {
    BIGNUM* value = nullptr;
    if (EVP_PKEY_get_bn_param(key_.get(), name, &value) != 1) throw std::runtime_error("a key lacks a number");
    std::string bytes(static_cast<std::size_t>(BN_num_bytes(value)), '\0');
    BN_bn2bin(value, reinterpret_cast<unsigned char*>(bytes.data()));
    BN_free(value);
    return bytes;
  }
  static std::string padded(const std::string& bytes, std::size_t size) {
    return std::string(size - bytes.size(), '\0') + bytes;
  }
  [[nodiscard]] std::string raw_of_der(const std::string& der) const {
    const auto* at = reinterpret_cast<const unsigned char*>(der.data());
    ECDSA_SIG* parts = d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size()));
    const auto size = coordinate();
    std::string raw(2 * size, '\0');
    auto* out = reinterpret_cast<unsigned char*>(raw.data());
    BN_bn2binpad(ECDSA_SIG_get0_r(parts), out, static_cast<int>(size));
    BN_bn2binpad(ECDSA_SIG_get0_s(parts), out + size, static_cast<int>(size));
    ECDSA_SIG_free(parts);
    return raw;
  }

  std::shared_ptr<EVP_PKEY> key_;
};

inline const EVP_MD* digest_of(std::string_view algorithm) {
  if (algorithm == "EdDSA") return nullptr;
  return algorithm.ends_with("256") ? EVP_sha256() : algorithm.ends_with("384") ? EVP_sha384() : EVP_sha512();
}

inline std::string unsigned_token(const boost::json::object& header, const boost::json::object& claims) {
  return to_base64url(boost::json::serialize(header)) + "." + to_base64url(boost::json::serialize(claims));
}

inline boost::json::object header_of(std::string_view algorithm, std::string_view key_id = {}) {
  boost::json::object header{{"alg", algorithm}, {"typ", "JWT"}};
  if (!key_id.empty()) header["kid"] = key_id;
  return header;
}

inline std::string make_token(const TokenKey& key, std::string_view algorithm, const boost::json::object& claims,
                              std::string_view key_id = {}) {
  const auto text = unsigned_token(header_of(algorithm, key_id), claims);
  return text + "." + to_base64url(key.sign(digest_of(algorithm), text));
}

inline std::string make_token(std::string_view secret, std::string_view algorithm, const boost::json::object& claims) {
  const auto text = unsigned_token(header_of(algorithm), claims);
  return text + "." + to_base64url(hmac(digest_of(algorithm), secret, text));
}

}  // namespace fresnel::websocket::testing

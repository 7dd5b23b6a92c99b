// Signatures of JSON Web Tokens, verified by OpenSSL.
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <boost/json/parse.hpp>
#include <memory>
#include <utility>

#include "fresnel/base/base64url.hpp"
#include "fresnel/websocket/jwt.hpp"

namespace fresnel::websocket {
namespace {

namespace json = boost::json;

constexpr std::size_t kMinSecret = 32;  // bytes
constexpr int kMinRsaBits = 2048;       // RFC 7518 section 3.3

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* object) const noexcept {
    Free(object);
  }
};
using PKey = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using PKeyContext = std::unique_ptr<EVP_PKEY_CTX, Freed<EVP_PKEY_CTX_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX_free>>;
using Bio = std::unique_ptr<BIO, Freed<BIO_free_all>>;
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;
using Number = std::unique_ptr<BIGNUM, Freed<BN_free>>;
using Signature = std::unique_ptr<ECDSA_SIG, Freed<ECDSA_SIG_free>>;
using ParamBuilder = std::unique_ptr<OSSL_PARAM_BLD, Freed<OSSL_PARAM_BLD_free>>;
using Params = std::unique_ptr<OSSL_PARAM, Freed<OSSL_PARAM_free>>;

enum class Kind { secret, rsa, ec, ed25519 };

struct Curve {
  std::string_view jwk;  // "crv"
  const char* openssl;
  std::size_t size;  // bytes of a coordinate
  std::string_view algorithm;
};
constexpr std::array<Curve, 3> kCurves{{
    {"P-256", "prime256v1", 32, "ES256"},
    {"P-384", "secp384r1", 48, "ES384"},
    {"P-521", "secp521r1", 66, "ES512"},
}};

struct Algorithm {
  std::string_view name;
  Kind kind;
  const EVP_MD* (*digest)();  // null: part of the algorithm
};
constexpr std::array<Algorithm, 10> kAlgorithms{{
    {"HS256", Kind::secret, EVP_sha256},
    {"HS384", Kind::secret, EVP_sha384},
    {"HS512", Kind::secret, EVP_sha512},
    {"RS256", Kind::rsa, EVP_sha256},
    {"RS384", Kind::rsa, EVP_sha384},
    {"RS512", Kind::rsa, EVP_sha512},
    {"ES256", Kind::ec, EVP_sha256},
    {"ES384", Kind::ec, EVP_sha384},
    {"ES512", Kind::ec, EVP_sha512},
    {"EdDSA", Kind::ed25519, nullptr},
}};

const Algorithm* find_algorithm(std::string_view name) noexcept {
  const auto* found =
      std::find_if(kAlgorithms.begin(), kAlgorithms.end(), [&](const auto& a) { return a.name == name; });
  return found == kAlgorithms.end() ? nullptr : found;
}

const unsigned char* bytes_of(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

Error bad_key(std::string message) { return {Errc::invalid_argument, std::move(message)}; }

std::string binary_at(const json::object& jwk, std::string_view name) {
  const auto* value = jwk.if_contains(name);
  const auto* text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? std::string() : from_base64url(std::string_view(*text)).value_or(std::string());
}

std::string_view text_at(const json::object& jwk, std::string_view name) {
  const auto* value = jwk.if_contains(name);
  const auto* text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? std::string_view() : std::string_view(*text);
}

PKey make_key(const char* type, OSSL_PARAM* params) {
  const PKeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (!context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params) != 1) {
    return nullptr;
  }
  return PKey(key);
}

// RFC 7518 section 6.3.
PKey rsa_of(const json::object& jwk) {
  const auto modulus = binary_at(jwk, "n");
  const auto exponent = binary_at(jwk, "e");
  if (modulus.empty() || exponent.empty()) return nullptr;
  const Number n(BN_bin2bn(bytes_of(modulus), static_cast<int>(modulus.size()), nullptr));
  const Number e(BN_bin2bn(bytes_of(exponent), static_cast<int>(exponent.size()), nullptr));
  const ParamBuilder builder(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get());
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get());
  const Params params(OSSL_PARAM_BLD_to_param(builder.get()));
  return make_key("RSA", params.get());
}

// RFC 7518 section 6.2; OpenSSL checks that the point is on the curve.
PKey ec_of(const json::object& jwk) {
  const auto name = text_at(jwk, "crv");
  const auto* curve = std::find_if(kCurves.begin(), kCurves.end(), [&](const auto& c) { return c.jwk == name; });
  const auto x = binary_at(jwk, "x");
  const auto y = binary_at(jwk, "y");
  if (curve == kCurves.end() || x.size() != curve->size || y.size() != curve->size) return nullptr;
  std::string point = '\x04' + x + y;  // uncompressed, SEC 1 section 2.3.3
  std::string group = curve->openssl;
  std::array<OSSL_PARAM, 3> params{
      OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group.data(), 0),
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()),
      OSSL_PARAM_construct_end()};
  return make_key("EC", params.data());
}

// RFC 8037 section 2.
PKey ed25519_of(const json::object& jwk) {
  const auto x = binary_at(jwk, "x");
  if (text_at(jwk, "crv") != "Ed25519" || x.size() != 32) return nullptr;
  return PKey(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes_of(x), x.size()));
}

std::string curve_of(const EVP_PKEY* key) {
  std::array<char, 64> name{};
  std::size_t size = 0;
  if (EVP_PKEY_get_group_name(key, name.data(), name.size(), &size) != 1) return {};
  return {name.data(), size};
}

// r and s, each as long as the curve's order (RFC 7518 section 3.4), as the DER that OpenSSL reads.
std::string der_of(std::string_view signature) {
  const auto half = signature.size() / 2;
  Number r(BN_bin2bn(bytes_of(signature), static_cast<int>(half), nullptr));
  Number s(BN_bin2bn(bytes_of(signature.substr(half)), static_cast<int>(half), nullptr));
  const Signature parts(ECDSA_SIG_new());
  if (ECDSA_SIG_set0(parts.get(), r.get(), s.get()) != 1) return {};
  (void)r.release();  // the signature's now
  (void)s.release();
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(parts.get(), &der);
  if (size <= 0) return {};
  std::string text(reinterpret_cast<char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return text;
}

bool is_for_signatures(const json::object& jwk) {
  const auto* use = jwk.if_contains("use");
  return use == nullptr || (use->is_string() && use->get_string() == "sig");
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace

class JwtKey::Material {
 public:
  explicit Material(std::string secret) : secret_(std::move(secret)), kind_(Kind::secret) {}
  Material(PKey key, Kind kind, std::string_view ec_algorithm)
      : key_(std::move(key)), kind_(kind), ec_algorithm_(ec_algorithm) {}
  ~Material() { OPENSSL_cleanse(secret_.data(), secret_.size()); }
  Material(const Material&) = delete;
  Material& operator=(const Material&) = delete;

  [[nodiscard]] static result<std::shared_ptr<const Material>> of(PKey key) {
    if (!key) return bad_key("it is no public key that OpenSSL can read");
    const int type = EVP_PKEY_get_base_id(key.get());
    if (type == EVP_PKEY_RSA) {
      if (EVP_PKEY_get_bits(key.get()) < kMinRsaBits) return bad_key("an RSA key has fewer than 2048 bits");
      return std::make_shared<const Material>(std::move(key), Kind::rsa, "");
    }
    if (type == EVP_PKEY_ED25519) return std::make_shared<const Material>(std::move(key), Kind::ed25519, "");
    if (type == EVP_PKEY_EC) {
      const auto name = curve_of(key.get());
      for (const auto& curve : kCurves) {
        if (name == curve.openssl) return std::make_shared<const Material>(std::move(key), Kind::ec, curve.algorithm);
      }
    }
    return bad_key("expected an RSA key, an EC key on P-256, P-384 or P-521, or an Ed25519 key");
  }

  [[nodiscard]] bool verifies(std::string_view name) const noexcept {
    const auto* algorithm = find_algorithm(name);
    return algorithm != nullptr && algorithm->kind == kind_ && (kind_ != Kind::ec || name == ec_algorithm_);
  }

  [[nodiscard]] bool verify(const Algorithm& algorithm, std::string_view text, std::string_view signature) const {
    if (kind_ == Kind::secret) {
      const auto own = mac(algorithm, text);
      return !own.empty() && equal_in_constant_time(own, signature);
    }
    std::string der;
    if (kind_ == Kind::ec) {
      const auto* curve =
          std::find_if(kCurves.begin(), kCurves.end(), [&](const auto& c) { return c.algorithm == algorithm.name; });
      if (signature.size() != 2 * curve->size) return false;
      der = der_of(signature);
      signature = der;
    }
    const DigestContext context(EVP_MD_CTX_new());
    const EVP_MD* digest = algorithm.digest == nullptr ? nullptr : algorithm.digest();
    const bool valid =
        EVP_DigestVerifyInit(context.get(), nullptr, digest, nullptr, key_.get()) == 1 &&
        EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(text), text.size()) == 1;
    ERR_clear_error();
    return valid;
  }

 private:
  [[nodiscard]] std::string mac(const Algorithm& algorithm, std::string_view text) const {
    std::string out(EVP_MAX_MD_SIZE, '\0');
    unsigned size = 0;
    const auto* made = HMAC(algorithm.digest(), secret_.data(), static_cast<int>(secret_.size()), bytes_of(text),
                            text.size(), reinterpret_cast<unsigned char*>(out.data()), &size);
    out.resize(made == nullptr ? 0 : size);
    return out;
  }

  std::string secret_;
  PKey key_;
  Kind kind_;
  std::string_view ec_algorithm_;
};

result<JwtKey> JwtKey::from_secret(std::string secret) {
  if (secret.size() < kMinSecret) {
    return bad_key("a token's shared secret has fewer than " + std::to_string(kMinSecret) + " bytes");
  }
  return JwtKey(std::make_shared<const Material>(std::move(secret)));
}

result<JwtKey> JwtKey::from_pem(std::string_view pem) {
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  PKey key(PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr));
  if (!key) {
    const Bio again(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    const Certificate certificate(PEM_read_bio_X509(again.get(), nullptr, nullptr, nullptr));
    if (certificate) key.reset(X509_get_pubkey(certificate.get()));
  }
  ERR_clear_error();
  auto material = Material::of(std::move(key));
  if (!material) return bad_key("the key for tokens is not usable: " + material.error().message);
  return JwtKey(*std::move(material));
}

result<JwtKey> JwtKey::from_jwk(const json::object& jwk) {
  const auto type = text_at(jwk, "kty");
  const auto with_names = [&](JwtKey key) {
    key.id_ = text_at(jwk, "kid");
    key.algorithm_ = text_at(jwk, "alg");
    return key;
  };
  if (type == "oct") {
    auto key = from_secret(binary_at(jwk, "k"));
    if (!key) return key.error();
    return with_names(*std::move(key));
  }
  PKey key;
  if (type == "RSA") key = rsa_of(jwk);
  if (type == "EC") key = ec_of(jwk);
  if (type == "OKP") key = ed25519_of(jwk);
  ERR_clear_error();
  auto material = Material::of(std::move(key));
  if (!material) return bad_key("a JSON Web Key is not usable: " + material.error().message);
  return with_names(JwtKey(*std::move(material)));
}

bool JwtKey::verifies(std::string_view algorithm) const noexcept {
  return material_->verifies(algorithm) && (algorithm_.empty() || algorithm_ == algorithm);
}

bool JwtKey::verify(std::string_view algorithm, std::string_view signed_text, std::string_view signature) const {
  return verifies(algorithm) && material_->verify(*find_algorithm(algorithm), signed_text, signature);
}

result<std::vector<JwtKey>> parse_jwks(std::string_view text, std::size_t max_keys) {
  error_code error;
  const auto value = json::parse(text, error);
  const auto* set = error ? nullptr : value.if_object();
  const auto* list = set == nullptr ? nullptr : set->if_contains("keys");
  if (list == nullptr || !list->is_array()) {
    return Error{Errc::protocol, R"(expected a JSON Web Key Set: {"keys":[...]})"};
  }
  std::vector<JwtKey> keys;
  for (const auto& one : list->get_array()) {
    if (keys.size() == max_keys) break;
    const auto* jwk = one.if_object();
    if (jwk == nullptr || !is_for_signatures(*jwk)) continue;
    if (auto key = JwtKey::from_jwk(*jwk)) keys.push_back(*std::move(key));
  }
  return keys;
}

}  // namespace fresnel::websocket

// The keys that an issuer publishes as a JSON Web Key Set (RFC 7517 section 5), fetched when they are needed.
//
// Rotation: a token signed by a key that is not in the set has the set fetched again, at most once in
// `min_refresh_interval`, so that tokens of unknown keys cannot make this program hammer the issuer. When the issuer
// cannot be reached, the set it last gave serves on, for `max_stale` at most.
//
// Concurrency: one fetch at a time, whoever needs it waits for the same.
//
// Life. The end of a Jwks cancels its fetch; the transport is kept until that is over.
//
// Thread safety: one thread, that of the executor. The clock must outlive it and its coroutines.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "fresnel/base/asio.hpp"
#include "fresnel/base/clock.hpp"
#include "fresnel/base/error.hpp"
#include "fresnel/net/http.hpp"
#include "fresnel/websocket/jwt.hpp"

namespace fresnel::websocket {

struct JwksOptions {
  std::string url;  // https, or http for an issuer on this machine
  std::shared_ptr<const net::TlsOptions> tls;
  Duration lifetime = std::chrono::minutes(10);  // of a set, before it is fetched anew
  Duration min_refresh_interval = seconds(30);   // between fetches, failed ones included
  Duration max_stale = std::chrono::hours(24);   // beyond lifetime, while the issuer cannot be reached
  Duration timeout = seconds(10);                // of a fetch
  std::size_t max_body = 256u << 10;             // bytes
  std::size_t max_keys = 100;
};

class Jwks {
 public:
  Jwks(const Executor& executor, Clock& clock, std::shared_ptr<net::HttpTransport> transport, JwksOptions options);
  ~Jwks();
  Jwks(const Jwks&) = delete;
  Jwks& operator=(const Jwks&) = delete;

  // The keys that may verify a token of this algorithm: the one called `key_id`, or without an id all of a fitting
  // kind. Errors: unauthorized when the issuer has no such key; any other when its keys could not be had.
  [[nodiscard]] awaitable<result<std::vector<JwtKey>>> find(std::string key_id, std::string algorithm);

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace fresnel::websocket

// Who may open a WebSocket: proven before the upgrade, so that a client which may not gets an HTTP status.
//
// | option   | the client presents                                     | its identity                          |
// |----------|---------------------------------------------------------|---------------------------------------|
// | jwt      | a JSON Web Token: Authorization: Bearer, a subprotocol, | the token's claims (JwtRules)         |
// |          | or the cookie                                           |                                       |
// | tokens   | a token out of a fixed set, in the same places          | the user id that the set gives it     |
// | client_certificate | a certificate of an authority that the server | its common name, as in Kubernetes; the|
// |          | knows (mutual TLS)                                      | attribute "subject" is the whole name |
// | callback | anything else in the request                            | what the callback says                |
//
// A request that presents a bearer token is judged by that token alone: a bad one is refused, whatever else the request
// has. In Authorization it is preferred to a subprotocol, there to the cookie. A certificate counts for requests
// without a token. The callback is asked about requests with neither, and about tokens when neither jwt nor tokens is
// set. With no option set everybody may come, without an identity.
//
// A cookie comes with every request that a browser makes to this host, whichever page asks: use it together with
// allowed_origins only (WebSocketManager does).
#pragma once

#include <boost/json/object.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fresnel/base/asio.hpp"
#include "fresnel/base/clock.hpp"
#include "fresnel/base/error.hpp"
#include "fresnel/net/http_server.hpp"
#include "fresnel/websocket/jwks.hpp"
#include "fresnel/websocket/jwt.hpp"

namespace fresnel::websocket {

struct Identity {
  std::string user_id;                            // never empty
  boost::json::object claims;                     // of a token; empty otherwise
  std::map<std::string, std::string> attributes;  // for filters; the callback's to give
  WallTime expires = WallTime::max();             // the connection is closed with 4401 then, unless it is renewed
};

// One of secret, pem and jwks.
struct JwtAuthentication {
  std::string secret;               // HS256, HS384, HS512
  std::string pem;                  // a public key or a certificate
  std::optional<JwksOptions> jwks;  // where the issuer publishes its keys
  JwtRules rules;
};

struct Authentication {
  // An Error's status (401 or 403) is the response's; any other becomes 503: the answer could not be had.
  using Callback = std::function<awaitable<result<Identity>>(const net::ServerRequest&)>;

  std::optional<JwtAuthentication> jwt;
  std::string cookie;  // name of a cookie whose value is a token; empty: none is read
  // What a subprotocol begins with whose rest is a token in base64url: browsers can set no other field of a handshake.
  // It is never selected. Empty: none is read.
  std::string token_protocol;
  std::map<std::string, std::string> tokens;  // token -> user id
  bool client_certificate = false;            // on a server with TlsServerOptions::client_ca_pem
  Callback callback;

  [[nodiscard]] bool is_required() const noexcept {
    return jwt.has_value() || !tokens.empty() || client_certificate || callback != nullptr;
  }
};

// Thread safety: one thread, that of the executor.
class Authenticator : public std::enable_shared_from_this<Authenticator> {
 public:
  // `transport` fetches the issuer's keys and must outlive this; null: one of its own. Throws std::runtime_error when
  // an option cannot be used.
  Authenticator(const Executor& executor, Clock& clock, Authentication options,
                net::HttpTransport* transport = nullptr);
  ~Authenticator();

  // Errors: unauthorized (401), forbidden (403), or whatever kept the answer from being had. They never quote a token.
  [[nodiscard]] awaitable<result<Identity>> authenticate(const net::ServerRequest& request);
  // Of a token alone, as a live connection is renewed with.
  [[nodiscard]] awaitable<result<Identity>> verify(std::string token);

 private:
  class Tokens;

  [[nodiscard]] awaitable<result<Identity>> verify_signed(std::string token);

  Clock& clock_;
  Authentication options_;
  std::unique_ptr<Tokens> tokens_;
  std::optional<JwtKey> key_;
  std::unique_ptr<Jwks> jwks_;
};

// The bearer token of Authorization, of a subprotocol that begins with `token_protocol`, or the value of the cookie of
// that name; empty when there is none. Error unauthorized when Authorization is something else than a bearer token, the
// subprotocol's is no base64url, or one of them stands there twice.
[[nodiscard]] result<std::string> token_of(const net::Headers& headers, std::string_view cookie,
                                           std::string_view token_protocol);

}  // namespace fresnel::websocket

// Who is let in, as whom, for how long; and how a user's connections are reached.
#include <gmock/gmock.h>

#include <boost/asio/detached.hpp>
#include <deque>
#include <optional>

#include "fresnel/net/tls_testing.hpp"
#include "fresnel/net/websocket_client.hpp"
#include "fresnel/net/websocket_testing.hpp"
#include "fresnel/websocket/jwt_testing.hpp"
#include "fresnel/websocket/websocket_manager.hpp"

namespace fresnel::websocket {
namespace {

using net::testing::client_close;
using net::testing::handshake_request;
using net::testing::RawClient;
using net::testing::RawFrame;
using net::testing::read_frame;
using net::testing::run;
using net::testing::run_until;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::make_token;
using ::testing::SizeIs;
using ::testing::StartsWith;

const std::string kSecret(32, 's');

class WebSocketManagerIdentityTest : public ::testing::Test {
 protected:
  WebSocketManagerIdentityTest() {
    options_.authentication.jwt.emplace();
    options_.authentication.jwt->secret = kSecret;
    options_.heartbeat_interval = Duration::zero();
  }
  ~WebSocketManagerIdentityTest() override {
    manager_.reset();
    io_.restart();
    io_.poll();
  }
  void start() {
    manager_.emplace(io_.get_executor(), clock_, options_);
    manager_->on_open([this](const auto& socket) { sockets_.push_back(socket); });
    manager_->on_message([](const auto&, const net::Message&) {});
    endpoint_ = manager_->listen({"127.0.0.1", 0}).value();
  }
  [[nodiscard]] std::string token(std::string_view user, Duration lives = seconds(60)) const {
    const auto expires = clock_.wall_now() + std::chrono::duration_cast<WallTime::duration>(lives);
    const auto number = std::chrono::duration_cast<seconds>(expires.time_since_epoch()).count();
    return make_token(kSecret, "HS256",
                      {{"sub", user}, {"exp", number}, {"made", clock_.now().time_since_epoch().count()}});
  }
  std::string connect(const std::string& token) {
    return request(token.empty() ? "" : "Authorization: Bearer " + token + "\r\n");
  }
  std::string request(const std::string& fields) {
    clients_.emplace_back(io_);
    std::string response;
    run(io_, [&]() -> awaitable<void> {
      auto& client = clients_.back();
      co_await client.connect(endpoint_);
      co_await client.send(handshake_request(fields));
      response = co_await client.read_until("\r\n\r\n");
      if (!response.starts_with("HTTP/1.1 101")) response += co_await client.read_until("}");
    });
    if (response.starts_with("HTTP/1.1 101")) {
      run_until(io_, [&] { return sockets_.size() > opened_; });
      opened_ = sockets_.size();
    }
    return response;
  }
  std::string renew(const std::shared_ptr<Socket>& socket, const std::string& token) {
    std::string outcome;
    run(io_, [&]() -> awaitable<void> {
      auto renewing = socket->renew(token);
      const auto renewed = co_await std::move(renewing);
      outcome = renewed ? "renewed" : renewed.error().message;
    });
    return outcome;
  }
  int close_code_of(RawClient& client) {
    int code = 0;
    run(io_, [&]() -> awaitable<void> { code = (co_await read_frame(client)).close_code(); });
    return code;
  }

  ManualClock clock_;
  asio::io_context io_;
  WebSocketManagerOptions options_;
  std::optional<WebSocketManager> manager_;
  net::Endpoint endpoint_;
  std::deque<RawClient> clients_;
  std::vector<std::shared_ptr<Socket>> sockets_;
  std::size_t opened_ = 0;
};

TEST_F(WebSocketManagerIdentityTest, WithoutACredentialItIs401BeforeTheUpgrade) {
  start();
  const auto response = connect("");
  EXPECT_THAT(response, StartsWith("HTTP/1.1 401 "));
  EXPECT_THAT(response, HasSubstr("ww-"));
  EXPECT_THAT(response, HasSubstr(": Bearer\r\n"));
  EXPECT_THAT(response, HasSubstr(R"({"error":"expected a token","code":401,"reason":"Unauthorized"})"));
  EXPECT_THAT(connect("nonsense"), StartsWith("HTTP/1.1 401 "));
  EXPECT_THAT(connect(token("ada", -seconds(60))), StartsWith("HTTP/1.1 401 "));
  EXPECT_EQ(manager_->active_count(), 0u);
}

TEST_F(WebSocketManagerIdentityTest, TheContextTellsWhoItIs) {
  start();
  EXPECT_THAT(connect(token("ada")), StartsWith("HTTP/1.1 101 "));
  const auto& context = sockets_.back()->context();
  EXPECT_EQ(context.user_id, "ada");
  EXPECT_EQ(context.claims.at("sub"), "ada");
  EXPECT_EQ(context.expires, clock_.wall_now() + seconds(60));
  EXPECT_THAT(context.peer, StartsWith("127.0.0.1:"));
}

TEST_F(WebSocketManagerIdentityTest, AUsersSocketsAreFoundAndClosedTogether) {
  start();
  for (const auto* user : {"ada", "bob", "ada"}) connect(token(user));
  EXPECT_THAT(manager_->get_user_sockets("ada"), ElementsAre(sockets_[0], sockets_[2]));
  EXPECT_THAT(manager_->get_user_sockets("eve"), SizeIs(0));
  std::optional<std::size_t> closed;
  asio::co_spawn(io_, manager_->close_user("ada", 4001, "signed out"),
                 [&](const std::exception_ptr&, std::size_t number) { closed = number; });
  for (const int place : {0, 2}) {
    run(io_, [&]() -> awaitable<void> {
      const auto frame = co_await read_frame(clients_[static_cast<std::size_t>(place)]);
      EXPECT_EQ(frame.close_code(), 4001);
      EXPECT_EQ(frame.payload.substr(2), "signed out");
      co_await clients_[static_cast<std::size_t>(place)].send(client_close(4001));
      co_await clients_[static_cast<std::size_t>(place)].read_to_end();
    });
    clients_[static_cast<std::size_t>(place)].close();
  }
  run_until(io_, [&] { return closed.has_value(); });
  EXPECT_EQ(*closed, 2u);
  EXPECT_THAT(manager_->get_user_sockets("ada"), SizeIs(0));
  EXPECT_THAT(manager_->get_active_connections(), ElementsAre(sockets_[1]));
}

TEST_F(WebSocketManagerIdentityTest, AnExpiredCredentialClosesItsConnection) {
  start();
  connect(token("ada", seconds(60)));
  connect(token("bob", std::chrono::hours(3)));
  clock_.advance(seconds(59));
  io_.poll();
  EXPECT_TRUE(sockets_[0]->is_open());
  clock_.advance(seconds(1));
  EXPECT_EQ(close_code_of(clients_[0]), kCredentialExpired);
  EXPECT_TRUE(sockets_[1]->is_open());
  for (int hour = 0; hour < 2; ++hour) {
    clock_.advance(std::chrono::hours(1) - seconds(60));
    io_.restart();
    io_.poll();
    EXPECT_TRUE(sockets_[1]->is_open());
  }
  clock_.advance(std::chrono::hours(1) + seconds(60));
  EXPECT_EQ(close_code_of(clients_[1]), kCredentialExpired);
}

TEST_F(WebSocketManagerIdentityTest, ALiveConnectionIsRenewed) {
  start();
  connect(token("ada", seconds(60)));
  const auto socket = sockets_[0];
  clock_.advance(seconds(50));
  EXPECT_EQ(renew(socket, token("ada", seconds(60))), "renewed");
  EXPECT_EQ(socket->context().expires, clock_.wall_now() + seconds(60));
  clock_.advance(seconds(59));
  io_.restart();
  io_.poll();
  EXPECT_TRUE(socket->is_open());
  EXPECT_EQ(renew(socket, token("bob")), "the new credential is another user's");
  EXPECT_EQ(renew(socket, "nonsense"), "the token is no signed JSON Web Token: expected header.payload.signature");
  EXPECT_EQ(socket->context().user_id, "ada");
  clock_.advance(seconds(1));
  EXPECT_EQ(close_code_of(clients_[0]), kCredentialExpired) << "what could not be renewed expires as before";
}

TEST_F(WebSocketManagerIdentityTest, WithTlsItKnowsClientsByTheirCertificates) {
  const net::testing::Authority authority("trusted");
  const auto identity = authority.issue("server", "IP:127.0.0.1");
  options_.tls.emplace();
  options_.tls->certificate_pem = identity.cert_pem;
  options_.tls->key_pem = "nonsense";
  options_.tls->client_ca_pem = authority.pem();
  options_.authentication = {};
  options_.authentication.client_certificate = true;
  manager_.emplace(io_.get_executor(), clock_, options_);
  EXPECT_EQ(manager_->listen({"127.0.0.1", 0}).error().code, Errc::tls_failed);
  options_.tls->key_pem = identity.key_pem;
  start();
  net::WebSocketDialer dialer(io_.get_executor());
  std::vector<std::string> outcomes;
  run(io_, [&]() -> awaitable<void> {
    for (const auto& client : {authority.issue("ada"), net::testing::Identity()}) {
      net::DialRequest request;
      request.url = "wss://" + endpoint_.to_string();
      auto tls = std::make_shared<net::TlsOptions>();
      tls->ca_pem = authority.pem();
      tls->client_cert_pem = client.cert_pem;
      tls->client_key_pem = client.key_pem;
      request.tls = std::move(tls);
      auto dialling = dialer.dial(std::move(request));
      const auto dialled = co_await std::move(dialling);
      outcomes.push_back(dialled ? sockets_.back()->context().user_id : std::to_string(dialled.error().status));
    }
  });
  EXPECT_THAT(outcomes, ElementsAre("ada", "401"));
}

TEST_F(WebSocketManagerIdentityTest, AnAnswerThatDoesNotComeInTimeIs503) {
  net::testing::Gate never(io_);
  const auto asked = std::make_shared<int>();
  options_.authentication = {};
  options_.authentication.callback = [&](const net::ServerRequest&) -> awaitable<result<Identity>> {
    const auto held = asked;
    co_await never.wait();
    co_return Error{Errc::internal, "too late"};
  };
  start();
  clients_.emplace_back(io_);
  std::string response;
  run(io_, [&]() -> awaitable<void> {
    auto& client = clients_.back();
    co_await client.connect(endpoint_);
    co_await client.send(handshake_request());
  });
  const auto armed = [&] { return clock_.armed() >= 2; };  // the request's own limit and that of the answer
  run_until(io_, armed);
  clock_.advance(options_.connection_timeout);
  run(io_, [&]() -> awaitable<void> { response = co_await clients_.back().read_until("}"); });
  EXPECT_THAT(response, StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(response, HasSubstr("etry-"));
  EXPECT_EQ(asked.use_count(), 1) << "nobody goes on waiting for the answer";
}

TEST_F(WebSocketManagerIdentityTest, AnAnswerThatCannotBeHadIs503AndSaysNothingOfWhy) {
  options_.authentication = {};
  options_.authentication.callback = [](const net::ServerRequest& request) -> awaitable<result<Identity>> {
    if (request.headers.has("x-throw")) throw std::runtime_error("a fault");
    co_return Error{Errc::connect_failed, "ldap.internal is down"};
  };
  start();
  const auto response = request("");
  EXPECT_THAT(response, StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(response, ::testing::Not(HasSubstr("ldap")));
  EXPECT_THAT(request("X-Throw: 1\r\n"), StartsWith("HTTP/1.1 503 "));
}

}  // namespace
}  // namespace fresnel::websocket

// The gateway behind TLS: every kind of traffic, and clients that are known by their certificates.
#include <boost/json/parse.hpp>

#include "fresnel/net/tls_testing.hpp"
#include "tests/gateway/fixture.hpp"
#include "tests/support/temp_dir.hpp"

namespace fresnel::test {
namespace {

namespace json = boost::json;
using ::testing::HasSubstr;

class BehindTls : public GatewayTest {
 protected:
  BehindTls() {
    const auto identity = authority_.issue("server", "IP:127.0.0.1");
    options_.tls_cert_file = dir_.write("server.crt", identity.cert_pem).string();
    options_.tls_private_key_file = dir_.write("server.key", identity.key_pem).string();
    ca_file_ = dir_.write("authority.crt", authority_.pem()).string();
    show({});
  }
  // The certificate that the test's WebSockets have from now on.
  void show(const net::testing::Identity& identity) {
    auto tls = std::make_shared<net::TlsOptions>();
    tls->ca_pem = authority_.pem();
    tls->client_cert_pem = identity.cert_pem;
    tls->client_key_pem = identity.key_pem;
    tls_ = std::move(tls);
  }

  net::testing::Authority authority_{"trusted"};
  TempDir dir_;
  gateway::GatewayOptions options_;
};

TEST_F(BehindTls, RequestsWatchesAndTunnelsWork) {
  start(options_);
  const std::string pods = "/clusters/sim/api/v1/namespaces/default/pods";
  const std::string pod =
      R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"},"spec":{"containers":[{"name":"c","image":"i"}]}})";
  ASSERT_EQ(ask("POST", pods, {"Content-Type: application/json"}, pod).status, 201);
  EXPECT_THAT(get(pods).body, HasSubstr("\"name\":\"a\""));

  const auto multiplexer = open("/wsMultiplexer").value();
  write(*multiplexer, R"({"clusterId":"sim","path":"/api/v1/pods","query":"watch=1","userId":"u","type":"REQUEST"})");
  std::string type;
  while (type != "DATA" && type != "ERROR") type = std::string(next(*multiplexer).at("type").as_string());
  EXPECT_EQ(type, "DATA");

  const auto exec = open(pods + "/a/exec?command=sh&stdin=1&stdout=1", {}, {"v5.channel.k8s.io"}).value();
  const std::string bytes(1'000'000, 'b');
  write(*exec, bytes, true);
  EXPECT_EQ(read(*exec).value().payload, bytes);

  EXPECT_EQ(http({.url = "http" + url_.substr(5) + "/healthz"}).status, 0) << "no plain HTTP beside it";
}

TEST_F(BehindTls, AClientCertificateNamesItsUser) {
  options_.client_ca_file = ca_file_;
  options_.channels = gateway::parse_channel_rules("channels: {staff: {subscribers: [ada]}}", "test").value();
  start(options_);
  const auto subscribing = [&] {
    const auto stream = open("/channels").value();
    write(*stream, R"({"type":"subscribe","channel":"staff"})");
    return next(*stream);
  };
  show(authority_.issue("ada"));
  EXPECT_EQ(subscribing().at("type"), "subscribed");
  show(authority_.issue("eve"));
  EXPECT_EQ(subscribing().at("code"), "forbidden");
  show({});
  EXPECT_EQ(open("/channels").error().status, 401);
}

}  // namespace
}  // namespace fresnel::test

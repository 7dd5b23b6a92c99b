#include "fresnel/kube/exec_credential.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

namespace fresnel::kube {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr char kV1[] = "client.authentication.k8s.io/v1";
constexpr char kV1Beta1[] = "client.authentication.k8s.io/v1beta1";

std::string printed(const std::string& status, const std::string& version = kV1) {
  return R"({"apiVersion":")" + version + R"(","kind":"ExecCredential","spec":{"interactive":false},"status":)" +
         status + "}\n";
}

// The nanoseconds since 1970 that `time` means; nothing when it is refused.
std::optional<std::int64_t> nanoseconds_of(const std::string& time) {
  const auto parsed = parse_exec_credential(kV1, printed(R"({"token":"t","expirationTimestamp":")" + time + R"("})"));
  if (!parsed) {
    EXPECT_EQ(parsed.error().message, "status.expirationTimestamp: expected a time of RFC 3339");
    return std::nullopt;
  }
  return parsed->expires->time_since_epoch() / std::chrono::nanoseconds(1);
}

TEST(ExecCredential, KnowsTwoVersions) {
  EXPECT_TRUE(check_exec_api_version(kV1));
  EXPECT_TRUE(check_exec_api_version(kV1Beta1));
  for (const char* other : {"client.authentication.k8s.io/v1alpha1", "v1", "", "client.authentication.k8s.io/v2"}) {
    const auto checked = check_exec_api_version(other);
    ASSERT_FALSE(checked) << other;
    EXPECT_EQ(checked.error().code, Errc::invalid_argument);
    EXPECT_THAT(checked.error().message, HasSubstr(std::string("expected ") + kV1 + " or " + kV1Beta1));
    EXPECT_THAT(checked.error().message, HasSubstr(std::string("got \"") + other + "\""));
  }
}

TEST(ExecCredential, TellsThePluginItsVersionAndThatNobodyCanBeAsked) {
  EXPECT_EQ(boost::json::parse(exec_info(kV1Beta1, nullptr)), boost::json::parse(R"({
    "apiVersion": "client.authentication.k8s.io/v1beta1", "kind": "ExecCredential", "spec": {"interactive": false}})"));
}

TEST(ExecCredential, TellsThePluginTheCluster) {
  const ExecCluster cluster{.server = "https://k:6443",
                            .tls_server_name = "k.internal",
                            .insecure_skip_tls_verify = true,
                            .certificate_authority_pem = "-----BEGIN X-----\n",
                            .proxy_url = "socks5://p:1080"};
  EXPECT_EQ(boost::json::parse(exec_info(kV1, &cluster)), boost::json::parse(R"({
    "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
    "spec": {"interactive": false, "cluster": {
      "server": "https://k:6443", "tls-server-name": "k.internal", "insecure-skip-tls-verify": true,
      "certificate-authority-data": "LS0tLS1CRUdJTiBYLS0tLS0K", "proxy-url": "socks5://p:1080"}}})"));
  const ExecCluster plain{.server = "https://k"};
  EXPECT_EQ(boost::json::parse(exec_info(kV1, &plain)).at("spec").at("cluster"),
            boost::json::parse(R"({"server": "https://k"})"));
}

TEST(ExecCredential, ReadsATokenACertificateOrBoth) {
  const auto token = parse_exec_credential(kV1Beta1, printed(R"({"token":"secret"})", kV1Beta1));
  ASSERT_TRUE(token) << token.error().message;
  EXPECT_EQ(*token, (ExecCredential{.credential = {.bearer_token = "secret"}}));

  const std::string pair = R"("clientCertificateData":"-----BEGIN CERT","clientKeyData":"-----BEGIN KEY")";
  const auto certificate = parse_exec_credential(kV1, printed("{" + pair + R"(,"token":null})"));
  ASSERT_TRUE(certificate) << certificate.error().message;
  EXPECT_EQ(certificate->credential.client_cert_pem, "-----BEGIN CERT");
  EXPECT_EQ(certificate->credential.client_key_pem, "-----BEGIN KEY");

  const auto both = parse_exec_credential(kV1, printed("{" + pair + R"(,"token":"t","new":1})"));
  ASSERT_TRUE(both) << both.error().message;
  EXPECT_EQ(both->credential.bearer_token, "t");
  EXPECT_EQ(both->credential.client_cert_pem, "-----BEGIN CERT");
  EXPECT_EQ(both->expires, std::nullopt);
}

TEST(ExecCredential, ReadsTimesOfRfc3339) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  EXPECT_EQ(nanoseconds_of("1970-01-01T00:00:00Z"), 0);
  EXPECT_EQ(nanoseconds_of("1970-01-01t00:00:01z"), kSecond);
  EXPECT_EQ(nanoseconds_of("1970-01-01T00:00:00.5Z"), kSecond / 2);
  EXPECT_EQ(nanoseconds_of("1970-01-01T00:00:00.123456789123Z"), 123'456'789);
  EXPECT_EQ(nanoseconds_of("1970-01-01T01:30:00+01:30"), 0);
  EXPECT_EQ(nanoseconds_of("1969-12-31T16:00:00.25-08:00"), kSecond / 4);
  EXPECT_EQ(nanoseconds_of("2024-02-29T12:00:00Z"), 1'709'208'000 * kSecond);
  EXPECT_EQ(nanoseconds_of("9999-12-31T23:59:59Z"), WallTime::max().time_since_epoch().count());
  EXPECT_EQ(nanoseconds_of("0001-01-01T00:00:00Z"), WallTime::min().time_since_epoch().count());
  for (const char* wrong :
       {"tomorrow", "2024-02-30T12:00:00Z", "2023-02-29T12:00:00Z", "2024-13-01T00:00:00Z", "2024-01-01T24:00:00Z",
        "2024-01-01T00:60:00Z", "2024-01-01T00:00:61Z", "2024-01-01T00:00:00", "2024-01-01T00:00:00.Z",
        "2024-01-01T00:00:00+0100", "2024-01-01T00:00:00+24:00", "2024-01-01T00:00:00Z ", "2024-01-01",
        "2024-1-01T00:00:00Z", "1709208000"}) {
    EXPECT_EQ(nanoseconds_of(wrong), std::nullopt) << wrong;
  }
}

TEST(ExecCredential, SaysWhatIsWrongAndRepeatsNoSecret) {
  struct Case {
    std::string printed;
    std::string message;
  };
  const std::string other = "client.authentication.k8s.io/v1beta1";
  const Case cases[] = {
      {"secret", "expected one JSON object of kind ExecCredential"},
      {R"(["secret"])", "expected one JSON object of kind ExecCredential"},
      {"", "expected one JSON object of kind ExecCredential"},
      {printed(R"({"token":"secret"})") + "secret", "expected one JSON object of kind ExecCredential"},
      {printed(R"({"token":"secret"})", other),
       "apiVersion: expected the configured client.authentication.k8s.io/v1, got \"" + other + "\""},
      {R"({"kind":"ExecCredential"})", "apiVersion: expected the configured client.authentication.k8s.io/v1, got \"\""},
      {R"({"apiVersion":"client.authentication.k8s.io/v1","kind":"Secret","status":{"token":"secret"}})",
       "kind: expected ExecCredential, got \"Secret\""},
      {R"({"apiVersion":1})", "apiVersion: expected a string"},
      {R"({"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential"})", "status: expected an object"},
      {printed("null"), "status: expected an object"},
      {printed("{}"), "status: expected a token, or a certificate and its key"},
      {printed(R"({"token":""})"), "status: expected a token, or a certificate and its key"},
      {printed(R"({"token":["secret"]})"), "status.token: expected a string"},
      {printed(R"({"token":"secret\r\nX-Evil: 1"})"), "status.token: expected one line without control characters"},
      {printed(R"({"clientCertificateData":"-----BEGIN secret"})"),
       "status.clientKeyData: expected a certificate and its key together, but it is missing"},
      {printed(R"({"token":"t","clientKeyData":"-----BEGIN secret"})"),
       "status.clientCertificateData: expected a certificate and its key together, but it is missing"},
      {printed(R"({"clientCertificateData":"-----BEGIN C","clientKeyData":"secret"})"),
       "status.clientKeyData: expected PEM text (\"-----BEGIN ...\")"},
      {printed(R"({"token":"secret","expirationTimestamp":12})"), "status.expirationTimestamp: expected a string"},
  };
  for (const Case& c : cases) {
    const auto parsed = parse_exec_credential(kV1, c.printed);
    ASSERT_FALSE(parsed) << c.printed;
    EXPECT_EQ(parsed.error().code, Errc::protocol);
    EXPECT_EQ(parsed.error().message, c.message);
    EXPECT_THAT(parsed.error().message, Not(HasSubstr("secret")));
  }
}

}  // namespace
}  // namespace fresnel::kube

// What ApiClient does with credentials that are renewed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fresnel/kube/api_client.hpp"
#include "fresnel/kube/testing/fake_transport.hpp"

namespace fresnel::kube {
namespace {

using ::testing::ElementsAre;

// Gives one token after the other, a new one whenever the one in use was refused.
class Tokens final : public CredentialSource {
 public:
  explicit Tokens(std::vector<std::string> tokens) : tokens_(std::move(tokens)) {}
  [[nodiscard]] const std::string& identity() const noexcept override { return identity_; }
  [[nodiscard]] awaitable<result<Credential>> get() override {
    if (tokens_.empty()) co_return Error{Errc::unauthorized, "the plugin failed"};
    Credential credential;
    credential.bearer_token = tokens_.front();
    co_return credential;
  }
  void refused(const Credential& refused) override {
    if (tokens_.front() == refused.bearer_token && (tokens_.size() > 1 || ends_)) tokens_.erase(tokens_.begin());
  }
  [[nodiscard]] std::uint64_t generation() override { return 0; }
  void end_after_last() { ends_ = true; }

 private:
  std::string identity_ = "tokens";
  std::vector<std::string> tokens_;
  bool ends_ = false;
};

// An API server that lets one token in.
class OneToken final : public net::HttpTransport {
 public:
  explicit OneToken(std::string good) : good_("Bearer " + std::move(good)) {}
  [[nodiscard]] awaitable<result<std::unique_ptr<net::HttpResponse>>> open(net::HttpRequest request) override {
    seen.emplace_back(request.headers.get("authorization"));
    bodies.push_back(request.body);
    FakeTransport answers;
    answers.answer("/api", {seen.back() == good_ ? 200 : 401, "{}"});
    auto opening = answers.open(std::move(request));
    co_return co_await std::move(opening);
  }
  std::vector<std::string> seen;
  std::vector<std::string> bodies;

 private:
  std::string good_;
};

struct Asked {
  int status;
  std::vector<std::string> seen;
  std::vector<std::string> bodies;
};

Asked ask(std::vector<std::string> tokens, const std::string& good, bool ends = false) {
  OneToken transport(good);
  ClusterContext context{.name = "prod", .server = "https://k8s"};
  const auto source = std::make_shared<Tokens>(std::move(tokens));
  if (ends) source->end_after_last();
  context.source = source;
  ApiClient client(transport, context);
  ApiRequest request{.method = "POST", .path = "/api", .body = "body"};
  const auto response = run(client.request(std::move(request)));
  return {response ? response->status : response.error().status, transport.seen, transport.bodies};
}

TEST(CredentialRefresh, A401IsAnsweredWithARenewedCredentialOnce) {
  const auto asked = ask({"old", "new"}, "new");
  EXPECT_EQ(asked.status, 200);
  EXPECT_THAT(asked.seen, ElementsAre("Bearer old", "Bearer new"));
  EXPECT_THAT(asked.bodies, ElementsAre("body", "body"));
}

TEST(CredentialRefresh, ASecond401IsTheAnswer) {
  const auto asked = ask({"old", "newer", "newest"}, "other");
  EXPECT_EQ(asked.status, 401);
  EXPECT_THAT(asked.seen, ElementsAre("Bearer old", "Bearer newer"));
}

TEST(CredentialRefresh, TheSameCredentialIsNotTriedTwice) {
  const auto asked = ask({"old"}, "other");
  EXPECT_EQ(asked.status, 401);
  EXPECT_THAT(asked.seen, ElementsAre("Bearer old"));
}

TEST(CredentialRefresh, ACredentialThatCannotBeRenewedLeavesTheServersAnswer) {
  const auto asked = ask({"old"}, "other", true);
  EXPECT_EQ(asked.status, 401);
  EXPECT_THAT(asked.seen, ElementsAre("Bearer old"));
}

TEST(CredentialRefresh, IdentitiesTellServersTrustProxiesAndSourcesApart) {
  ClusterContext context{.name = "prod", .server = "https://k8s"};
  context.tls = std::make_shared<const net::TlsOptions>();
  const auto plain = context.identity();
  auto server = context;
  server.server = "https://other";
  auto trust = context;
  trust.tls = std::make_shared<const net::TlsOptions>(net::TlsOptions{.ca_pem = "CA"});
  auto proxy = context;
  proxy.proxy_url = "http://proxy";
  auto source = context;
  source.source = std::make_shared<Tokens>(std::vector<std::string>{"a"});
  auto token = context;
  token.credential.bearer_token = "a";
  auto as = source;
  as.credential.impersonate.user = "bob";
  const std::set<std::string> all = {
      plain, server.identity(), trust.identity(), proxy.identity(), source.identity(), token.identity(), as.identity()};
  EXPECT_EQ(all.size(), 7u);
  context.name = "the same cluster by another name";
  EXPECT_EQ(context.identity(), plain);
}

}  // namespace
}  // namespace fresnel::kube

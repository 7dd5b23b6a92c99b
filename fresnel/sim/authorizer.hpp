// Who asks, and may they? Bearer tokens with allow-rules, in the words of kube-apiserver's 401 and 403.
//
// Thread safety: one thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "fresnel/net/http_server.hpp"
#include "fresnel/sim/json.hpp"
#include "fresnel/sim/request.hpp"
#include "fresnel/sim/status.hpp"

namespace fresnel::sim {

// Allows `verbs` on `resources`; "*" stands for all. A subresource is named as "pods/status".
struct Rule {
  std::vector<std::string> verbs = {"*"};
  std::vector<std::string> groups = {"*"};  // "": the core group
  std::vector<std::string> resources = {"*"};
  std::vector<std::string> namespaces = {"*"};  // requests across all namespaces and cluster-scoped ones need "*"
};

struct Token {
  std::string token;
  std::string user;
  std::vector<std::string> groups = {};  // system:masters may do everything
  std::vector<Rule> rules = {};
};

enum class Anonymous {
  everything,  // no token needed; what most tests want
  nothing,     // a request without a token is system:anonymous, who may see /healthz and /version only: 403
  refused,     // 401
};

struct AuthOptions {
  Anonymous anonymous = Anonymous::everything;
  std::vector<Token> tokens = {};
};

struct User {
  std::string name;
  std::vector<std::string> groups;
  std::vector<Rule> rules;
  bool all = false;  // may do everything
};

class Authorizer {
 public:
  explicit Authorizer(AuthOptions options = {}) : options_(std::move(options)) {}

  // From now on; whoever has been let in stays in, as on a real server.
  void set(AuthOptions options) { options_ = std::move(options); }

  // By `Authorization: Bearer` or the subprotocol base64url.bearer.authorization.k8s.io.<token>. 401 for a token that
  // is not known.
  [[nodiscard]] outcome<User> authenticate(const net::ServerRequest& request) const;
  [[nodiscard]] static bool allows(const User& user, const RequestInfo& info);
  // 403 unless allowed.
  [[nodiscard]] static outcome<> authorize(const User& user, const RequestInfo& info);

 private:
  AuthOptions options_;
};

// True when `user` may do what a SelfSubjectAccessReview's spec describes.
[[nodiscard]] bool review_allows(const User& user, const json::object& spec);
// The status of a SelfSubjectRulesReview.
[[nodiscard]] json::object rules_review(const User& user, std::string_view ns);

// The token offered as a subprotocol, empty when there is none.
[[nodiscard]] std::string protocol_token(std::string_view offered_protocols);

}  // namespace fresnel::sim

#include "fresnel/sim/authorizer.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "fresnel/base/base64url.hpp"

namespace fresnel::sim {
namespace {

constexpr std::string_view kProtocolPrefix = "base64url.bearer.authorization.k8s.io.";

bool lists(const std::vector<std::string>& names, std::string_view name) {
  return std::any_of(names.begin(), names.end(), [&](const std::string& each) { return each == "*" || each == name; });
}

bool covers(const Rule& rule, const RequestInfo& info) {
  const auto resource = info.subresource.empty() ? info.resource : info.resource + "/" + info.subresource;
  return lists(rule.verbs, info.verb) && lists(rule.groups, info.group) && lists(rule.resources, resource) &&
         lists(rule.namespaces, info.ns);
}

// The roles that a real cluster binds to system:authenticated and to system:unauthenticated.
bool is_public(std::string_view path) {
  return path == "/healthz" || path == "/livez" || path == "/readyz" || path == "/version" || path == "/version/";
}

bool is_for_the_authenticated(std::string_view path) {
  for (const std::string_view root : {"/api", "/apis", "/openapi"}) {
    if (path == root || (path.substr(0, root.size()) == root && path.substr(root.size(), 1) == "/")) return true;
  }
  return is_public(path);
}

bool is_self_review(const RequestInfo& info) {
  if (info.verb != "create") return false;
  if (info.group == "authentication.k8s.io") return info.resource == "selfsubjectreviews";
  return info.group == "authorization.k8s.io" &&
         (info.resource == "selfsubjectaccessreviews" || info.resource == "selfsubjectrulesreviews");
}

User anonymous_user(bool all) {
  return {.name = "system:anonymous", .groups = {"system:unauthenticated"}, .rules = {}, .all = all};
}

bool is_anonymous(const User& user) { return user.name == "system:anonymous"; }

json::array strings(const std::vector<std::string>& values) {
  json::array array;
  for (const auto& value : values) array.push_back(json::string(value));
  return array;
}

}  // namespace

std::string protocol_token(std::string_view offered) {
  while (!offered.empty()) {
    const auto comma = offered.find(',');
    auto protocol = offered.substr(0, comma);
    offered = comma == std::string_view::npos ? std::string_view() : offered.substr(comma + 1);
    while (!protocol.empty() && protocol.front() == ' ') protocol.remove_prefix(1);
    if (protocol.substr(0, kProtocolPrefix.size()) != kProtocolPrefix) continue;
    return from_base64url(protocol.substr(kProtocolPrefix.size())).value_or("");
  }
  return {};
}

outcome<User> Authorizer::authenticate(const net::ServerRequest& request) const {
  std::string token;
  const auto header = request.headers.get("authorization");
  if (header.size() > 7 && net::equal_ignoring_case(header.substr(0, 7), "Bearer ")) token = header.substr(7);
  if (token.empty()) token = protocol_token(request.headers.get("sec-websocket-protocol"));
  if (token.empty()) {
    if (options_.anonymous == Anonymous::refused) return unauthorized();
    return anonymous_user(options_.anonymous == Anonymous::everything);
  }
  for (const auto& known : options_.tokens) {
    if (known.token != token) continue;
    User user{.name = known.user, .groups = known.groups, .rules = known.rules};
    user.all = std::find(user.groups.begin(), user.groups.end(), "system:masters") != user.groups.end();
    user.groups.emplace_back("system:authenticated");
    return user;
  }
  return unauthorized();
}

bool Authorizer::allows(const User& user, const RequestInfo& info) {
  if (user.all) return true;
  if (!info.is_resource) {
    if (info.verb != "get" && info.verb != "head") return false;
    return is_anonymous(user) ? is_public(info.path) : is_for_the_authenticated(info.path);
  }
  if (!is_anonymous(user) && is_self_review(info)) return true;
  return std::any_of(user.rules.begin(), user.rules.end(), [&](const Rule& rule) { return covers(rule, info); });
}

outcome<> Authorizer::authorize(const User& user, const RequestInfo& info) {
  if (allows(user, info)) return {};
  Status status{.code = 403, .reason = "Forbidden", .has_details = true};
  if (!info.is_resource) {
    status.message = fmt::format("forbidden: User \"{}\" cannot {} path \"{}\"", user.name, info.verb, info.path);
    return status;
  }
  const auto resource = info.subresource.empty() ? info.resource : info.resource + "/" + info.subresource;
  const auto qualified = info.group.empty() ? info.resource : info.resource + "." + info.group;
  status.message = fmt::format(
      "{}{} is forbidden: User \"{}\" cannot {} resource \"{}\" in API group \"{}\" {}", qualified,
      info.name.empty() ? "" : fmt::format(" \"{}\"", info.name), user.name, info.verb, resource, info.group,
      info.ns.empty() ? "at the cluster scope" : fmt::format("in the namespace \"{}\"", info.ns));
  status.name = info.name;
  status.group = info.group;
  status.kind = info.resource;
  return status;
}

bool review_allows(const User& user, const json::object& spec) {
  RequestInfo info;
  if (const auto* resource = find(spec, {"resourceAttributes"})) {
    info.is_resource = true;
    info.verb = string_at(*resource, {"verb"});
    info.group = string_at(*resource, {"group"});
    info.ns = string_at(*resource, {"namespace"});
    info.resource = string_at(*resource, {"resource"});
    info.subresource = string_at(*resource, {"subresource"});
    info.name = string_at(*resource, {"name"});
  } else {
    info.verb = string_at(spec, {"nonResourceAttributes", "verb"});
    info.path = string_at(spec, {"nonResourceAttributes", "path"});
  }
  return Authorizer::allows(user, info);
}

json::object rules_review(const User& user, std::string_view ns) {
  json::array resources;
  const auto add = [&](const Rule& rule) {
    resources.push_back(json::object{
        {"verbs", strings(rule.verbs)}, {"apiGroups", strings(rule.groups)}, {"resources", strings(rule.resources)}});
  };
  if (user.all) add(Rule{});
  for (const auto& rule : user.rules) {
    if (lists(rule.namespaces, ns)) add(rule);
  }
  if (!is_anonymous(user)) {
    add({.verbs = {"create"},
         .groups = {"authorization.k8s.io"},
         .resources = {"selfsubjectaccessreviews", "selfsubjectrulesreviews"}});
  }
  json::array paths;
  if (user.all) paths.push_back(json::object{{"verbs", json::array{"*"}}, {"nonResourceURLs", json::array{"*"}}});
  if (!is_anonymous(user)) {
    paths.push_back(
        json::object{{"verbs", json::array{"get"}},
                     {"nonResourceURLs", json::array{"/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez",
                                                     "/openapi", "/openapi/*", "/readyz", "/version", "/version/"}}});
  }
  return {{"resourceRules", std::move(resources)}, {"nonResourceRules", std::move(paths)}, {"incomplete", false}};
}

}  // namespace fresnel::sim

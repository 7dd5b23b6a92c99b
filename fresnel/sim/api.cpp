#include "fresnel/sim/api.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "fresnel/sim/body.hpp"
#include "fresnel/sim/discovery.hpp"

namespace fresnel::sim {
namespace {

bool is_health(std::string_view path) {
  for (const std::string_view root : {"/healthz", "/livez", "/readyz"}) {
    if (path == root || (path.substr(0, root.size()) == root && path[root.size()] == '/')) return true;
  }
  return false;
}

Response plain_text(int status, std::string text) {
  Response response(status, std::move(text));
  response.content_type = "text/plain; charset=utf-8";
  return response;
}

Response json_response(int status, const json::object& body) { return {status, json::serialize(body) + "\n"}; }

// Which of a form's two spellings fits: one object or a list. kube-apiserver refuses the other.
outcome<> check_form(const ResourceType& type, Form form, bool is_list) {
  if (is_list && form == Form::partial) {
    return not_acceptable(fmt::format(
        "you requested PartialObjectMetadata, but the requested object is a list (*core.{})", type.list_kind));
  }
  if (!is_list && form == Form::partial_list) {
    return not_acceptable(fmt::format(
        "you requested PartialObjectMetadataList, but the requested object is not a list (*core.{})", type.kind));
  }
  return {};
}

std::string list_key(const Object& object, bool within_namespace) {
  return within_namespace || object.ns().empty() ? object.name() : object.ns() + "/" + object.name();
}

Part part_of(std::string_view subresource) {
  if (subresource == "status") return Part::status;
  return subresource == "finalize" ? Part::finalize : Part::main;
}

bool has_subresource(const ResourceType& type, std::string_view name) {
  if (name.empty()) return true;
  if (name == "status") return type.has_status;
  if (type.is("", "namespaces")) return name == "finalize";
  return type.is("", "pods") && (name == "exec" || name == "attach" || name == "portforward");
}

}  // namespace

struct Api::Call {
  const net::ServerRequest& request;
  const RequestInfo& info;
  const Query& query;
  ResourceTypePtr type;
  std::string ns;

  [[nodiscard]] WriteOptions write_options() const {
    return {.part = part_of(info.subresource), .dry_run = query.get("dryRun") == "All"};
  }
};

Answer Api::handle(const net::ServerRequest& request) {
  const Query query(request.query());
  const auto info = info_of(request, query);
  const auto user = authorizer_.authenticate(request);
  if (!user) return Response(user.error());
  if (const auto allowed = Authorizer::authorize(*user, info); !allowed) return Response(allowed.error());
  if (!info.is_resource) return serve_path(request, info);
  if (info.verb == "create" && info.resource.rfind("selfsubject", 0) == 0) return review(request, info, *user);
  return serve_resource(request, info, query);
}

Response Api::serve_path(const net::ServerRequest& request, const RequestInfo& info) {
  if (is_health(info.path)) return plain_text(200, "ok");
  const auto accept = request.headers.get("accept");
  if (info.path.rfind("/openapi/", 0) == 0) return openapi(info.path, accept);
  auto document = discovery_document(resources_.types(), info.path, address_);
  if (document && !accepts_json(accept)) return negotiate(accept).error();
  if (document) return json_response(200, *document);
  if (info.path.rfind("/api", 0) == 0) return plain_text(404, "404 page not found\n");
  return json_response(info.path == "/" ? 200 : 404,
                       {{"paths", json::array{"/api", "/api/v1", "/apis", "/healthz", "/livez", "/openapi/v2",
                                              "/openapi/v3", "/readyz", "/version"}}});
}

Response Api::openapi(std::string_view path, std::string_view accept) const {
  if (path == "/openapi/v2") {
    const bool protobuf = accept.find("protobuf") != std::string_view::npos;
    if (!protobuf) return json_response(200, openapi_v2_json());
    Response response(200, openapi_v2_protobuf());
    response.content_type = "application/octet-stream";  // as the real server says; "@" is no legal media type
    return response;
  }
  const auto document = openapi_v3(resources_.types(), path);
  return document ? json_response(200, *document) : plain_text(404, "404 page not found\n");
}

Response Api::review(const net::ServerRequest& request, const RequestInfo& info, const User& user) {
  const ResourceType kind{.group = info.group,
                          .version = info.version,
                          .plural = info.resource,
                          .kind = info.resource == "selfsubjectaccessreviews"  ? "SelfSubjectAccessReview"
                                  : info.resource == "selfsubjectrulesreviews" ? "SelfSubjectRulesReview"
                                                                               : "SelfSubjectReview"};
  const bool exists =
      info.version == "v1" && (info.group == "authorization.k8s.io" ||
                               (info.group == "authentication.k8s.io" && info.resource == "selfsubjectreviews"));
  if (!exists) return no_such_resource();
  const auto body = read_object(kind, request);
  if (!body) return body.error();
  const auto& spec = object_at(*body, {"spec"});
  json::object answer{{"kind", kind.kind},
                      {"apiVersion", kind.group_version()},
                      {"metadata", json::object{{"creationTimestamp", nullptr}}}};
  if (kind.kind == "SelfSubjectAccessReview") {
    const bool one = spec.contains("resourceAttributes") != spec.contains("nonResourceAttributes");
    if (!one) {
      return invalid("authorization.k8s.io", "", "",
                     {{"FieldValueInvalid",
                       "Invalid value: \"null\": exactly one of nonResourceAttributes or resourceAttributes must be "
                       "specified",
                       "spec.resourceAttributes"}});
    }
    answer["spec"] = spec;
    answer["status"] = json::object{{"allowed", review_allows(user, spec)}};
  } else if (kind.kind == "SelfSubjectRulesReview") {
    answer["spec"] = json::object();
    answer["status"] = rules_review(user, string_at(spec, {"namespace"}));
  } else {
    json::array groups;
    for (const auto& group : user.groups) groups.push_back(json::string(group));
    answer["status"] = json::object{{"userInfo", json::object{{"username", user.name}, {"groups", std::move(groups)}}}};
  }
  return json_response(201, answer);
}

Answer Api::serve_resource(const net::ServerRequest& request, const RequestInfo& info, const Query& query) {
  auto type = resources_.types().find(info.group, info.version, info.resource);
  if (!type) {
    const auto group = info.group.empty() ? "/api/" + info.version : "/apis/" + info.group + "/" + info.version;
    if (!discovery_document(resources_.types(), group, address_)) {
      return plain_text(404, "404 page not found\n");
    }
    return Response(no_such_resource());
  }
  const Call call{request, info, query, type, type->namespaced ? info.ns : std::string()};
  if (!has_subresource(*type, info.subresource)) return Response(no_such_resource());
  if (type->is("", "pods") && !info.subresource.empty() && info.subresource != "status") return serve_pod_stream(call);
  return dispatch(call);
}

Answer Api::serve_pod_stream(const Call& call) {
  if (!resources_.store().get(*call.type, call.ns, call.info.name))
    return Response(not_found(*call.type, call.info.name));
  if (!call.request.upgrade) return Response(bad_request("Upgrade request required"));
  return EchoRequest{};
}

Answer Api::dispatch(const Call& call) {
  const auto& info = call.info;
  // A collection across namespaces can only be looked at.
  const bool across = call.type->namespaced && info.ns.empty();
  const bool named = !info.name.empty();
  if (across && named) return Response(no_such_resource());
  if (info.verb == "get") return get(call);
  if (info.verb == "list" || info.verb == "watch") return list_or_watch(call);
  if (info.verb == "create" && !named && !across) return create(call);
  if (info.verb == "update" && named) return update(call);
  if (info.verb == "patch" && named && info.subresource != "finalize") return patch(call);
  if (info.verb == "delete" && info.subresource.empty()) return remove(call);
  if (info.verb == "deletecollection" && call.type->deletes_collection && !across) return remove_all(call);
  return Response(method_not_allowed());
}

Response Api::get(const Call& call) {
  auto accepted = negotiate(call.request.headers.get("accept"));
  if (!accepted) return accepted.error();
  if (const auto checked = check_form(*call.type, accepted->form, false); !checked) return checked.error();
  const auto include = include_object(call.query);
  if (!include) return include.error();
  const auto object = resources_.store().get(*call.type, call.ns, call.info.name);
  if (!object) return not_found(*call.type, call.info.name);
  return {200, encode_object(*object, {std::move(*accepted), *include}, resources_.now()) + "\n"};
}

Answer Api::list_or_watch(const Call& call) {
  auto options = list_options(*call.type, call.info, call.query, streaming_lists_);
  if (!options) return Response(options.error());
  auto accepted = negotiate(call.request.headers.get("accept"));
  if (!accepted) return Response(accepted.error());
  if (const auto checked = check_form(*call.type, accepted->form, !options->watch); !checked) {
    return Response(checked.error());
  }
  const auto include = include_object(call.query);
  if (!include) return Response(include.error());
  Encoding encoding{std::move(*accepted), *include};
  if (!options->watch) return list(call, *options, encoding);
  WatchRequest watch{.type = call.type,
                     .ns = call.ns,
                     .selector = std::move(options->selector),
                     .encoding = std::move(encoding),
                     .after = std::nullopt,
                     .bookmarks = options->bookmarks,
                     .initial_events = options->initial_events,
                     .timeout_seconds = options->timeout_seconds};
  if (options->revision() != 0 && !options->initial_events) watch.after = options->revision();
  return watch;
}

// Where a list stands: at which revision, and after which key.
Response Api::list(const Call& call, const ListOptions& options, const Encoding& encoding) {
  auto& store = resources_.store();
  auto revision = store.revision();
  std::string start;
  if (!options.continue_token.empty()) {
    const auto token = ContinueToken::decode(options.continue_token);
    if (!token) return token.error();
    if (options.revision() != 0) return bad_request("specifying resource version is not allowed when using continue");
    start = token->start;
    if (token->revision > 0) revision = static_cast<Revision>(token->revision);
  } else if (options.revision() != 0) {
    if (options.revision() > revision) return too_large_version(options.revision(), revision);
    // A limit makes a version exact, as it does in the real server (its legacy rule).
    const bool exact = options.version_match == "Exact" || (options.version_match.empty() && options.limit > 0);
    if (exact) revision = options.revision();
  }
  const auto objects = store.list_at(*call.type, call.ns, revision);
  if (!objects) {
    if (options.continue_token.empty()) return list_expired();
    return continue_expired(ContinueToken{-1, start}.encode());
  }
  const bool within = !call.ns.empty();
  std::vector<ObjectPtr> page;
  ListMeta meta{.revision = revision};
  std::int64_t left = 0;
  for (const auto& object : *objects) {
    if (!options.selector.matches(*object)) continue;
    if (!start.empty() && list_key(*object, within) < start) continue;
    if (options.limit > 0 && page.size() >= static_cast<std::size_t>(options.limit)) {
      ++left;
    } else {
      page.push_back(object);
    }
  }
  if (left > 0) {
    // A key with a NUL at its end is the smallest one after it.
    auto after = list_key(*page.back(), within);
    after.push_back('\0');
    meta.continue_token = ContinueToken{static_cast<std::int64_t>(revision), std::move(after)}.encode();
    if (options.selector.empty()) meta.remaining = left;
  }
  return {200, encode_list(*call.type, page, meta, encoding, resources_.now()) + "\n"};
}

Response Api::create(const Call& call) {
  auto object = read_object(*call.type, call.request);
  if (!object) return object.error();
  const auto created = resources_.create(call.type, call.ns, std::move(*object), call.write_options());
  if (!created) return created.error();
  return {201, std::string((*created)->text().view()) + "\n"};
}

Response Api::update(const Call& call) {
  auto object = read_object(*call.type, call.request);
  if (!object) return object.error();
  const auto updated = resources_.update(call.type, call.ns, call.info.name, std::move(*object), call.write_options());
  if (!updated) return updated.error();
  return {200, std::string((*updated)->text().view()) + "\n"};
}

Response Api::patch(const Call& call) {
  const auto body = read_patch(*call.type, call.request);
  if (!body) return body.error();
  auto options = call.write_options();
  options.patch = body->kind;
  const auto patched = resources_.patch(call.type, call.ns, call.info.name, body->patch, options);
  if (!patched) return patched.error();
  return {200, std::string((*patched)->text().view()) + "\n"};
}

Response Api::remove(const Call& call) {
  const auto options = read_delete_options(call.request, call.query);
  if (!options) return options.error();
  const auto deleted = resources_.remove(call.type, call.ns, call.info.name, *options);
  if (!deleted) return deleted.error();
  const auto& object = *deleted->object;
  // Pods are the one type here whose registry returns what it deleted.
  if (!deleted->gone || call.type->is("", "pods")) return {200, std::string(object.text().view()) + "\n"};
  json::object details{{"name", object.name()}};
  if (!call.type->group.empty()) details["group"] = call.type->group;
  details["kind"] = call.type->plural;
  details["uid"] = object.uid();
  return json_response(200, {{"kind", "Status"},
                             {"apiVersion", "v1"},
                             {"metadata", json::object()},
                             {"status", "Success"},
                             {"details", std::move(details)}});
}

Response Api::remove_all(const Call& call) {
  const auto options = list_options(*call.type, call.info, call.query);
  if (!options) return options.error();
  const auto deleting = read_delete_options(call.request, call.query);
  if (!deleting) return deleting.error();
  const auto revision = resources_.store().revision();
  const auto removed = resources_.remove_all(call.type, call.ns, options->selector, *deleting);
  if (!removed) return removed.error();
  return {200, encode_list(*call.type, *removed, {.revision = revision}, {}, resources_.now()) + "\n"};
}

}  // namespace fresnel::sim

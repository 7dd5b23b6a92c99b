#include "fresnel/sim/api.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fresnel/sim/testing.hpp"

namespace fresnel::sim {
namespace {

using testing::ApiFixture;
using testing::config_map;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::parsed;
using testing::pod;

const std::string kMaps = "/api/v1/namespaces/default/configmaps";
const std::string kTable = "application/json;as=Table;v=v1;g=meta.k8s.io";

class ApiTest : public ::testing::Test, protected ApiFixture {
 protected:
  std::vector<std::string> names(const json::value& list) {
    std::vector<std::string> all;
    for (const auto& item : array_at(list, {"items"})) all.emplace_back(string_at(item, {"metadata", "name"}));
    return all;
  }
  Response send(std::string method, std::string target, std::string body,
                std::string content_type = "application/json") {
    return request(std::move(method), std::move(target), std::move(body), {{"content-type", std::move(content_type)}});
  }
};

TEST_F(ApiTest, AnObjectFromItsCreationToItsEnd) {
  auto response = send("POST", kMaps, R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"}})");
  EXPECT_EQ(response.status, 201);
  EXPECT_EQ(response.body.back(), '\n');
  EXPECT_EQ(string_at(get(kMaps + "/a"), {"kind"}), "ConfigMap");
  response = send("PUT", kMaps + "/a", R"({"metadata":{"name":"a"},"data":{"k":"v"}})");
  EXPECT_EQ(response.status, 200);
  response = send("PATCH", kMaps + "/a", R"({"data":{"k":null,"l":"w"}})", "application/merge-patch+json");
  EXPECT_EQ(json::serialize(*find(parsed(response.body), {"data"})), R"({"l":"w"})");
  response = send("PATCH", kMaps + "/a", R"({"data":{"m":"x"}})", "application/strategic-merge-patch+json");
  EXPECT_EQ(json::serialize(*find(parsed(response.body), {"data"})), R"({"l":"w","m":"x"})");
  response = send("DELETE", kMaps + "/a", R"({"kind":"DeleteOptions","apiVersion":"v1"})");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(string_at(parsed(response.body), {"status"}), "Success");
  EXPECT_EQ(string_at(parsed(response.body), {"details", "kind"}), "configmaps");
  EXPECT_EQ(request("GET", kMaps + "/a").status, 404);
}

TEST_F(ApiTest, ListsOfBuiltinTypesSayTheKindOnce) {
  create("configmaps", config_map("b"));
  create("configmaps", config_map("a"));
  const auto list = get(kMaps);
  EXPECT_EQ(string_at(list, {"kind"}), "ConfigMapList");
  EXPECT_EQ(string_at(list, {"metadata", "resourceVersion"}), "6");
  EXPECT_THAT(names(list), ElementsAre("a", "b"));
  EXPECT_EQ(find(array_at(list, {"items"})[0], {"kind"}), nullptr);

  create("customresourcedefinitions.apiextensions.k8s.io", testing::widget_definition(), "");
  create("widgets.example.com", {{"metadata", json::object{{"name", "w"}}}});
  const auto widgets = get("/apis/example.com/v1/widgets");
  EXPECT_EQ(string_at(array_at(widgets, {"items"})[0], {"kind"}), "Widget");
  EXPECT_NE(find(widgets, {"metadata", "continue"}), nullptr);
}

TEST_F(ApiTest, PagesAreOfOneRevision) {
  for (const auto* name : {"a", "b", "c", "d", "e"}) create("configmaps", config_map(name));
  auto page = get(kMaps + "?limit=2");
  EXPECT_THAT(names(page), ElementsAre("a", "b"));
  EXPECT_EQ(int_at(page, {"metadata", "remainingItemCount"}), 3);
  const auto revision = std::string(string_at(page, {"metadata", "resourceVersion"}));
  create("configmaps", config_map("bb"));
  ASSERT_TRUE(resources.remove(type("configmaps"), "default", "c"));
  page = get(kMaps + "?limit=2&continue=" + std::string(string_at(page, {"metadata", "continue"})));
  EXPECT_THAT(names(page), ElementsAre("c", "d")) << "as they were when the first page was made";
  EXPECT_EQ(string_at(page, {"metadata", "resourceVersion"}), revision);
  const std::string token(string_at(page, {"metadata", "continue"}));
  EXPECT_THAT(names(get(kMaps + "?limit=2&continue=" + token)), ElementsAre("e"));

  store.compact(store.revision());
  const auto expired = request("GET", kMaps + "?limit=2&continue=" + token);
  EXPECT_EQ(expired.status, 410);
  EXPECT_EQ(string_at(parsed(expired.body), {"reason"}), "Expired");
  const std::string fresh(string_at(parsed(expired.body), {"metadata", "continue"}));
  EXPECT_THAT(names(get(kMaps + "?continue=" + fresh)), ElementsAre("e"));
}

TEST_F(ApiTest, PagesAcrossNamespacesFollowTheKeys) {
  for (const auto* ns : {"default", "kube-public", "kube-system"}) {
    create("configmaps", config_map("x"), ns);
    create("configmaps", config_map("y"), ns);
  }
  std::vector<std::string> seen;
  std::string token;
  do {
    const auto page = get("/api/v1/configmaps?limit=1&continue=" + token);
    for (const auto& item : array_at(page, {"items"})) {
      seen.push_back(std::string(string_at(item, {"metadata", "namespace"})) + "/" +
                     std::string(string_at(item, {"metadata", "name"})));
    }
    token = string_at(page, {"metadata", "continue"});
  } while (!token.empty());
  EXPECT_THAT(
      seen, ElementsAre("default/x", "default/y", "kube-public/x", "kube-public/y", "kube-system/x", "kube-system/y"));
}

TEST_F(ApiTest, VersionsOfLists) {
  create("configmaps", config_map("a"));  // 5
  create("configmaps", config_map("b"));  // 6
  EXPECT_THAT(names(get(kMaps + "?resourceVersion=0")), ElementsAre("a", "b"));
  EXPECT_THAT(names(get(kMaps + "?resourceVersion=5&resourceVersionMatch=NotOlderThan")), ElementsAre("a", "b"));
  EXPECT_THAT(names(get(kMaps + "?resourceVersion=5&resourceVersionMatch=Exact")), ElementsAre("a"));
  EXPECT_THAT(names(get(kMaps + "?resourceVersion=5&limit=9")), ElementsAre("a"));
  const auto future = request("GET", kMaps + "?resourceVersion=99");
  EXPECT_EQ(future.status, 504);
  EXPECT_EQ(string_at(parsed(future.body), {"message"}), "Timeout: Too large resource version: 99, current: 6");
  EXPECT_EQ(int_at(parsed(future.body), {"details", "retryAfterSeconds"}), 1);
  store.compact(6);
  EXPECT_EQ(request("GET", kMaps + "?resourceVersion=5&resourceVersionMatch=Exact").status, 410);
  EXPECT_EQ(request("GET", kMaps + "?resourceVersion=x").status, 500);
  EXPECT_EQ(request("GET", kMaps + "?resourceVersionMatch=Exact").status, 422);
  EXPECT_EQ(request("GET", kMaps + "?limit=x").status, 400);
}

TEST_F(ApiTest, Selectors) {
  create("configmaps", config_map("a", {{"app", "x"}}));
  create("configmaps", config_map("b", {{"app", "y"}}));
  EXPECT_THAT(names(get(kMaps + "?labelSelector=app+in+(x)")), ElementsAre("a"));
  EXPECT_THAT(names(get(kMaps + "?fieldSelector=metadata.name%3Db")), ElementsAre("b"));
  const auto page = get(kMaps + "?labelSelector=app&limit=1");
  EXPECT_EQ(find(page, {"metadata", "remainingItemCount"}), nullptr) << "not told with a selector";
}

TEST_F(ApiTest, TablesAndMetadata) {
  create("configmaps", config_map("a"));
  auto table = get(kMaps, kTable);
  EXPECT_EQ(string_at(table, {"kind"}), "Table");
  EXPECT_EQ(string_at(table, {"apiVersion"}), "meta.k8s.io/v1");
  EXPECT_EQ(json::serialize(array_at(table, {"rows"})[0].at("cells")), R"(["a",0,"0s"])");
  table = get(kMaps + "/a?includeObject=Object", "application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json");
  EXPECT_EQ(string_at(table, {"apiVersion"}), "meta.k8s.io/v1beta1");
  EXPECT_EQ(string_at(array_at(table, {"rows"})[0], {"object", "kind"}), "ConfigMap");
  EXPECT_TRUE(array_at(get(kMaps + "?includeObject=None", kTable), {"rows"})[0].at("object").is_null());
  const auto metadata = get(kMaps, "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io");
  EXPECT_EQ(string_at(metadata, {"kind"}), "PartialObjectMetadataList");
  EXPECT_THAT(names(metadata), ElementsAre("a"));
  EXPECT_EQ(string_at(get(kMaps + "/a", "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"), {"kind"}),
            "PartialObjectMetadata");
}

TEST_F(ApiTest, AcceptIsNegotiated) {
  const auto status = [&](std::string target, std::string accept) {
    return request("GET", std::move(target), "", {{"accept", std::move(accept)}}).status;
  };
  EXPECT_EQ(status(kMaps, "*/*"), 200);
  EXPECT_EQ(status(kMaps, ""), 200);
  EXPECT_EQ(status(kMaps, "application/vnd.kubernetes.protobuf, application/json"), 200);
  EXPECT_EQ(status(kMaps, "text/foo"), 406);
  EXPECT_EQ(status(kMaps, "application/json;as=Foo;v=v1;g=meta.k8s.io"), 406);
  EXPECT_EQ(status(kMaps, "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"), 406) << "it is a list";
  EXPECT_EQ(status("/apis", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"),
            200);
}

TEST_F(ApiTest, RefusalsOfRequests) {
  create("pods", pod("p"));
  const auto status = [&](std::string method, std::string target, std::string body = "{}") {
    return send(std::move(method), std::move(target), std::move(body)).status;
  };
  EXPECT_EQ(status("POST", "/api/v1/configmaps"), 405);
  EXPECT_EQ(status("DELETE", "/api/v1/configmaps"), 405);
  EXPECT_EQ(status("PUT", kMaps), 405);
  EXPECT_EQ(status("POST", kMaps + "/a"), 405);
  EXPECT_EQ(status("DELETE", "/api/v1/namespaces"), 405);
  EXPECT_EQ(status("OPTIONS", kMaps), 405);
  EXPECT_EQ(status("GET", "/api/v1/namespaces/default/nothings"), 404);
  EXPECT_EQ(status("GET", "/apis/nothing.example/v1/foos"), 404);
  EXPECT_EQ(status("GET", "/api/v1/namespaces/default/pods/p/foo"), 404);
  EXPECT_EQ(status("GET", "/foo"), 404);
  EXPECT_EQ(status("POST", kMaps, "{bad"), 400);
  EXPECT_EQ(status("POST", kMaps, ""), 400);
  EXPECT_EQ(send("POST", kMaps, "x", "text/foo").status, 415);
  EXPECT_EQ(send("PATCH", "/api/v1/namespaces/default/pods/p", "{}", "application/apply-patch+yaml").status, 415);
  EXPECT_EQ(send("PATCH", "/api/v1/namespaces/default/pods/p", "{}", "application/json").status, 415);
  EXPECT_EQ(status("POST", "/api/v1/namespaces/default/pods/p/exec"), 400) << "no upgrade";
  EXPECT_EQ(status("POST", "/api/v1/namespaces/default/pods/none/exec"), 404);
}

TEST_F(ApiTest, AWatchIsHandedBack) {
  create("configmaps", config_map("a"));
  auto handed = answer("GET", kMaps + "?watch=true&resourceVersion=5&timeoutSeconds=7&allowWatchBookmarks=1");
  const auto* watch = std::get_if<WatchRequest>(&handed);
  ASSERT_NE(watch, nullptr);
  EXPECT_EQ(watch->ns, "default");
  EXPECT_EQ(watch->after, 5u);
  EXPECT_EQ(watch->timeout_seconds, 7);
  EXPECT_TRUE(watch->bookmarks);
  handed = answer("GET", "/api/v1/watch/configmaps?resourceVersion=0");
  ASSERT_TRUE(std::holds_alternative<WatchRequest>(handed));
  EXPECT_FALSE(std::get<WatchRequest>(handed).after.has_value());
  EXPECT_EQ(request("GET", kMaps + "?watch=1&resourceVersion=x").status, 500);
  EXPECT_EQ(request("GET", kMaps + "?watch=1&resourceVersion=5&resourceVersionMatch=Exact").status, 422);
  EXPECT_EQ(request("GET", kMaps + "?watch=0").status, 200);
}

TEST_F(ApiTest, AStreamingListIsRefusedUnlessTheServerIsNewEnough) {
  create("configmaps", config_map("a"));
  const std::string target = kMaps +
                             "?watch=1&allowWatchBookmarks=true&sendInitialEvents=true"
                             "&resourceVersionMatch=NotOlderThan&resourceVersion=";
  EXPECT_EQ(std::get<Response>(answer("GET", target)).status, 422);
  api.set_streaming_lists(true);
  auto stream = WatchStream::open(store, std::get<WatchRequest>(answer("GET", target)), [] {}).value();
  create("configmaps", config_map("b"));
  const auto events = testing::drain(*stream);
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(string_at(events[0], {"object", "metadata", "name"}), "a");
  EXPECT_EQ(string_at(events[1], {"type"}), "BOOKMARK");
  EXPECT_EQ(string_at(events[1], {"object", "metadata", "annotations", "k8s.io/initial-events-end"}), "true");
  EXPECT_EQ(string_at(events[1], {"object", "metadata", "resourceVersion"}),
            string_at(events[0], {"object", "metadata", "resourceVersion"}));
  EXPECT_EQ(string_at(events[2], {"object", "metadata", "name"}), "b");
}

TEST_F(ApiTest, DiscoveryNamesEverything) {
  EXPECT_EQ(json::serialize(get("/api").at("versions")), R"(["v1"])");
  const auto core = get("/api/v1");
  const auto& resources_of_core = array_at(core, {"resources"});
  const auto found = std::find_if(resources_of_core.begin(), resources_of_core.end(),
                                  [](const json::value& each) { return string_at(each, {"name"}) == "pods"; });
  ASSERT_NE(found, resources_of_core.end());
  EXPECT_EQ(json::serialize(*found),
            R"({"name":"pods","singularName":"","namespaced":true,"kind":"Pod","verbs":["create","delete",)"
            R"("deletecollection","get","list","patch","update","watch"],"shortNames":["po"],"categories":["all"]})");
  EXPECT_EQ(request("GET", "/apis/example.com").status, 404);
  create("customresourcedefinitions.apiextensions.k8s.io", testing::widget_definition(), "");
  EXPECT_EQ(string_at(get("/apis/example.com"), {"preferredVersion", "groupVersion"}), "example.com/v1");
  EXPECT_EQ(string_at(array_at(get("/apis/example.com/v1"), {"resources"})[0], {"singularName"}), "widget");
  EXPECT_EQ(request("GET", "/apis/example.com/v2").status, 404);
  for (const auto* path : {"/healthz", "/livez", "/readyz", "/readyz/ping"}) EXPECT_EQ(request("GET", path).body, "ok");
  EXPECT_EQ(string_at(get("/version"), {"major"}), "1");
}

TEST_F(ApiTest, OpenApiTellsKubectlToLeaveValidationToTheServer) {
  EXPECT_EQ(string_at(get("/openapi/v3"), {"paths", "apis/apps/v1", "serverRelativeURL"}).substr(0, 25),
            "/openapi/v3/apis/apps/v1?");
  const auto document = get("/openapi/v3/api/v1");
  const auto& patch = *find(document, {"paths", "/api/v1/namespaces/{namespace}/pods/{name}", "patch"});
  EXPECT_EQ(string_at(array_at(patch, {"parameters"})[0], {"name"}), "fieldValidation");
  const auto protobuf = request("GET", "/openapi/v2", "", {{"accept", "application/x@v1.0+protobuf"}});
  EXPECT_EQ(protobuf.body.substr(0, 5),
            "\x0A\x03"
            "2.0");
}

class TokensTest : public ApiTest {
 protected:
  TokensTest() {
    AuthOptions options{.anonymous = Anonymous::nothing};
    options.tokens = {{.token = "admin-token", .user = "admin", .groups = {"system:masters"}},
                      {.token = "bob-token", .user = "bob"},
                      {.token = "eve-token",
                       .user = "eve",
                       .rules = {{.verbs = {"get", "list", "watch"},
                                  .groups = {""},
                                  .resources = {"configmaps"},
                                  .namespaces = {"default"}}}}};
    authorizer.set(std::move(options));
  }
  Response as(std::string token, std::string target, std::string method = "GET", std::string body = {}) {
    net::Headers headers;
    if (!token.empty()) headers.add("authorization", "Bearer " + token);
    return request(std::move(method), std::move(target), std::move(body), std::move(headers));
  }
  std::string message(const Response& response) { return std::string(string_at(parsed(response.body), {"message"})); }
};

TEST_F(TokensTest, RefusalsInTheRealServersWords) {
  EXPECT_EQ(as("admin-token", kMaps).status, 200);
  const auto unknown = as("bad", kMaps);
  EXPECT_EQ(unknown.status, 401);
  EXPECT_EQ(unknown.body,
            R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Unauthorized",)"
            R"("reason":"Unauthorized","code":401})"
            "\n");
  EXPECT_EQ(as("bob-token", kMaps).status, 403);
  const std::pair<std::string, std::string> cases[] = {
      {kMaps,
       R"(configmaps is forbidden: User "bob" cannot list resource "configmaps" in API group "" in the namespace "default")"},
      {kMaps + "/a",
       R"(configmaps "a" is forbidden: User "bob" cannot get resource "configmaps" in API group "" in the namespace "default")"},
      {kMaps + "?watch=1",
       R"(configmaps is forbidden: User "bob" cannot watch resource "configmaps" in API group "" in the namespace "default")"},
      {"/api/v1/namespaces",
       R"(namespaces is forbidden: User "bob" cannot list resource "namespaces" in API group "" at the cluster scope)"},
      {"/api/v1/namespaces/default",
       R"(namespaces "default" is forbidden: User "bob" cannot get resource "namespaces" in API group "" in the namespace "default")"},
      {"/apis/apps/v1/namespaces/x/deployments/y/status",
       R"(deployments.apps "y" is forbidden: User "bob" cannot get resource "deployments/status" in API group "apps" in the namespace "x")"},
      {"/apis/apps/v1/nothings",
       R"(nothings.apps is forbidden: User "bob" cannot list resource "nothings" in API group "apps" at the cluster scope)"},
      {"/metrics", R"(forbidden: User "bob" cannot get path "/metrics")"},
  };
  for (const auto& [target, text] : cases) EXPECT_EQ(message(as("bob-token", target)), text);
  EXPECT_EQ(as("bob-token", "/version").status, 200);
  EXPECT_EQ(as("bob-token", "/api/v1").status, 200);
}

TEST_F(TokensTest, RulesAllowExactlyWhatTheySay) {
  EXPECT_EQ(as("eve-token", kMaps).status, 200);
  EXPECT_EQ(as("eve-token", kMaps + "/a").status, 404);
  EXPECT_EQ(as("eve-token", kMaps + "/a", "DELETE").status, 403);
  EXPECT_EQ(as("eve-token", "/api/v1/configmaps").status, 403) << "not across namespaces";
  EXPECT_EQ(as("eve-token", "/api/v1/namespaces/kube-system/configmaps").status, 403);
  EXPECT_EQ(as("eve-token", "/api/v1/namespaces/default/pods").status, 403);
}

TEST_F(TokensTest, Anonymous) {
  EXPECT_EQ(as("", kMaps).status, 403);
  EXPECT_THAT(message(as("", kMaps)), HasSubstr(R"(User "system:anonymous" cannot list)"));
  EXPECT_EQ(as("", "/version").status, 200);
  EXPECT_EQ(message(as("", "/api")), R"(forbidden: User "system:anonymous" cannot get path "/api")");
  authorizer.set({.anonymous = Anonymous::refused});
  EXPECT_EQ(as("", "/version").status, 401);
}

TEST_F(TokensTest, AWebSocketMayCarryItsTokenAsASubprotocol) {
  net::Headers headers;
  headers.add("sec-websocket-protocol", "base64.binary.k8s.io, base64url.bearer.authorization.k8s.io.YWRtaW4tdG9rZW4");
  EXPECT_EQ(request("GET", kMaps, "", std::move(headers)).status, 200);
}

TEST_F(TokensTest, Reviews) {
  const std::string path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
  const auto allowed = [&](std::string token, std::string verb, std::string ns) {
    const auto response = as(std::move(token), path, "POST",
                             R"({"spec":{"resourceAttributes":{"verb":")" + verb +
                                 R"(","resource":"configmaps","namespace":")" + ns + R"("}}})");
    EXPECT_EQ(response.status, 201);
    return bool_at(parsed(response.body), {"status", "allowed"});
  };
  EXPECT_TRUE(allowed("admin-token", "delete", "x"));
  EXPECT_TRUE(allowed("eve-token", "watch", "default"));
  EXPECT_FALSE(allowed("eve-token", "watch", ""));
  EXPECT_FALSE(allowed("eve-token", "delete", "default"));
  EXPECT_FALSE(allowed("bob-token", "watch", "default"));
  EXPECT_EQ(as("bob-token", path, "POST", R"({"spec":{}})").status, 422);
  const auto rules = parsed(as("eve-token", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", "POST",
                               R"({"spec":{"namespace":"default"}})")
                                .body);
  EXPECT_EQ(json::serialize(array_at(rules, {"status", "resourceRules"})[0]),
            R"({"verbs":["get","list","watch"],"apiGroups":[""],"resources":["configmaps"]})");
  const auto self = parsed(as("eve-token", "/apis/authentication.k8s.io/v1/selfsubjectreviews", "POST", "{}").body);
  EXPECT_EQ(string_at(self, {"status", "userInfo", "username"}), "eve");
}

}  // namespace
}  // namespace fresnel::sim

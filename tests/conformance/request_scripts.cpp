// Watches, bookmarks, refusals, access and discovery.
#include <algorithm>
#include <boost/json/serialize.hpp>
#include <future>
#include <stdexcept>

#include "tests/conformance/scripts.hpp"
#include "tests/support/wait.hpp"

namespace fresnel::conformance {
namespace {

std::string config_map(const std::string& name, const std::string& app) {
  return R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":")" + name + R"(","labels":{"app":")" + app +
         R"("}}})";
}

}  // namespace

const std::vector<Script>& scripts() {
  static const std::vector<Script> kScripts{
      {"config_maps", config_maps}, {"pods", pods},           {"namespaces", namespaces},
      {"deployments", deployments}, {"events", events},       {"custom_resources", custom_resources},
      {"watches", watches},         {"bookmarks", bookmarks}, {"refusals", refusals},
      {"access", access},           {"discovery", discovery},
  };
  return kScripts;
}

std::string make_namespace(Transcript& t, const std::string& name) {
  const auto made = t.quietly({"POST", "/api/v1/namespaces", R"({"metadata":{"name":")" + name + R"("}})"});
  if (made.at("kind").as_string() != "Namespace") throw std::runtime_error(json::serialize(made));
  return "/api/v1/namespaces/" + name;
}

std::string version_of(const json::value& object) {
  return std::string(object.at("metadata").at("resourceVersion").as_string());
}

void wait_for_cache(Transcript& t, const std::string& list_path, const json::value& object) {
  t.quietly({"GET", list_path + "?resourceVersion=" + version_of(object)});
}

void watches(Transcript& t) {
  const auto maps = make_namespace(t, "conf-watches") + "/configmaps";
  t.step({"POST", maps, config_map("a", "x")});
  const auto second = t.step({"POST", maps, config_map("b", "y")});
  wait_for_cache(t, maps, second);
  t.watch({"GET", maps + "?watch=1&timeoutSeconds=1"}, true);
  t.watch({"GET", maps + "?watch=true&timeoutSeconds=1&resourceVersion=0&labelSelector=app%3Dx"}, true);
  t.watch({"GET", "/api/v1/watch/namespaces/conf-watches/configmaps?timeoutSeconds=1"}, true);

  // One watch runs while the changes are made, with a selector that objects begin and cease to match.
  const auto live = maps + "?watch=1&timeoutSeconds=3&labelSelector=app%3Dx&resourceVersion=" + version_of(second);
  auto following = std::async(std::launch::async, [&] { return t.backend().send({"GET", live}); });
  t.step({"PATCH", maps + "/a", R"({"data":{"k":"1"}})", kMergePatch});
  t.step({"PATCH", maps + "/a", R"({"metadata":{"labels":{"app":"y"}}})", kMergePatch});
  t.step({"PATCH", maps + "/a", R"({"metadata":{"labels":{"app":"x"}}})", kMergePatch});
  t.step({"PATCH", maps + "/b", R"({"metadata":{"labels":{"app":"x"}}})", kMergePatch});
  t.step({"PATCH", maps + "/a", R"({"metadata":{"labels":{"app":"y"}}})", kMergePatch});
  t.step({"DELETE", maps + "/a"});
  t.step({"POST", maps, config_map("a", "x")});
  t.step({"DELETE", maps + "/a"});
  const auto followed = following.get();
  // The same again from the history must be the same text.
  const auto replayed = t.backend().send({"GET", live});
  if (followed.body != replayed.body) throw std::runtime_error(followed.body + "\n!=\n" + replayed.body);
  t.watch({"GET", live});
  t.watch({"GET", maps + "?watch=1&timeoutSeconds=1&resourceVersion=" + version_of(second)});
  t.watch({"GET",
           maps + "?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3Db&resourceVersion=" + version_of(second)});
  t.watch({"GET", maps + "?watch=1&timeoutSeconds=1&resourceVersion=" + version_of(second), "", "", kTable});
  t.watch({"GET", maps + "?watch=1&timeoutSeconds=1&resourceVersion=" + version_of(second), "", "", kMetadata});
  t.watch({"GET", maps + "?watch=1&timeoutSeconds=1&resourceVersion=9999999"});
}

void bookmarks(Transcript& t) {
  const auto space = make_namespace(t, "conf-bookmarks");
  const std::string deployment =
      R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d"},"spec":{"selector":{"matchLabels":{"a":"b"}},)"
      R"("template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}})";
  const std::string pod = R"({"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i"}]}})";
  const std::string deployments = "/apis/apps/v1/namespaces/conf-bookmarks/deployments";
  t.quietly({"POST", space + "/configmaps", config_map("a", "x")});
  t.quietly({"POST", space + "/pods", pod});
  t.quietly({"POST", deployments, deployment});
  std::vector<Request> requests;
  const auto add = [&](const std::string& path, const std::string& accept = {}) {
    Request request{"GET", path + "?watch=1&allowWatchBookmarks=true&timeoutSeconds=6"};
    request.accept = accept;
    requests.push_back(std::move(request));
  };
  add(space + "/configmaps");
  add(space + "/pods");
  add("/api/v1/namespaces");
  add(deployments);
  add(deployments, kTable);
  add(space + "/configmaps", kMetadata);
  t.bookmarks_of(requests, [&] {
    // kube-apiserver sends a bookmark only when something happened after the watch began, which nobody can tell.
    int count = 0;
    const auto change_all = [&] {
      const auto labels = R"({"metadata":{"labels":{"n":")" + std::to_string(++count) + R"("}}})";
      for (const auto& path : {space + "/configmaps/a", space + "/pods/p", space, deployments + "/d"}) {
        t.quietly({"PATCH", path, labels, kMergePatch});
      }
      return false;
    };
    (void)test::ask_until(change_all, std::chrono::seconds(2));
  });
}

void refusals(Transcript& t) {
  const auto maps = make_namespace(t, "conf-refusals") + "/configmaps";
  t.step({"POST", maps, R"({"apiVersion":"v1","kind":"Secret","metadata":{"name":"x"}})"});
  t.step({"POST", maps, R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{}})"});
  t.step({"POST", maps, R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"A_b"}})"});
  t.step({"POST", maps, R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"q","namespace":"other"}})"});
  t.step({"POST", maps, R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"q","resourceVersion":"12"}})"});
  t.step({"POST", maps, "x", "text/foo"});
  t.step({"POST", "/api/v1/configmaps", config_map("a", "x")});
  t.step({"PUT", maps, "{}"});
  t.step({"POST", maps + "/a", "{}"});
  t.step({"DELETE", "/api/v1/configmaps"});
  t.step({"OPTIONS", maps});
  t.step({"PUT", maps + "/a", R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b"}})"});
  t.step({"GET", "/api/v1/namespaces/conf-refusals/nothings"});
  t.step({"GET", "/apis/nothing.example/v1"});
  t.step({"GET", "/apis/nothing.example/v1/foos"});
  t.step({"GET", "/apis/nothing.example"});
  for (const auto* selector : {"app%3D%3D%3Dx", "a%20b", "a%20in", "a%20in%20(b", "%3Dx", "a%3Db%3Dc", "a,,b", "a%3Ex",
                               "-a%3D1", "a%3D-b", "A_%2Fx%3D1"}) {
    t.step({"GET", maps + "?labelSelector=" + selector});
  }
  t.step({"GET", maps + "?fieldSelector=foo.bar%3Dx"});
  t.step({"GET", maps + "?fieldSelector=foo"});
  t.step({"GET", maps + "?limit=x"});
  t.step({"GET", maps + "?resourceVersion=x"});
  t.step({"GET", maps + "?resourceVersionMatch=Exact"});
  t.step({"GET", maps + "?resourceVersion=0&resourceVersionMatch=Exact"});
  t.step({"GET", maps + "?resourceVersion=5&resourceVersionMatch=Foo"});
  t.step({"GET", maps + "?watch=1&resourceVersion=3&resourceVersionMatch=Exact"});
  t.step({"GET", maps + "?watch=1&resourceVersion=x"});
  t.step({"GET", maps + "?watch=1&fieldSelector=foo%3Dx"});
  t.step({"GET", maps, "", "", "text/foo"});
  t.step({"GET", maps, "", "", "application/json;as=Foo;v=v1;g=meta.k8s.io"});
  t.step({"GET", maps, "", "", "application/json;as=Table;v=v2;g=meta.k8s.io"});
  t.step({"GET", maps + "/none", "", "", kTable});
}

void access(Transcript& t) {
  const auto maps = make_namespace(t, "conf-access") + "/configmaps";
  for (const auto* user : {"nobody-knows", "mallory", ""}) {
    const auto as = [&](std::string method, std::string path, std::string body = {}) {
      t.step({std::move(method), std::move(path), std::move(body), "application/json", "", user});
    };
    as("GET", maps);
    as("GET", maps + "/a");
    as("GET", maps + "?watch=1&timeoutSeconds=1");
    as("POST", maps, config_map("a", "x"));
    as("DELETE", maps + "/a");
    as("DELETE", maps);
    as("GET", "/api/v1/namespaces");
    as("GET", "/api/v1/namespaces/default");
    as("GET", "/api/v1/configmaps");
    as("GET", "/apis/apps/v1/namespaces/x/deployments/y/status");
    as("GET", "/apis/apps/v1/nothings");
    as("GET", "/metrics");
    as("GET", "/healthz");
    as("GET", "/api");
  }
  const auto review = [&](const std::string& user, const std::string& spec) {
    t.step({"POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            R"({"kind":"SelfSubjectAccessReview","apiVersion":"authorization.k8s.io/v1","spec":)" + spec + "}",
            "application/json", "", user});
  };
  const std::string pods = R"({"resourceAttributes":{"verb":"list","resource":"pods","namespace":"default"}})";
  review("admin", pods);
  review("mallory", pods);
  review("mallory", R"({"nonResourceAttributes":{"verb":"get","path":"/version"}})");
  review("admin", "{}");
}

void discovery(Transcript& t) {
  t.step({"GET", "/healthz"});
  t.step({"GET", "/apis/apps"});
  const auto of = [&](const std::string& path, const std::vector<std::string>& wanted) {
    auto document = t.quietly({"GET", path});
    json::array kept;
    for (auto& resource : document.as_object()["resources"].as_array()) {
      const std::string name(resource.at("name").as_string());
      if (std::find(wanted.begin(), wanted.end(), name) != wanted.end()) kept.push_back(resource);
    }
    document.as_object()["resources"] = std::move(kept);
    t.record_document(path, document);
  };
  of("/api/v1", {"configmaps", "pods", "pods/status", "namespaces", "namespaces/status", "namespaces/finalize",
                 "events", "nodes", "services", "secrets"});
  of("/apis/apps/v1", {"deployments", "deployments/status", "replicasets", "statefulsets", "daemonsets"});
  of("/apis/apiextensions.k8s.io/v1", {"customresourcedefinitions"});
}

}  // namespace fresnel::conformance

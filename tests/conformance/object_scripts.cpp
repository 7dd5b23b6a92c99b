// The life of an object of each kind, and its tables.
#include <boost/json/serialize.hpp>
#include <stdexcept>

#include "tests/conformance/scripts.hpp"
#include "tests/support/wait.hpp"

namespace fresnel::conformance {
namespace {

// A pod's spec with what kube-apiserver's defaults and admission plug-ins would add.
std::string pod_spec(const std::string& node = "") {
  const auto on_node = node.empty() ? std::string() : R"("nodeName":")" + node + R"(",)";
  return R"({"containers":[{"name":"c","image":"nginx:1","resources":{},"terminationMessagePath":)"
         R"("/dev/termination-log","terminationMessagePolicy":"File","imagePullPolicy":"IfNotPresent"}],)"
         R"("restartPolicy":"Always","terminationGracePeriodSeconds":30,"dnsPolicy":"ClusterFirst",)" +
         on_node +
         R"("securityContext":{},"schedulerName":"default-scheduler","tolerations":[)"
         R"({"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300},)"
         R"({"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}],)"
         R"("priority":0,"enableServiceLinks":true,"preemptionPolicy":"PreemptLowerPriority"})";
}

std::string pod(const std::string& name, const std::string& app, const std::string& node = "") {
  return R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" + name + R"(","labels":{"app":")" + app +
         R"("}},"spec":)" + pod_spec(node) + "}";
}

std::string config_map(const std::string& name, const std::string& app, const std::string& data) {
  return R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":")" + name + R"(","labels":{"app":")" + app +
         R"("}},"data":{"k":")" + data + R"("}})";
}

}  // namespace

void config_maps(Transcript& t) {
  const auto maps = make_namespace(t, "conf-config-maps") + "/configmaps";
  const auto created = t.step({"POST", maps, config_map("a", "x", "1")});
  t.step({"POST", maps, config_map("a", "x", "1")});
  t.step({"POST", maps, config_map("b", "y", "1")});
  t.step({"POST", maps, config_map("c", "x", "1")});
  t.step({"GET", maps + "/a"});
  t.step({"GET", maps + "/none"});
  t.step({"GET", maps});
  t.step({"GET", maps + "?labelSelector=app%3Dx"});
  t.step({"GET", maps + "?labelSelector=app+in+(x,z),!none"});
  t.step({"GET", maps + "?labelSelector=app+notin+(x)"});
  t.step({"GET", maps + "?fieldSelector=metadata.name%3Db"});
  t.step({"GET", maps + "?fieldSelector=metadata.name!%3Db"});
  t.step({"GET", "/api/v1/configmaps?fieldSelector=metadata.namespace%3Dconf-config-maps,metadata.name%3Da"});
  for (std::string token = "&"; !token.empty();) {
    const auto page = t.step({"GET", maps + "?limit=2" + (token == "&" ? "" : "&continue=" + token)});
    const auto* next = page.at("metadata").as_object().if_contains("continue");
    token = next == nullptr ? "" : std::string(next->as_string());
  }
  t.step({"GET", maps + "?resourceVersion=" + version_of(created) + "&resourceVersionMatch=Exact"});
  t.step({"GET", maps, "", "", kTable});
  t.step({"GET", maps + "/a", "", "", kTable});
  t.step({"GET", maps + "?includeObject=None", "", "", "application/json;as=Table;v=v1beta1;g=meta.k8s.io"});
  t.step({"GET", maps, "", "", kMetadataList});
  t.step({"GET", maps + "/a", "", "", kMetadata});

  const auto updated = t.step({"PUT", maps + "/a", config_map("a", "x", "2")});
  t.step({"PUT", maps + "/a", config_map("a", "x", "2")});
  auto old = created;
  old.as_object()["data"] = json::object{{"k", "3"}};
  t.step({"PUT", maps + "/a", json::serialize(old)});
  t.step({"PUT", maps + "/none", config_map("none", "x", "2")});
  t.step({"PATCH", maps + "/a", R"({"metadata":{"labels":{"q":"1"}},"data":{"k":null,"z":"y"}})", kMergePatch});
  t.step({"PATCH", maps + "/a", R"({"metadata":{"resourceVersion":"5"}})", kMergePatch});
  t.step({"PATCH", maps + "/a", R"({"data":{"s":"1"}})", kStrategicPatch});
  t.step({"PATCH", maps + "/none", "{}", kMergePatch});
  t.step({"POST", maps + "?dryRun=All", config_map("dry", "x", "1")});
  t.step({"DELETE", maps + "/a", R"({"kind":"DeleteOptions","apiVersion":"v1","preconditions":{"uid":"abc"}})"});
  t.step({"DELETE", maps + "/a?dryRun=All"});
  t.step({"DELETE", maps + "/a"});
  t.step({"DELETE", maps + "/a"});
  t.step({"DELETE", maps + "?labelSelector=app%3Dx"});
  t.step({"GET", maps});
  t.watch({"GET", maps + "?watch=1&timeoutSeconds=1&resourceVersion=" + version_of(updated)});
}

void pods(Transcript& t) {
  const auto all = make_namespace(t, "conf-pods") + "/pods";
  const auto created = t.step({"POST", all, pod("p1", "x")});
  t.step({"POST", all, pod("p2", "y", "n1")});
  t.step({"POST", all, R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p3"},"spec":{"containers":[]}})"});
  t.step(
      {"PATCH", all + "/p1/status",
       R"({"status":{"phase":"Running","podIP":"1.2.3.4","podIPs":[{"ip":"1.2.3.4"}],"containerStatuses":[{"name":"c",
              "ready":true,"restartCount":3,"image":"nginx:1","imageID":"","lastState":{},"state":{"running":
              {"startedAt":"2026-11-21T13:00:00Z"}}}]},"metadata":{"labels":{"st":"1"}},"spec":{"nodeName":"zz"}})",
       kMergePatch});
  t.step({"PATCH", all + "/p1", R"({"status":{"phase":"Failed"}})", kMergePatch});
  t.step(
      {"PATCH", all + "/p1/status",
       R"({"status":{"conditions":[{"type":"Ready","status":"True","lastProbeTime":"2026-11-21T13:00:00Z","lastTransitionTime":
              "2026-11-21T13:00:00Z"}]}})",
       kStrategicPatch});
  t.step({"GET", all + "/p1/status"});
  t.step({"GET", all + "?fieldSelector=spec.nodeName%3Dn1"});
  t.step({"GET", all + "?fieldSelector=status.phase!%3DPending,metadata.name%3Dp1"});
  t.step({"GET", all + "?fieldSelector=spec.foo%3D1"});
  t.step({"GET", all, "", "", kTable});
  t.step({"GET", all, "", "", kMetadataList});
  t.step({"GET", all + "/p1/nothing"});
  t.step({"DELETE", all + "/p1"});
  t.step({"DELETE", all + "/p2"});
  t.step({"DELETE", all + "/p2"});
  t.step({"GET", all, "", "", kTable});
  t.step({"DELETE", all + "/p2?gracePeriodSeconds=0"});
  t.step({"GET", all});
  const auto since = "&timeoutSeconds=1&resourceVersion=" + version_of(created);
  t.watch({"GET", all + "?watch=1" + since});
  t.watch({"GET", all + "?watch=1" + since, "", "", kTable});
  t.watch({"GET", all + "?watch=1&fieldSelector=status.phase%3DRunning" + since});
}

void namespaces(Transcript& t) {
  const std::string all = "/api/v1/namespaces";
  const std::string only = "?fieldSelector=metadata.name%3Dconf-one";
  const auto created =
      t.step({"POST", all, R"({"apiVersion":"v1","kind":"Namespace","metadata":{"name":"conf-one"}})"});
  t.step({"POST", all, R"({"apiVersion":"v1","kind":"Namespace","metadata":{"name":"conf.two"}})"});
  t.step({"POST", "/api/v1/namespaces/none/configmaps", config_map("a", "x", "1")});
  t.step({"GET", all + "/conf-one"});
  t.step({"GET", all + only});
  t.step({"GET", all + only, "", "", kTable});
  t.step({"PATCH", all + "/conf-one", R"({"metadata":{"labels":{"a":"b"}}})", kMergePatch});
  t.step({"GET", all + only + "&labelSelector=a%3Db", "", "", kMetadataList});
  t.step({"DELETE", all + "/default"});
  t.step({"DELETE", all});
  t.step({"DELETE", all + "/conf-one"});
  t.step({"DELETE", all + "/conf-one"});
  t.step({"POST", all + "/conf-one/configmaps", config_map("late", "x", "1")});
  t.step({"GET", all + only, "", "", kTable});
  t.step({"PUT", all + "/conf-one/finalize",
          R"({"apiVersion":"v1","kind":"Namespace","metadata":{"name":"conf-one"},"spec":{"finalizers":[]}})"});
  t.step({"GET", all + "/conf-one"});
  t.watch({"GET", all + only + "&watch=1&timeoutSeconds=1&resourceVersion=" + version_of(created)});
}

void deployments(Transcript& t) {
  make_namespace(t, "conf-deployments");
  const std::string all = "/apis/apps/v1/namespaces/conf-deployments/deployments";
  const std::string pod_template =
      R"({"metadata":{"creationTimestamp":null,"labels":{"app":"x"}},"spec":{"containers":[{"name":"c","image":"nginx:1",)"
      R"("resources":{},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File",)"
      R"("imagePullPolicy":"IfNotPresent"}],"restartPolicy":"Always","terminationGracePeriodSeconds":30,)"
      R"("dnsPolicy":"ClusterFirst","securityContext":{},"schedulerName":"default-scheduler"}})";
  const auto created = t.step(
      {"POST", all,
       R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d1","labels":{"app":"x"}},"spec":{"replicas":1,)"
       R"("selector":{"matchLabels":{"app":"x"}},"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxUnavailable":)"
       R"("25%","maxSurge":"25%"}},"revisionHistoryLimit":10,"progressDeadlineSeconds":600,"template":)" +
           pod_template + "}}"});
  t.step({"PATCH", all + "/d1", R"({"spec":{"replicas":3}})", kMergePatch});
  t.step({"PATCH", all + "/d1", R"({"metadata":{"annotations":{"z":"1"}}})", kMergePatch});
  t.step({"PATCH", all + "/d1", R"({"spec":{"template":{"spec":{"containers":[{"name":"c","image":"nginx:2"}]}}}})",
          kStrategicPatch});
  t.step(
      {"PATCH", all + "/d1/status",
       R"({"status":{"replicas":3,"readyReplicas":2,"updatedReplicas":3,"availableReplicas":2,"observedGeneration":3},
              "spec":{"replicas":7},"metadata":{"labels":{"no":"no"}}})",
       kMergePatch});
  t.step({"GET", all + "/d1/status"});
  t.step({"GET", all, "", "", kTable});
  t.step({"GET", all + "?labelSelector=app%3Dx", "", "", kMetadataList});
  t.step({"GET", all + "?fieldSelector=zz%3D1"});
  t.step({"GET", all + "/none"});
  t.step({"PATCH", all + "/none", "{}", kMergePatch});
  t.step({"DELETE", all + "/d1"});
  const auto since = "&timeoutSeconds=1&resourceVersion=" + version_of(created);
  t.watch({"GET", all + "?watch=1" + since});
  t.watch({"GET", all + "?watch=1" + since, "", "", kTable});
  t.watch({"GET", all + "?watch=1" + since, "", "", kMetadata});
}

void events(Transcript& t) {
  const auto all = make_namespace(t, "conf-events") + "/events";
  const auto event = [](const std::string& name, const std::string& pod_name, const std::string& type) {
    return R"({"apiVersion":"v1","kind":"Event","metadata":{"name":")" + name +
           R"("},"involvedObject":{"kind":"Pod","namespace":"conf-events","name":")" + pod_name +
           R"(","uid":"u"},"reason":"Created","message":"hello","type":")" + type +
           R"(","count":2,"firstTimestamp":"2026-11-21T13:00:00Z","lastTimestamp":"2026-11-21T13:01:00Z","source":)"
           R"({"component":"kubelet","host":"h"},"eventTime":null,"reportingComponent":"","reportingInstance":""})";
  };
  const auto first = t.step({"POST", all, event("e1", "p1", "Normal")});
  t.step({"POST", all, event("e2", "p2", "Warning")});
  t.step({"POST", all, R"({"apiVersion":"v1","kind":"Event","metadata":{"name":"bare"},"involvedObject":{"namespace":
                           "conf-events"}})"});
  t.step({"GET", all + "?fieldSelector=involvedObject.name%3Dp1,type%3DNormal"});
  t.step({"GET", all + "?fieldSelector=involvedObject.kind%3DPod,reason!%3DCreated"});
  t.step({"GET", all + "?fieldSelector=foo%3Dp1"});
  t.step({"GET", all, "", "", kTable});
  t.step({"PATCH", all + "/e1", R"({"count":3})", kMergePatch});
  t.step({"DELETE", all + "/e2"});
  t.watch({"GET", all + "?watch=1&timeoutSeconds=1&resourceVersion=" + version_of(first)});
  t.watch({"GET", all + "?watch=1&timeoutSeconds=1"}, true);
  t.step({"POST", all, event("e3", "p3", "Normal")});
  t.backend().compact();
  t.watch({"GET", all + "?watch=1&timeoutSeconds=1&resourceVersion=" + version_of(first)});
  t.watch({"GET", all + "?watch=1&timeoutSeconds=1&resourceVersion=" + version_of(first), "", "", kTable});
  t.step({"GET", all + "?resourceVersionMatch=Exact&resourceVersion=" + version_of(first)});
}

void custom_resources(Transcript& t) {
  make_namespace(t, "conf-custom");
  const std::string definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
  const std::string all = "/apis/conformance.example/v1/namespaces/conf-custom/widgets";
  t.step({"POST", definitions,
          R"({"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":
              "widgets.conformance.example"},"spec":{"group":"conformance.example","scope":"Namespaced","names":{"plural":
              "widgets","singular":"widget","kind":"Widget","listKind":"WidgetList","shortNames":["wd"],"categories":
              ["all"]},"conversion":{"strategy":"None"},"versions":[{"name":"v1","served":true,"storage":true,
              "subresources":{"status":{}},"schema":{"openAPIV3Schema":{"type":"object",
              "x-kubernetes-preserve-unknown-fields":true}},"additionalPrinterColumns":[{"name":"Size","type":"integer",
              "jsonPath":".spec.size","description":"how big"},{"name":"Phase","type":"string","jsonPath":
              ".status.phase","priority":1},{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}]}]}})"});
  const bool served = test::ask_until(
      [&] {
        return t.backend().send({"GET", all}).status == 200;
      },
      std::chrono::seconds(20));
  if (!served) throw std::runtime_error("the custom resource is not served");
  t.step({"GET", "/apis/conformance.example"});
  t.step({"GET", "/apis/conformance.example/v1"});
  const auto widget = [](const std::string& name, const std::string& more) {
    return R"({"apiVersion":"conformance.example/v1","kind":"Widget","metadata":{"name":")" + name + "\"" + more +
           R"(},"spec":{"size":3},"status":{"phase":"x"}})";
  };
  const auto created = t.step({"POST", all, widget("w1", "")});
  t.step({"POST", all, widget("w2", R"(,"finalizers":["a.b/c"])")});
  t.step({"POST", all, R"({"apiVersion":"conformance.example/v1","kind":"Wrong","metadata":{"name":"w3"}})"});
  t.step({"PATCH", all + "/w1", R"({"spec":{"size":4},"status":{"phase":"y"}})", kMergePatch});
  t.step({"PATCH", all + "/w1", R"({"metadata":{"labels":{"a":"b"}}})", kMergePatch});
  t.step({"PATCH", all + "/w1/status", R"({"spec":{"size":5},"status":{"phase":"y"}})", kMergePatch});
  t.step({"PUT", all + "/w1", widget("w1", "")});
  t.step({"GET", all + "/w1"});
  t.step({"GET", all + "/none"});
  t.step({"GET", all});
  t.step({"GET", all + "?limit=1"});
  t.step({"GET", all + "?labelSelector=a%3Db"});
  t.step({"GET", all + "?fieldSelector=spec.size%3D3"});
  t.step({"GET", all, "", "", kTable});
  t.step({"GET", all, "", "", kMetadataList});
  t.step({"DELETE", all + "/w1"});
  t.step({"DELETE", all + "/w2"});
  t.step({"PATCH", all + "/w2", R"({"metadata":{"finalizers":null}})", kMergePatch});
  const auto since = "&timeoutSeconds=1&resourceVersion=" + version_of(created);
  t.watch({"GET", all + "?watch=1" + since});
  t.watch({"GET", all + "?watch=1" + since, "", "", kTable});
  t.step({"DELETE", definitions + "/none"});
  t.step({"GET", definitions + "?fieldSelector=metadata.name%3Dwidgets.conformance.example", "", "", kTable});
  t.quietly({"DELETE", definitions + "/widgets.conformance.example"});
}

}  // namespace fresnel::conformance

#include "fresnel/sim/printer.hpp"

#include <gtest/gtest.h>

#include "fresnel/sim/custom_resources.hpp"
#include "fresnel/sim/testing.hpp"

namespace fresnel::sim {
namespace {

using testing::object_of;

// The cells as one line of JSON, at 13:00:00.
std::string cells(std::string_view type, std::string_view object) {
  static const ResourceTypes kTypes;
  return json::serialize(cells_of(*kTypes.named(type), object_of(object), *from_rfc3339("2026-11-21T13:00:00Z")));
}

std::string pod_cells(std::string_view status, std::string_view metadata = "", std::string_view spec = "") {
  std::string object = R"({"metadata":{"name":"p","creationTimestamp":"2026-11-21T12:59:00Z")";
  object.append(metadata).append(R"(},"spec":{"containers":[{"name":"c"}])").append(spec);
  object.append(R"(},"status":{)").append(status).append("}}");
  return cells("pods", object);
}

TEST(PrinterTest, Pods) {
  EXPECT_EQ(pod_cells(R"("phase":"Pending")"), R"(["p","0/1","Pending",0,"60s","<none>","<none>","<none>","<none>"])");
  EXPECT_EQ(pod_cells(R"("phase":"Running","podIP":"1.2.3.4","containerStatuses":[{"ready":true,"restartCount":3,
                         "state":{"running":{}}}])",
                      "", R"(,"nodeName":"n1")"),
            R"(["p","1/1","Running",3,"60s","1.2.3.4","n1","<none>","<none>"])");
  EXPECT_EQ(pod_cells(R"("phase":"Running","containerStatuses":[{"restartCount":9,
                         "state":{"waiting":{"reason":"CrashLoopBackOff"}}}])")
                .substr(0, 33),
            R"(["p","0/1","CrashLoopBackOff",9,")");
  EXPECT_EQ(
      pod_cells(R"("phase":"Failed","containerStatuses":[{"state":{"terminated":{"exitCode":3}}}])").substr(0, 25),
      R"(["p","0/1","ExitCode:3",0)");
  EXPECT_EQ(pod_cells(R"("phase":"Running")", R"(,"deletionTimestamp":"2026-11-21T13:00:00Z")").substr(0, 26),
            R"(["p","0/1","Terminating",0)");
  EXPECT_EQ(pod_cells(R"("phase":"Pending","initContainerStatuses":[{"state":{"terminated":{"exitCode":0}}},
                         {"state":{"running":{}}}])",
                      "", R"(,"initContainers":[{},{}])")
                .substr(0, 23),
            R"(["p","0/1","Init:1/2",0)");
}

TEST(PrinterTest, Workloads) {
  EXPECT_EQ(cells("deployments.apps", R"({"metadata":{"name":"d","creationTimestamp":"2026-11-21T12:59:59Z"},"spec":
      {"replicas":3,"selector":{"matchLabels":{"b":"2","a":"1"}},"template":{"spec":{"containers":[
      {"name":"c","image":"nginx:2"},{"name":"s","image":"side"}]}}},"status":{"readyReplicas":2,"updatedReplicas":3,
      "availableReplicas":2}})"),
            R"(["d","2/3",3,2,"1s","c,s","nginx:2,side","a=1,b=2"])");
  EXPECT_EQ(cells("deployments.apps", "{}"), R"(["","0/0",0,0,"<unknown>","","",""])") << "as in a bookmark";
  EXPECT_EQ(cells("replicasets.apps", R"({"spec":{"replicas":2,"selector":{"matchExpressions":[
      {"key":"a","operator":"In","values":["x","y"]},{"key":"b","operator":"Exists"}]}}})"),
            R"(["",2,0,0,"<unknown>","","","a in (x,y),b"])");
  EXPECT_EQ(cells("jobs.batch", R"({"spec":{"completions":3,"parallelism":2},"status":{"succeeded":1,
      "startTime":"2026-11-21T12:58:00Z"}})")
                .substr(0, 17),
            R"(["","1/3","2m","<)");
}

TEST(PrinterTest, TheRest) {
  EXPECT_EQ(cells("events", R"({"metadata":{"name":"e"},"involvedObject":{"kind":"Pod","name":"p1"},"reason":"Created",
      "message":"hi\n","type":"Normal","count":2,"firstTimestamp":"2026-11-21T12:50:42Z",
      "lastTimestamp":"2026-11-21T12:51:42Z","source":{"component":"kubelet","host":"h"}})"),
            R"(["8m18s","Normal","Created","pod/p1","","kubelet, h","hi","9m18s",2,"e"])");
  EXPECT_EQ(cells("events", R"({"metadata":{"name":"e"}})"), R"(["<unknown>","","","","","","","<unknown>",1,"e"])");
  EXPECT_EQ(cells("configmaps", R"({"metadata":{"name":"m"},"data":{"a":"","b":""},"binaryData":{"c":""}})"),
            R"(["m",3,"<unknown>"])");
  EXPECT_EQ(cells("services", R"({"metadata":{"name":"s"},"spec":{"type":"LoadBalancer","clusterIP":"10.0.0.1",
      "ports":[{"port":80,"nodePort":30080},{"port":53,"protocol":"UDP"}],"selector":{"app":"x"}}})"),
            R"(["s","LoadBalancer","10.0.0.1","<pending>","80:30080/TCP,53/UDP","<unknown>","app=x"])");
  EXPECT_EQ(cells("nodes", R"({"metadata":{"name":"n","labels":{"node-role.kubernetes.io/worker":"",
      "node-role.kubernetes.io/etcd":""}},"spec":{"unschedulable":true},"status":{"conditions":[{"type":"Ready",
      "status":"True"}],"addresses":[{"type":"InternalIP","address":"10.0.0.2"}],"nodeInfo":{"kubeletVersion":"v1"}}})"),
            R"(["n","Ready,SchedulingDisabled","etcd,worker","<unknown>","v1","10.0.0.2","<none>","<unknown>",)"
            R"("<unknown>","<unknown>"])");
  EXPECT_EQ(cells("customresourcedefinitions.apiextensions.k8s.io",
                  R"({"metadata":{"name":"x","creationTimestamp":"2026-11-21T12:59:59Z"}})"),
            R"(["x","2026-11-21T12:59:59Z"])");
}

TEST(PrinterTest, EveryBuiltinTypeHasACellForEachColumn) {
  const ResourceTypes types;
  for (const auto& type : types.all()) {
    EXPECT_EQ(columns_of(*type).size(), cells_of(*type, json::object(), WallTime()).size()) << type->plural;
  }
}

TEST(PrinterTest, CustomColumns) {
  auto definition = testing::widget_definition();
  const auto type = type_of(definition);
  const auto now = *from_rfc3339("2026-11-21T13:00:00Z");
  EXPECT_EQ(json::serialize(cells_of(*type, object_of(R"({"metadata":{"name":"w","creationTimestamp":
      "2026-11-21T12:59:57Z"},"spec":{"size":4}})"),
                                     now)),
            R"(["w",4,"3s"])");
  EXPECT_EQ(json::serialize(cells_of(*type, object_of(R"({"metadata":{"name":"w"},"spec":{"size":"four"}})"), now)),
            R"(["w",null,null])");
  definition["spec"].as_object()["versions"].as_array()[0].as_object().erase("additionalPrinterColumns");
  const auto plain = type_of(definition);
  EXPECT_EQ(json::serialize(cells_of(*plain, object_of(R"({"metadata":{"name":"w"}})"), now)), R"(["w","<unknown>"])");
  EXPECT_EQ(columns_of(*plain)[1].name, "Age");
}

}  // namespace
}  // namespace fresnel::sim

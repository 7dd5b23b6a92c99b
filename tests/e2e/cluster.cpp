#include "tests/e2e/cluster.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <stdexcept>

#include "tests/support/kube_apiserver.hpp"

namespace fresnel::test {
namespace {

namespace json = boost::json;

json::value checked(const HttpReply& reply, std::string_view what) {
  if (reply.status < 200 || reply.status > 299) {
    throw std::runtime_error(std::string(what) + ": " + std::to_string(reply.status) + " " + reply.error + reply.body);
  }
  return json::parse(reply.body);
}

std::string text(const json::value& value) { return std::string(value.as_string()); }

}  // namespace

std::set<std::pair<std::string, std::string>> Cluster::truth(std::string_view list_path) {
  std::set<std::pair<std::string, std::string>> objects;
  const auto list = checked(request("GET", list_path), list_path);
  if (!list.at("items").is_array()) return objects;
  for (const auto& item : list.at("items").as_array()) {
    const auto& metadata = item.at("metadata");
    objects.emplace(text(metadata.at("uid")), text(metadata.at("resourceVersion")));
  }
  return objects;
}

std::string Cluster::list_version(std::string_view list_path) {
  return text(checked(request("GET", list_path), list_path).at("metadata").at("resourceVersion"));
}

void Cluster::create_namespace(std::string_view name) {
  const json::value body{{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", name}}}};
  checked(request("POST", "/api/v1/namespaces", json::serialize(body)), name);
}

void Cluster::put(std::string_view ns, std::string_view name, std::string_view value, std::string_view label) {
  json::object labels;
  if (!label.empty()) labels["color"] = label;
  const json::value body{{"apiVersion", "v1"},
                         {"kind", "ConfigMap"},
                         {"metadata", {{"name", name}, {"labels", labels}}},
                         {"data", {{"value", value}}}};
  checked(request("POST", configmaps(ns), json::serialize(body)), name);
}

void Cluster::change(std::string_view ns, std::string_view name, std::string_view value) {
  const json::value body{{"data", {{"value", value}}}};
  checked(
      request("PATCH", configmaps(ns) + "/" + std::string(name), json::serialize(body), "application/merge-patch+json"),
      name);
}

void Cluster::remove(std::string_view ns, std::string_view name) {
  checked(request("DELETE", configmaps(ns) + "/" + std::string(name)), name);
}

std::vector<std::string> cluster_kinds() {
  std::vector<std::string> kinds{"sim"};
  if (KubeApiServer::wanted()) kinds.emplace_back("real");
  return kinds;
}

Cluster& cluster(std::string_view kind) { return kind == "real" ? real_cluster() : sim_cluster(); }

}  // namespace fresnel::test

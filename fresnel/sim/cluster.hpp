// A whole simulated cluster: state, rules and server.
//
//   sim::Cluster cluster(io.get_executor(), clock, {.name = "prod"});
//   cluster.listen().value();                               // a free port of 127.0.0.1
//   cluster.create({{"kind", "Pod"}, ...}).value();         // kind and apiVersion say what it is
//   cluster.patch("pods", "default", "web-1", {{"status", json::object{{"phase", "Running"}}}}, Part::status);
//   cluster.remove("pods", "default", "web-1");
//
// Changes from inside behave as over HTTP, but create() keeps the status that the object has.
//
// Thread safety: one thread, that of the executor. The clock must outlive it; destroy it, then let the executor run
// until its coroutines have ended.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "fresnel/sim/api_server.hpp"
#include "fresnel/sim/resources.hpp"

namespace fresnel::sim {

struct ClusterOptions {
  std::string name = "sim";
  StoreOptions store = {};
  ResourcesOptions resources = {};
  AuthOptions auth = {};
  ApiServerOptions server = {};
};

class Cluster {
 public:
  Cluster(const Executor& executor, Clock& clock, ClusterOptions options = {});
  ~Cluster();
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  [[nodiscard]] result<net::Endpoint> listen(const net::Endpoint& endpoint = {});
  [[nodiscard]] const std::string& name() const noexcept;
  [[nodiscard]] std::string url() const;  // "http://127.0.0.1:PORT"; empty before listen()
  // A kubeconfig file's text with one context of this cluster's name; without a token, a user without credentials.
  [[nodiscard]] std::string kubeconfig(std::string_view token = {}) const;

  [[nodiscard]] Store& store() noexcept;
  [[nodiscard]] Resources& resources() noexcept;
  [[nodiscard]] ApiServer& server() noexcept;

  // The type is named by the object's kind and apiVersion, the namespace ("default" when there is none) by its
  // metadata. 404 for a kind that is not known.
  outcome<ObjectPtr> create(json::object object);
  // Types are named as "pods" or "deployments.apps"; an unknown name throws std::out_of_range.
  outcome<ObjectPtr> patch(std::string_view type, std::string_view ns, std::string_view name, const json::object& patch,
                           Part part = Part::main);
  outcome<Deleted> remove(std::string_view type, std::string_view ns, std::string_view name);
  [[nodiscard]] ObjectPtr get(std::string_view type, std::string_view ns, std::string_view name) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fresnel::sim

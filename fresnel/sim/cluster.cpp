#include "fresnel/sim/cluster.hpp"

#include <fmt/format.h>

namespace fresnel::sim {

struct Cluster::Impl {
  Impl(const Executor& executor, Clock& clock, ClusterOptions options)
      : name(std::move(options.name)),
        store(options.store),
        resources(store, std::move(options.resources)),
        server(executor, clock, resources, std::move(options.auth), options.server) {}

  std::string name;
  std::string url;
  Store store;
  Resources resources;
  ApiServer server;
};

Cluster::Cluster(const Executor& executor, Clock& clock, ClusterOptions options)
    : impl_(std::make_unique<Impl>(executor, clock, std::move(options))) {}

Cluster::~Cluster() = default;

result<net::Endpoint> Cluster::listen(const net::Endpoint& endpoint) {
  auto bound = impl_->server.listen(endpoint);
  if (bound) impl_->url = "http://" + bound->to_string();
  return bound;
}

const std::string& Cluster::name() const noexcept { return impl_->name; }

std::string Cluster::url() const { return impl_->url; }

std::string Cluster::kubeconfig(std::string_view token) const {
  const auto user = token.empty() ? "{}" : fmt::format("{{token: \"{}\"}}", token);
  return fmt::format(
      "apiVersion: v1\nkind: Config\ncurrent-context: {0}\n"
      "clusters: [{{name: {0}, cluster: {{server: \"{1}\"}}}}]\n"
      "users: [{{name: {0}, user: {2}}}]\n"
      "contexts: [{{name: {0}, context: {{cluster: {0}, user: {0}}}}}]\n",
      impl_->name, impl_->url, user);
}

Store& Cluster::store() noexcept { return impl_->store; }

Resources& Cluster::resources() noexcept { return impl_->resources; }

ApiServer& Cluster::server() noexcept { return impl_->server; }

outcome<ObjectPtr> Cluster::create(json::object object) {
  const auto type = impl_->resources.types().find_kind(string_at(object, {"apiVersion"}), string_at(object, {"kind"}));
  if (!type) return no_such_resource();
  std::string ns(string_at(object, {"metadata", "namespace"}));
  if (ns.empty()) ns = "default";
  return impl_->resources.create(type, ns, std::move(object), {.keep_status = true});
}

outcome<ObjectPtr> Cluster::patch(std::string_view type, std::string_view ns, std::string_view name,
                                  const json::object& patch, Part part) {
  auto& resources = impl_->resources;
  return resources.patch(resources.types().named(type), ns, name, patch, {.part = part});
}

outcome<Deleted> Cluster::remove(std::string_view type, std::string_view ns, std::string_view name) {
  return impl_->resources.remove(impl_->resources.types().named(type), ns, name);
}

ObjectPtr Cluster::get(std::string_view type, std::string_view ns, std::string_view name) const {
  return impl_->store.get(*impl_->resources.types().named(type), ns, name);
}

}  // namespace fresnel::sim

#include "fresnel/cli/targets.hpp"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>
#include <utility>

#include "fresnel/cli/json_value.hpp"
#include "fresnel/kube/api_client.hpp"

namespace fresnel::cli {
namespace {

using Contexts = std::vector<kube::ClusterContext>;

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::vector<std::string> without_repetitions(const std::vector<std::string>& names) {
  std::vector<std::string> unique;
  for (const auto& name : names) {
    if (std::find(unique.begin(), unique.end(), name) == unique.end()) unique.push_back(name);
  }
  return unique;
}

result<Contexts> from_kubeconfig(std::vector<std::string> names, const kube::Kubeconfig& config) {
  if (names.empty()) names.emplace_back();  // the current one
  Contexts contexts;
  for (const auto& name : names) {
    auto context = config.find(name);
    if (!context) return context.error();
    contexts.push_back(std::move(*context));
  }
  return contexts;
}

// The gateway answers with its own credential or asks for one; the kubeconfig's secrets stay here.
kube::ClusterContext through_gateway(const std::string& gateway, const std::string& name,
                                     const kube::Kubeconfig& config) {
  kube::ClusterContext context;
  context.name = name;
  context.cluster = name;
  context.server = gateway + "/clusters/" + kube::percent_encode(name);
  const auto known = std::find_if(config.contexts.begin(), config.contexts.end(),
                                  [&](const kube::KubeconfigEntry& entry) { return entry.name == name; });
  if (known != config.contexts.end() && known->context) context.default_namespace = known->context->default_namespace;
  return context;
}

result<std::vector<std::string>> choose(std::vector<std::string> wanted, const std::vector<std::string>& served,
                                        const std::string& current) {
  if (served.empty()) return Error{Errc::not_found, "the gateway has no clusters"};
  const auto has = [&](const std::string& name) {
    return std::find(served.begin(), served.end(), name) != served.end();
  };
  if (wanted.empty()) return std::vector<std::string>{has(current) ? current : served.front()};
  for (const auto& name : wanted) {
    if (!has(name)) {
      return Error{Errc::not_found, "the gateway has no cluster \"" + name + "\"; it has: " + joined(served)};
    }
  }
  return wanted;
}

}  // namespace

result<std::vector<std::string>> parse_gateway_config(std::string_view text) {
  const auto config = parse_json(text);
  const auto* clusters = config ? array_member(*config, "clusters") : nullptr;
  if (clusters == nullptr) return Error{Errc::protocol, "the gateway's /config has no list of clusters"};
  std::vector<std::string> names;
  for (const auto& cluster : *clusters) {
    if (auto name = text_member(cluster, "name"); !name.empty()) names.push_back(std::move(name));
  }
  return names;
}

awaitable<result<Contexts>> find_targets(ResourceArgs args, kube::KubeconfigOptions options,
                                         net::HttpTransport& transport) {
  const auto wanted = without_repetitions(args.contexts);
  auto config = kube::load_kubeconfig(options);
  if (args.gateway.empty()) {
    if (!config) co_return config.error();
    co_return from_kubeconfig(wanted, *config);
  }
  // Through a gateway the kubeconfig only supplies defaults: it may be missing or broken, unless it was named.
  if (!config && !options.explicit_path.empty()) co_return config.error();
  if (!config) config = kube::Kubeconfig{};

  kube::ClusterContext gateway;
  gateway.server = args.gateway;
  kube::ApiClient client(transport, gateway);
  kube::ApiRequest request{.path = "/config"};
  auto response = co_await client.request(std::move(request));
  if (!response) co_return response.error();
  const auto served = parse_gateway_config(response->body);
  if (!served) co_return served.error();
  const auto chosen = choose(wanted, *served, config->current_context);
  if (!chosen) co_return chosen.error();
  Contexts contexts;
  for (const auto& name : *chosen) contexts.push_back(through_gateway(args.gateway, name, *config));
  co_return contexts;
}

result<Contexts> find_targets(const ResourceArgs& args, asio::io_context& io, net::HttpTransport& transport) {
  result<Contexts> targets = Error{Errc::cancelled, "cancelled"};
  auto finding = find_targets(args, kube::KubeconfigOptions::from_environment(args.kubeconfig), transport);
  asio::co_spawn(io, std::move(finding), [&](std::exception_ptr failure, result<Contexts> found) {
    if (failure) std::rethrow_exception(failure);
    targets = std::move(found);
  });
  io.restart();
  io.run();
  return targets;
}

awaitable<result<ResourceTarget>> find_resource(const ResourceArgs& args, kube::ApiClient& client) {
  auto catalog = co_await kube::discover(client);
  if (!catalog) co_return catalog.error();
  auto resource = catalog->find(args.resource);
  if (!resource) co_return resource.error();
  std::string ns = resource->namespaced ? args.namespace_or(client.context().default_namespace) : std::string();
  ResourceTarget target{std::move(*resource), std::move(ns)};
  co_return target;
}

}  // namespace fresnel::cli
